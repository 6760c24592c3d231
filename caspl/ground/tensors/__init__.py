"""Tensors with names, as files hold them: reading without running anything, checksums, shapes, and values that can be."""
