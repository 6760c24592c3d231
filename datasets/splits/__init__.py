"""Which images a run sees: splits, how they are made and kept, few-shot sampling, base and new classes."""
