"""The names of CLIPs: what a name stands for, and what somebody meant whose name stands for nothing."""
