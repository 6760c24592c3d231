"""Zero-shot CLIP: the class features of hand-written texts, which no training changes."""
