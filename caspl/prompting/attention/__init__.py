"""Causal attention over a packed sequence of one prefix and many tails.

An attention is a callable `attention(layout, sets)` that gives a kernel for each block of the tower, made once for a layout and
a number of prompt sets. What `TextTower` asks of a kernel `kernel(q, k, v) -> out`:

- `k` and `v` [G, M, H, d] are keys and values of all M tokens in the order of `layout.slots`, for G prompt sets and H heads;
- `q` [G, L, H, d] are queries of the L tokens that live in the block: those of the slots `step.live`, all where it is None;
- `out` [G, L, H, d] is softmax(q k^T / sqrt(d)) v, where the query at slot s sees the keys at slots t that stand in the
  prefix or in the tail of the same class (`layout.slots[t].owner` is None or that of s), up to its own position
  (`layout.positions[t] <= layout.positions[s]`). It has gradients with respect to q, k and v.

`grouped.py` is the reference, for every device and number format: a product for the prefix and one for each length of tail.
`flex.py` and `varlen.py` are one launch each on a CUDA device; `choice.py` says where they can be used.
"""
