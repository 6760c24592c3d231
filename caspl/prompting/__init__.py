"""The paper: prompts as values, learners that make them, their cascade, the prompted towers, distillation."""
