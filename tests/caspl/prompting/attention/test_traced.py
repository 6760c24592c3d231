"""A step of the text tower, traced on a CUDA device that is not there: fake tensors see devices, number formats and shapes.

What is one launch can be seen to be one in the graph. PyTorch's own engine asks for a driver on the way back, and the one of
`fake_devices` takes its place.
"""

import open_clip
import pytest
import torch
from cascades import CASCADES, NAMES, SETS, TEXT_BLOCKS, small_clip
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from caspl.prompting.attention import flex
from caspl.prompting.attention.flex import flex_attended
from caspl.prompting.attention.grouped import grouped_attention
from caspl.prompting.attention.varlen import varlen_attended
from caspl.prompting.groups import PromptGroup
from caspl.prompting.layout import ClassTokens
from caspl.prompting.text_tower import TextTower
from fake_devices import engine

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
FORWARD = {"flex": "flex_attention", "varlen": "torch_attn._varlen_attn.default"}
BACKWARD = {"flex": "flex_attention_backward", "varlen": "torch_attn._varlen_attn_backward.default"}


@pytest.fixture(autouse=True)
def way_back(monkeypatch):
    monkeypatch.setattr(torch.autograd, "grad", engine.grad)
    monkeypatch.setattr(flex, "_compiled", lambda: flex.flex_attention)  # make_fx looks into nothing that is compiled


def traced(attention, dtype, cascade):
    """The graph of a step on fake tensors of CUDA; its features, its gradients and the prompts, all fakes."""
    clip, mode = small_clip(heads=2).to(dtype), FakeTensorMode()
    groups, tokens = (CASCADES | SETS)[cascade](), ClassTokens(NAMES, open_clip.SimpleTokenizer())
    state = {name: mode.from_tensor(value.detach()) for name, value in clip.state_dict(keep_vars=True).items()}
    leaves = [mode.from_tensor(entry.detach()) for group in groups for entry in group.text]
    with mode:
        for name, value in state.items():
            owner, _, last = name.rpartition(".")
            registered = clip.get_submodule(owner)
            fake = value.to("cuda")
            if last in registered._parameters:
                registered._parameters[last] = torch.nn.Parameter(fake, requires_grad=False)
            else:
                registered._buffers[last] = fake
        tower, leaves = TextTower(clip, tokens, attention), [entry.to("cuda", torch.float32) for entry in leaves]

        def grouped(values):
            values = iter(values)
            return [
                PromptGroup(tuple(next(values) for _ in group.text), after_name=group.after_name) for group in groups
            ]

        def step(values):
            values = [value.requires_grad_() for value in values]
            features = tower(grouped(values))
            return [features, *engine.grad(features.float().square().sum(), values)]

        prompts, layout = tower._plan(grouped(leaves))
        tower._attention(prompts, layout)  # made once, outside of any step
        graph = make_fx(step)(leaves)
    features, *gradients = (node.meta["val"] for node in graph.graph.output_node().all_input_nodes)
    return graph, features, gradients, leaves


def names(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize(
    "cascade", ["shallow before deep", "deep prompts around the name", "deep sets around the name"]
)
@pytest.mark.parametrize(
    ("name", "attention", "dtype"),
    [
        ("flex", flex_attended, torch.float32),
        ("flex", flex_attended, torch.float16),
        ("varlen", varlen_attended, torch.float16),
        ("varlen", varlen_attended, torch.bfloat16),
    ],
)
def test_a_step_on_cuda_has_one_launch_of_attention_a_block_in_each_direction(name, attention, dtype, cascade):
    graph, features, gradients, leaves = traced(attention, dtype, cascade)
    assert (features.device.type, features.dtype) == ("cuda", dtype)
    assert features.shape == (5 if cascade in SETS else 1, len(NAMES), 24)
    for gradient, leaf in zip(gradients, leaves, strict=True):
        assert (gradient.device.type, gradient.dtype, gradient.shape) == ("cuda", leaf.dtype, leaf.shape)
    called = names(graph)
    assert called.count(FORWARD[name]) == called.count(BACKWARD[name]) == TEXT_BLOCKS
    assert not [called for called in called if "softmax" in called]


def test_they_take_fewer_operations_than_the_grouped_one():
    counts = {
        attention: len(names(traced(attention, torch.float16, "shallow before deep")[0]))
        for attention in (grouped_attention, flex_attended, varlen_attended)
    }
    assert counts[flex_attended] < counts[grouped_attention] / 2
    assert counts[varlen_attended] < counts[grouped_attention] / 2
