"""The towers: text features, steps of CoCoOp, evaluations and inference, against the family's plain way."""
