"""Sweeps: the experiments of the family as a list of jobs, on whatever hardware there is.

    protocols -> plan -> state -> engines

A *protocol* says which configuration and which keys a trainer gets on a dataset; the *plan* of an experiment is a list of jobs;
the *state* of a job is what its folder holds; an *engine* carries a plan out: `local` on the GPUs or cores of this machine,
`ray` on a cluster, `slurm` as scripts for `sbatch`.
"""
