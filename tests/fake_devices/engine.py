"""Backward in Python, where PyTorch's engine asks for a driver: the same nodes in the same order, so the same gradients.

Each node of the graph is called as PyTorch's engine calls it: of all that are ready the last one made comes first, gradients
that meet are added in the order in which they come, and each one is held against what the forward pass has noted of it: its
device, its number format, its shape. Hooks of leaves are called, others not.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Pass:
    """One pass backward over the graph behind `roots`.

    Args:
        roots: (node, index of its output, gradient of that output).
        wanted: the places (node, index) whose gradients are asked for; empty: those of all leaves, which are accumulated.
    """

    latest = -1  # the number of the pass under way, or the last

    def __init__(self, roots: Sequence[tuple[Any, int, Tensor]], wanted: Sequence[tuple[Any, int]] = ()) -> None:
        Pass.latest += 1
        self.roots, self.wanted = roots, set(wanted)
        self.caught: dict[tuple[Any, int], Tensor] = {}

    def run(self) -> None:
        needed, expected = self._graph()
        buffers: dict[Any, dict[int, Tensor]] = {}
        ready: list[tuple[int, int, Any]] = []
        came = 0

        def give(node: Any, index: int, gradient: Tensor | None) -> None:
            if gradient is not None:
                gradient = _fitting(gradient, node, index)
                own = buffers.setdefault(node, {})
                own[index] = own[index] + gradient if index in own else gradient

        def offer(node: Any) -> None:
            nonlocal came
            came += 1
            heapq.heappush(ready, (-_made(node), came, node))

        with torch.no_grad():
            for node, index, gradient in self.roots:
                give(node, index, gradient)
            for node in dict.fromkeys(node for node, _, _ in self.roots):
                if not expected[node]:
                    offer(node)
            while ready:
                node = heapq.heappop(ready)[2]
                gradients = buffers.pop(node, {})
                for place in self.wanted:
                    if place[0] is node and place[1] in gradients:
                        self.caught[place] = gradients[place[1]]
                onward = [(n, i) for n, i in node.next_functions]
                if any(n in needed for n, _ in onward) or not self.wanted:
                    results = _call(node, gradients)
                    for (following, index), gradient in zip(onward, results, strict=False):
                        if following is not None and following in needed:
                            give(following, index, gradient)
                for following, _ in onward:
                    if following is not None and following in needed:
                        expected[following] -= 1
                        if not expected[following]:
                            offer(following)

    def _graph(self) -> tuple[set, Counter]:
        """The nodes that have to be called, and how many gradients each one waits for."""
        seen, order, stack = set(), [], [node for node, _, _ in self.roots]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                order.append(node)
                stack += [n for n, _ in node.next_functions if n is not None]
        needed = seen
        if self.wanted:
            needed, before = {node for node, _ in self.wanted}, -1
            while len(needed) != before:
                before = len(needed)
                needed |= {node for node in order if any(n in needed for n, _ in node.next_functions)}
        expected = Counter(n for node in order if node in needed for n, _ in node.next_functions if n in needed)
        return needed, expected


def _made(node: Any) -> int:
    """Later nodes go first, and before all of them those that only put gradients into leaves."""
    return 2**63 if hasattr(node, "variable") else node._sequence_nr()


def _fitting(gradient: Tensor, node: Any, index: int) -> Tensor:
    """The gradient as the engine hands it over: of the noted format and shape. Raises RuntimeError for another device."""
    noted = node._input_metadata[index]
    if gradient.device != noted.device:
        if gradient.dim():
            raise RuntimeError(f"{node.name()} got a gradient on {gradient.device}, expected one on {noted.device}")
        gradient = gradient.to(noted.device)
    if tuple(gradient.shape) != tuple(noted.shape):
        gradient = gradient.sum_to_size(noted.shape)
    return gradient.to(noted.dtype)


def _call(node: Any, gradients: dict[int, Tensor]) -> Sequence[Tensor | None]:
    if hasattr(node, "variable"):
        _accumulate(node.variable, gradients.get(0))
        return ()
    given = [gradients.get(index) for index in range(len(node._input_metadata))]
    if isinstance(node, torch.autograd.function.BackwardCFunction):  # a torch.autograd.Function
        noted = node._input_metadata
        if getattr(node, "materialize_grads", True):
            given = [
                torch.zeros(m.shape, dtype=m.dtype, device=m.device) if g is None else g
                for g, m in zip(given, noted, strict=True)
            ]
        results = node.apply(*given)
    else:
        results = node(*given)
    return results if isinstance(results, tuple) else (results,)


def _accumulate(leaf: Tensor, gradient: Tensor | None) -> None:
    if gradient is None:
        return
    for hook in (leaf._backward_hooks or {}).values():
        changed = hook(gradient)
        gradient = gradient if changed is None else changed
    leaf.grad = gradient.detach() if leaf.grad is None else leaf.grad.add_(gradient)


def number_of_pass() -> int:
    """In the place of torch._C._current_graph_task_id: what is computed again for a backward pass is computed once in it."""
    return Pass.latest


def _several(values: Any) -> list[Any]:
    return [values] if isinstance(values, Tensor) or values is None else list(values)


def _roots(outputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> list[tuple[Any, int, Tensor]]:
    roots = []
    for output, gradient in zip(outputs, gradients, strict=True):
        if gradient is None:
            if output.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            gradient = torch.ones_like(output)
        roots.append((*_place(output), gradient))
    return roots


def _place(tensor: Tensor) -> tuple[Any, int]:
    """The node and index that a gradient of `tensor` arrives at."""
    edge = torch.autograd.graph.get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, *_: Any, **__: Any) -> None:
    """In the place of torch.autograd.backward."""
    outputs = _several(tensors)
    gradients = [None] * len(outputs) if grad_tensors is None else _several(grad_tensors)
    Pass(_roots(outputs, gradients)).run()


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, *_: Any, **options: Any
) -> tuple[Tensor | None, ...]:
    """In the place of torch.autograd.grad, without graphs of gradients."""
    if options.get("create_graph"):
        raise NotImplementedError("gradients of gradients are not made on a device that is not there")
    outputs, places = _several(outputs), [_place(tensor) for tensor in _several(inputs)]
    gradients = [None] * len(outputs) if grad_outputs is None else _several(grad_outputs)
    found = Pass(_roots(outputs, gradients), places)
    found.run()
    if not options.get("allow_unused") and len(found.caught) < len(set(places)):
        raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph")
    return tuple(found.caught.get(place) for place in places)
