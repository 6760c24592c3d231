"""A plain CLIP: finding it, reading its weights, placing it on a device, computing with it."""
