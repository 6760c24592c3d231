"""Training steps: how long they take, how much memory, how far from the arithmetic floor, on which devices."""
