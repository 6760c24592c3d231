"""A CLIP out of files as people have them. Nothing that is in a file is run.

containers.py      the bytes of a file -> tensors by dotted names, whatever they are wrapped in
layouts.py         how the tensors of a CLIP are called in a file: OpenAI's and open_clip's names
hugging_face.py    ... and Hugging Face's, with what its config.json tells; in both directions
search.py          names -> the one complete CLIP among them, and what lies beside it
said.py            what is known beside the tensors: headers, training programs' settings, weights that are well known
building.py        the tensors of a CLIP -> open_clip's class, sizes from shapes
folders.py         a folder -> its weight files and what its configuration says
repositories.py    `hf:org/name` -> a folder
reading.py         all of this: a path -> a model
"""
