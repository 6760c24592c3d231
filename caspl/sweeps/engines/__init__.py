"""Engines: they carry a plan out, on this machine (`local`), on a cluster of Ray (`ray`), or as scripts for SLURM (`slurm`)."""
