"""When something is compiled, what is done with a compiler that fails or errs, and the towers through PyTorch's own."""

import copy
import pickle

import open_clip
import pytest
import torch
from cascades import D, V, prompt, small_clip
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from caspl.clip.compiling import compiled
from caspl.clip.compiling.checking import difference
from caspl.clip.compiling.choice import Compilation, resolve_compilation
from caspl.clip.compiling.compiled import Compiled, at_most
from caspl.ground.errors import QuantityError
from caspl.prompting.groups import PromptGroup
from caspl.prompting.image_tower import encode_images, encode_prompted
from caspl.prompting.layout import ClassTokens
from caspl.prompting.text_tower import TextTower, encode_classes


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()


def product(module, tensors):
    """What is compiled here: images [B, 4] and weights [4, 3]."""
    images, weights = tensors
    return module(images @ weights)


def another(factor):
    """A compiler whose way forward gives `factor[0]` times the right numbers, and whose way back factor[1] times."""

    def times(number):
        return lambda graph, inputs: (
            lambda *values: [
                out * number if isinstance(out, torch.Tensor) and out.dim() == 2 else out for out in graph(*values)
            ]
        )

    return aot_autograd(fw_compiler=times(factor[0]), bw_compiler=times(factor[1]))


def said(caplog):
    """What we say; PyTorch's own loggers speak of everything."""
    ours = [record for record in caplog.records if record.name.startswith("caspl")]
    return [record.getMessage() for record in ours if record.levelname == "WARNING"]


def graphs():
    return counters["stats"]["unique_graphs"]


def tensors(size, learns=True):
    return torch.ones(size, 4), torch.full((4, 3), 0.5, requires_grad=learns)


def test_with_gradients_every_shape_is_compiled_once():
    call, module = Compiled(product), torch.nn.Tanh()
    for size in (4, 4, 2, 4, 2):
        values = tensors(size)
        out = call(module, values)
        assert torch.equal(out, product(module, values))
        assert torch.autograd.grad(out.sum(), values[1])[0].shape == (4, 3)
    assert graphs() == 2


def test_without_gradients_the_smaller_last_batch_is_computed_as_it_is():
    call, module = Compiled(product), torch.nn.Tanh()
    with torch.no_grad():
        for size in (5, 5, 3, 5, 5, 3, 8, 5):
            assert torch.equal(call(module, tensors(size)), product(module, tensors(size)))
    assert graphs() == 2  # 5 and 8


def test_what_is_kept_for_others_is_not_compiled():
    call, module = Compiled(product, graphs=True), torch.nn.Tanh()
    with at_most("off"), at_most("graphs"):
        call(module, tensors(4))
    assert not graphs()
    assert at_most("towers")(compiled._most.get)() == "towers"
    assert compiled._most.get() == "graphs"


@pytest.mark.parametrize(
    ("factor", "what"), [((1.1, 1), "its values are others"), ((1, 1.1), "its gradients are others"), ((1, 1), "")]
)
def test_a_compiler_that_errs_is_not_believed(monkeypatch, caplog, factor, what):
    monkeypatch.setattr(compiled, "BACKEND", another(factor))
    call, module = Compiled(product), torch.nn.Tanh()
    for _ in range(3):
        values = tensors(4)
        out = call(module, values)
        expected = product(module, values)
        assert torch.equal(out, expected)
        found, right = (torch.autograd.grad(each.sum(), values[1])[0] for each in (out, expected))
        assert torch.equal(found, right)
    whole = f"What torch.compile fails at is computed uncompiled: of product {what} than uncompiled"
    assert said(caplog) == ([whole] if what else [])


def test_a_compiler_that_fails_is_told_once(monkeypatch, caplog):
    def fails(graph, inputs):
        raise RuntimeError("no compiler here\nand more")

    monkeypatch.setattr(compiled, "BACKEND", fails)
    compilation, module = Compilation("towers"), torch.nn.Tanh()
    first, second = compilation.of(product), compilation.of(product)
    for call in (first, first, second):
        assert torch.equal(call(module, tensors(4)), product(module, tensors(4)))
    assert said(caplog) == ["What torch.compile fails at is computed uncompiled: RuntimeError, no compiler here"]


def test_errors_of_the_function_itself_are_its_own(caplog):
    with pytest.raises(RuntimeError, match="size|shape"):
        Compiled(product)(torch.nn.Tanh(), (torch.ones(2, 5), torch.ones(4, 3, requires_grad=True)))


