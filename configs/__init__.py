"""Configuration files: datasets/*.yaml and trainers/<Trainer>/*.yaml, named as in the family."""
