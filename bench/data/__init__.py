"""What comes before a step: images, crops, and what is computed once and kept."""
