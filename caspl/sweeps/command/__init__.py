"""The command `caspl sweep`: its options, its words, and what becomes of the plan that they ask for."""