def test_the_random_streams_stay_where_they_were():
    before = torch.get_rng_state()
    Compiled(product)(torch.nn.Tanh(), tensors(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_copies_and_pickles_are_as_new():
    call, module = Compiled(product), torch.nn.Tanh()
    call(module, tensors(4))
    for other in (copy.deepcopy(call), pickle.loads(pickle.dumps(call))):
        assert other.function is product
        assert torch.equal(other(module, tensors(4)), product(module, tensors(4)))


def test_the_gradient_of_a_captured_graph_is_copied():
    x, given = torch.ones(3, requires_grad=True), torch.full((3,), 2.0)
    compiled.Apart.apply(x).backward(given)
    assert torch.equal(x.grad, given)
    assert x.grad.data_ptr() != given.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rounding_is_no_difference(dtype):
    module = torch.nn.Linear(3, 3).to(dtype)
    values = [torch.randn(4, 4, dtype=dtype), torch.randn(4, 3, dtype=dtype, requires_grad=True)]

    def wide(module, tensors):  # the same, rounded once in the end
        images, weights = (each.double() for each in tensors)
        layer = copy.deepcopy(module).double()
        return layer(images @ weights).to(dtype)

    assert difference(wide, product, module, values, ()) == ""
    assert difference(lambda *all: 2 * product(*all), product, module, values, ()) == "its values are others"


def test_what_is_not_finite_says_nothing():
    module, (images, weights) = torch.nn.Tanh(), tensors(4)
    images[0, 0] = torch.nan
    assert difference(product, product, module, (images, weights), ()) == ""


def test_graphs_need_cuda():
    with pytest.raises(
        QuantityError, match="is graphs, but CUDA graphs need a CUDA device and this run is on cpu; set"
    ):
        resolve_compilation("graphs", torch.device("cpu"))
    with pytest.raises(QuantityError, match='is "fast", expected one of off, towers, graphs'):
        resolve_compilation("fast", torch.device("cpu"))
    assert resolve_compilation("graphs", torch.device("cuda")).of(product).graphs
    assert resolve_compilation("off", torch.device("cpu")).of(product) is product


# --------------------------------------------------------------------------------------------------- PyTorch's compiler
NAMES = ["cat", "guinea pig", "dog"]  # one alone has its length, so that views of its attention weights are kept


def text_step(encode, groups):
    clip = small_clip(text_blocks=2)
    tower = TextTower(clip, ClassTokens(NAMES, open_clip.SimpleTokenizer()), encode=encode)
    features = tower(groups)
    weights = torch.arange(features.numel(), dtype=features.dtype).cos().view_as(features)
    return features, torch.autograd.grad((features * weights).sum(), [entry for g in groups for entry in g.text])


def image_step(encode, groups):
    clip = small_clip(vision_blocks=2)
    images = torch.linspace(-1, 1, 2 * 3 * 32 * 32, dtype=torch.double).view(2, 3, 32, 32)
    features = encode_images(clip.visual, images, groups, encode)
    return features, torch.autograd.grad(features.square().sum(), [entry for g in groups for entry in g.vision])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "function", "graphs", "groups"),
    [
        (text_step, encode_classes, False, lambda: [PromptGroup(text=tuple(prompt(4, D) for _ in range(2)))]),
        (image_step, encode_prompted, True, lambda: [PromptGroup(vision=tuple(prompt(2, V) for _ in range(2)))]),
    ],
    ids=["text", "image"],
)
def test_towers_compiled_by_pytorch_are_exact(monkeypatch, caplog, step, function, graphs, groups):
    """Unlike with PyTorch's defaults, see compiled.py; nothing is said, so that what is compared is compiled indeed.

    On a CPU no graph is captured, but everything around it is as on CUDA.
    """
    monkeypatch.setattr(compiled, "BACKEND", "inductor")
    torch.manual_seed(1)
    groups = groups()
    (value, gradients), (expected, theirs) = step(Compiled(function, graphs=graphs), groups), step(function, groups)
    assert not said(caplog)
    assert not counters["graph_break"]
    assert (value - expected).abs().max() < 1e-12
    for a, b in zip(gradients, theirs, strict=True):
        assert (a - b).abs().max() <= 1e-9 * b.abs().max()


@pytest.mark.slow
def test_no_compiler_on_the_machine_is_told(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(compiled, "BACKEND", "inductor")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/nowhere/g++",))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    values = tensors(4)
    assert torch.equal(Compiled(product)(torch.nn.Tanh(), values), product(torch.nn.Tanh(), values))
    (sentence,) = said(caplog)
    assert "InvalidCxxCompiler" in sentence
