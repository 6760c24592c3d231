"""Planning sweeps, and the records of their runs."""
