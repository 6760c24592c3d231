"""One job in several processes, as torchrun starts them, each with a device of its own.

    with together.joined():
        value = together.once(compute)          # of the first process, for all
        values = together.gathered(compute)     # of every process
        together.sum_up(tensors)                # in place

All of these are to be called by all processes, in the same order. Without torchrun there is one process, nothing is waited for
and PyTorch's part for several is not touched. What goes wrong in one ends all of them, in one sentence: see `ends`.
"""
