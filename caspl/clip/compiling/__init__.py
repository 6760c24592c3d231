"""Towers compiled by `torch.compile`, and what says whether a compiled one is right.

A compiler is believed where it gives the values and gradients of the function that it was given, and the first call in every
shape shows both (`checking.py`): PyTorch's own answers are not always right. Its gradients of this text tower were not, as
`compiled.py` says.
"""
