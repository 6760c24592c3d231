"""Released checkpoints: read without running what is in them, and their names mapped to ours.

Files are made here in the layouts of the published code, with its key names and small widths.
"""

import argparse
import collections
import contextlib
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from caspl.checkpoints.family import boosting_from_official, official_class_count, read_checkpoint, released_prompts
from caspl.ground.errors import InputError
from caspl.ground.tensors import archives
from caspl.prompting.cascade import Cascade
from caspl.prompting.learners import Prompts
from weight_files import read_weights

TEXT, VISION, BLOCKS, CLASSES = 8, 12, 3, 5


# Layouts. Every function gives a state dict as the published code of that method saves it.


def random_half(*shape):
    return torch.randn(*shape).half()


def class_buffers(prefix="", tokens=4):
    return {
        f"{prefix}token_prefix": random_half(CLASSES, 1, TEXT),
        f"{prefix}token_suffix": random_half(CLASSES, 76 - tokens, TEXT),
    }


def linear(name, inputs, outputs):
    return {f"{name}.weight": random_half(outputs, inputs), f"{name}.bias": random_half(outputs)}


def transformer(prefix, width):
    state = {}
    for block in range(BLOCKS):
        name = f"{prefix}transformer.resblocks.{block}"
        state |= {
            f"{name}.attn.in_proj_weight": random_half(3 * width, width),
            f"{name}.ln_1.weight": torch.ones(width),
        }
        state |= linear(f"{name}.mlp.c_fc", width, 4 * width)
    return state


def image_encoder(prefix="image_encoder.", width=VISION):
    return {
        f"{prefix}class_embedding": torch.randn(width),
        f"{prefix}conv1.weight": random_half(width, 3, 2, 2),
        f"{prefix}ln_pre.weight": torch.ones(width),
        f"{prefix}proj": random_half(width, TEXT),
        **transformer(prefix, width),
    }


def clip():
    text = {"text_encoder.positional_embedding": torch.randn(77, TEXT), **transformer("text_encoder.", TEXT)}
    return {"logit_scale": torch.tensor(4.6), **image_encoder(), **text}


def in_towers(suffix="", tokens=4, text=True, vision=True):
    """Prompts that are parameters of the towers, all but the first text one."""
    state = {f"image_encoder.VPT{suffix}": torch.randn(tokens, VISION)} if vision else {}
    for block in range(1, BLOCKS):
        deeper = f"transformer.resblocks.{block}.VPT_shallow{suffix}"
        state |= {f"text_encoder.{deeper}": torch.randn(tokens, TEXT)} if text else {}
        state |= {f"image_encoder.{deeper}": torch.randn(tokens, VISION)} if vision else {}
    return state


def coop():
    return {"ctx": random_half(4, TEXT), **class_buffers()}


def kgcoop():
    return {**coop(), "bias_vectors": random_half(1, TEXT), **linear("meta_net.linear1", TEXT, TEXT)}


def cocoop():
    return {**coop(), **linear("meta_net.linear1", TEXT, 2), **linear("meta_net.linear2", 2, TEXT)}


def under(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def maple_learner():
    state = {"ctx": random_half(2, TEXT), **linear("proj", TEXT, VISION), **class_buffers(tokens=2)}
    for index in range(BLOCKS - 1):
        state[f"compound_prompts_text.{index}"] = torch.randn(2, TEXT)
        state |= linear(f"compound_prompt_projections.{index}", TEXT, VISION)
    return state


def maple():
    return {**clip(), **under("prompt_learner.", maple_learner())}


def ivlp():
    return {**clip(), **under("prompt_learner.", coop()), **in_towers()}


def promptsrc():
    return {**ivlp(), **image_encoder("prompt_learner.ZS_image_encoder.")}


def vpt():
    return {**clip(), **in_towers(text=False)}


def boosting(tokens=6):
    return {
        "prompt_learner_teacher.ctx": random_half(tokens, TEXT),
        **class_buffers("prompt_learner_teacher.", tokens),
        **image_encoder("prompt_learner_teacher.ZS_image_encoder_teacher.", width=16),
        **in_towers("_FIRST", tokens),
    }


def phase1():
    return {**clip(), **boosting(), **in_towers(tokens=6)}


def phase2(learner):
    return {**clip(), **boosting(), **under("prompt_learner.", learner), **in_towers()}


def phase2_promptsrc():
    return {**phase2(coop()), **image_encoder("prompt_learner.ZS_image_encoder.")}


META_NET = {f"meta_net.linear{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
MAPLE = {key for key in maple_learner() if not key.startswith("token_")}
IN_TEXT = {f"text.{i}" for i in range(BLOCKS)}
IN_VISION = {f"vision.{i}" for i in range(BLOCKS)}
FAMILY = [
    ("CoOp", coop, {"ctx"}),
    ("ProGrad", coop, {"ctx"}),
    ("KgCoOp", kgcoop, {"ctx"}),
    ("CoCoOp", cocoop, {"ctx", *META_NET}),
    ("MaPLe", maple, MAPLE),
    ("IVLP", ivlp, IN_TEXT | IN_VISION),
    ("PromptSRC", promptsrc, IN_TEXT | IN_VISION),
    ("VPT", vpt, IN_VISION),
]
CASPL = [
    ("CoOp", lambda: phase2(coop()), {"ctx"}),
    ("CoCoOp", lambda: phase2(cocoop()), {"ctx", *META_NET}),
    ("MaPLe", lambda: phase2({**maple_learner(), "token_midffix": random_half(CLASSES, 2, TEXT)}), MAPLE),
    ("PromptSRC", phase2_promptsrc, IN_TEXT | IN_VISION),
]


# Names


@pytest.mark.parametrize("method, layout, names", FAMILY)
def test_names_of_the_family(method, layout, names):
    state = layout()
    prompts = released_prompts(under("module.", state), method=method)
    assert prompts.keys() == names
    assert all(value.dtype == torch.float32 for value in prompts.values())
    for key, value in prompts.items():  # names that are not ours become ours by losing their prefix
        if not key.startswith(("text.", "vision.")):
            assert torch.equal(value, (state[key] if key in state else state[f"prompt_learner.{key}"]).float())


def test_prompts_of_the_towers_come_to_their_blocks():
    state = promptsrc()
    prompts = released_prompts(state, method="PromptSRC")
    sources = {
        "text.0": "prompt_learner.ctx",
        "text.2": "text_encoder.transformer.resblocks.2.VPT_shallow",
        "vision.0": "image_encoder.VPT",
        "vision.1": "image_encoder.transformer.resblocks.1.VPT_shallow",
    }
    for name, source in sources.items():
        assert torch.equal(prompts[name], state[source].float())
    learner = Prompts([torch.zeros(4, TEXT)] * BLOCKS, [torch.zeros(4, VISION)] * BLOCKS)
    assert learner.load_state_dict(prompts).missing_keys == []


@pytest.mark.parametrize("method, layout, adapting", CASPL)
def test_names_of_phase_2(method, layout, adapting):
    state = layout()
    prompts = released_prompts(state, method=method)
    assert prompts.keys() == under("adapting.", dict.fromkeys(adapting)).keys() | under(
        "boosting.", dict.fromkeys(IN_TEXT | IN_VISION)
    )
    assert torch.equal(prompts["boosting.text.0"], state["prompt_learner_teacher.ctx"].float())
    assert torch.equal(prompts["boosting.vision.0"], state["image_encoder.VPT_FIRST"])
    first = state["text_encoder.transformer.resblocks.1.VPT_shallow_FIRST"]
    assert torch.equal(prompts["boosting.text.1"], first)
    if method == "PromptSRC":
        learner = Cascade(
            Prompts([torch.zeros(4, TEXT)] * BLOCKS, [torch.zeros(4, VISION)] * BLOCKS),
            Prompts([torch.zeros(6, TEXT)] * BLOCKS, [torch.zeros(6, VISION)] * BLOCKS),
        )
        learner.load_state_dict(prompts)
        assert torch.equal(learner.adapting.vision[0], state["image_encoder.VPT"])


@pytest.mark.parametrize("method", ["CoOp", "MaPLe", "PromptSRC"])
def test_our_own_names_stay(method):
    ours = {"adapting.ctx": torch.randn(4, TEXT), "boosting.text.0": torch.randn(6, TEXT), "vision.1": torch.randn(2)}
    assert released_prompts({**ours, "token_prefix": torch.zeros(1)}, method=method) == ours


def test_what_fits_no_method_stays_to_be_reported():
    plain = {"visual.proj": torch.zeros(2), "token_embedding.weight": torch.zeros(2)}
    assert released_prompts(plain, method="CoOp").keys() == plain.keys()
    assert released_prompts(clip(), method="CoOp").keys() == clip().keys()
    assert released_prompts(kgcoop(), method="CoOp").keys() >= {"ctx", "bias_vectors"}
    assert "compound_prompts_text.0" in released_prompts(maple(), method="CoOp")
    assert "vision.0" in released_prompts(ivlp(), method="CoOp")
    assert "adapting.meta_net.linear2.bias" in released_prompts(phase2(cocoop()), method="PromptSRC")


# Boosting prompts of phase 1


def test_boosting_prompts_of_phase_1():
    state = phase1()
    prompts = boosting_from_official(state, "x")
    assert prompts.state_dict().keys() == IN_TEXT | IN_VISION
    assert torch.equal(prompts.text[0], state["prompt_learner_teacher.ctx"].float())
    assert torch.equal(prompts.vision[2], state["image_encoder.transformer.resblocks.2.VPT_shallow_FIRST"])
    assert not any(p.requires_grad for p in prompts.parameters())
    assert official_class_count(under("module.", state)) == CLASSES
    assert official_class_count(coop()) is None


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    "state, message",
    [
        (phase2_promptsrc(), "x.pth is a checkpoint of phase 2: it holds prompt_learner.ctx .* expected .*phase 1"),
        (maple(), "is a checkpoint of MaPLe and holds no boosting prompts .prompt_learner_teacher.ctx, VPT_FIRST"),
        (ivlp(), "is a checkpoint of a prompt learner and holds no boosting prompts"),
        (coop(), "is a checkpoint of a prompt learner and holds no boosting prompts"),
        (clip(), "x.pth holds no boosting prompts"),
        (
            without(phase1(), "image_encoder.transformer.resblocks.1.VPT_shallow_FIRST"),
            "vision prompts for blocks 0, 2, but image_encoder.transformer.resblocks.1.VPT_shallow_FIRST is missing",
        ),
        (
            without(phase1(), "prompt_learner_teacher.ctx"),
            "text prompts for blocks 1, 2, but prompt_learner_teacher.ctx is missing",
        ),
        (
            {**phase1(), "text_encoder.transformer.resblocks.2.VPT_shallow_FIRST": torch.zeros(5, TEXT)},
            r"resblocks.2.VPT_shallow_FIRST has shape \(5, 8\), prompt_learner_teacher.ctx \(6, 8\)",
        ),
    ],
)
def test_files_without_whole_boosting_prompts_are_refused(state, message):
    with pytest.raises(InputError, match=message):
        boosting_from_official(state, "x.pth")


# Reading


def dassl_checkpoint():
    """What the family's code saves: Dassl's scheduler keeps a scheduler inside, and that keeps its optimiser."""
    state = promptsrc()
    parameters = [torch.nn.Parameter(value) for key, value in state.items() if "VPT" in key]
    optimizer = torch.optim.SGD(parameters, lr=0.0025, momentum=0.9)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    sum(p.sum() for p in parameters).backward()
    optimizer.step()
    successor.step()
    schedule = {"successor": successor, "warmup_epoch": 1, "cons_lr": 1e-5, "last_epoch": 1, "_last_lr": [1e-5]}
    return {
        "state_dict": collections.OrderedDict(state),
        "epoch": 20,
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule,
        "val_result": None,
    }


FORMATS = {"zip": True, "legacy": False}


def save(value, path, zipped=True):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_dassl_checkpoints_are_read(zipped, tmp_path):
    saved = dassl_checkpoint()
    path = save(saved, tmp_path / "model.pth.tar-20", zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    read = read_checkpoint(path)
    assert read.keys() == {"state_dict", "epoch", "optimizer", "val_result"}
    assert (read["epoch"], read["val_result"]) == (20, None)
    assert list(read["state_dict"]) == list(saved["state_dict"])
    for key, value in saved["state_dict"].items():
        assert read["state_dict"][key].dtype == value.dtype
        assert torch.equal(read["state_dict"][key], value)
    momentum = read["optimizer"]["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, saved["optimizer"]["state"][0]["momentum_buffer"])


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_only_unknown_objects_are_left_out(zipped, tmp_path):
    module = torch.nn.Linear(2, 2)
    shared = torch.randn(4, 6)
    saved = {
        "state_dict": {
            **module.state_dict(),
            "rows": shared.t()[1:3],
            "p": torch.nn.Parameter(shared),
            "n": shared[:0],
        },
        "epoch": 3,
        "val_result": 81.5,
        "args": argparse.Namespace(seed=1),
        "best": np.float64(81.5),
        "counts": collections.Counter(a=2),
        "state": collections.defaultdict(dict, {0: {"x": 1}}),
        "names": {"a", "b"},
        "path": Path("x"),
        "nested": [{"deep": (1, argparse.Namespace())}],
    }
    saved["module state"] = module.state_dict()  # an OrderedDict with an attribute
    read = read_checkpoint(save(saved, tmp_path / "x.pth", zipped))
    assert set(read) >= {"state_dict", "epoch", "val_result", "module state", "counts"}
    assert not {"args", "best", "state", "names", "path", "nested"} & set(read)
    assert read["val_result"] == 81.5
    assert torch.equal(read["module state"]["weight"], module.weight)
    for key, value in saved["state_dict"].items():
        assert torch.equal(read["state_dict"][key], value)


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_tensor_types_and_plain_values(zipped, tmp_path):
    types = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    types += (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    state = {str(dtype): torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype).t() for dtype in types}
    plain = (torch.Size([2, 3]), torch.float16, torch.device("cuda", 1), [1.5, "text", True, None, 2**70])
    read = read_checkpoint(save({"state_dict": state, "plain": plain}, tmp_path / "x.pth", zipped))
    assert read["plain"] == plain
    for key, value in state.items():
        assert read["state_dict"][key].dtype == value.dtype
        assert torch.equal(read["state_dict"][key], value)


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_weights_of_a_clip_are_read_the_same_way(zipped, tmp_path):
    state = clip()
    read = read_weights(save({"state_dict": under("module.", state), "epoch": 1}, tmp_path / "x.pt", zipped))
    assert read.keys() == under("state_dict.module.", state).keys()
    assert all(torch.equal(read[f"state_dict.module.{key}"], value) for key, value in state.items())


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("kept", [0, 1, 30, 0.3, 0.6, 0.99])
def test_cut_files_are_named(kept, zipped, tmp_path):
    path = save({"state_dict": coop(), "epoch": 1}, tmp_path / "x.pth", zipped)
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(InputError, match="x.pth is cut short, damaged or no file of torch.save .*download it again"):
        read_checkpoint(path)


def test_flipped_bytes_never_raise_anything_but_input_errors(tmp_path):
    rng = np.random.default_rng(0)
    for zipped in FORMATS.values():
        path = save({"state_dict": {"ctx": torch.randn(2, 2)}, "epoch": 1}, tmp_path / "x.pth", zipped)
        data = path.read_bytes()
        for position in rng.integers(len(data), size=150):
            broken = bytearray(data)
            broken[position] = rng.integers(256)
            path.write_bytes(broken)
            try:
                read_checkpoint(path)
            except InputError as error:
                assert "x.pth" in str(error)


def test_other_mistakes_are_named(tmp_path):
    folder = tmp_path / "prompt_learner"
    folder.mkdir()
    with pytest.raises(InputError, match="no file .*model.pth.tar-9; .*prompt_learner holds no model file"):
        read_checkpoint(folder / "model.pth.tar-9")
    save({"state_dict": coop()}, folder / "model.pth.tar-50")
    with pytest.raises(InputError, match="prompt_learner holds model.pth.tar-50; check the path, or the epoch"):
        read_checkpoint(folder / "model.pth.tar-9")
    with pytest.raises(InputError, match="no file .*, nor a folder .*nowhere; check the path"):
        read_checkpoint(tmp_path / "nowhere" / "model.pth.tar-9")
    with pytest.raises(InputError, match="prompt_learner is a folder"):
        read_checkpoint(folder)
    (tmp_path / "x.pth").write_text("hello")
    with pytest.raises(InputError, match="x.pth is cut short, damaged or no file of torch.save"):
        read_checkpoint(tmp_path / "x.pth")
    with pytest.raises(InputError, match="x.pth has no state_dict of tensors, it holds ctx, token_prefix"):
        read_checkpoint(save(coop(), tmp_path / "x.pth"))
    for content in ([1, 2], argparse.Namespace(), {"state_dict": {"ctx": 3}}, {"state_dict": argparse.Namespace()}):
        with pytest.raises(InputError, match="x.pth has no state_dict of tensors"):
            read_checkpoint(save(content, tmp_path / "x.pth"))
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("images/a.txt", "not of torch.save")
    with pytest.raises(InputError, match="a zip archive of other things"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_not_run(tmp_path):
    class Root(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.save(torch.jit.script(Root()), tmp_path / "x.pth")
    with pytest.raises(InputError, match="no state_dict of tensors"):
        read_checkpoint(tmp_path / "x.pth")


# Attacks: pickles that write a file when an ordinary unpickler reads them


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def dotted(module, attributes):
    """A name that leads through attributes, as protocol 4 allows."""
    return text(module) + text(attributes) + b"\x93"


def call(function, *arguments):
    return function + b"(" + b"".join(arguments) + b"tR"


def build(target, **attributes):
    """`target` with attributes set: opcode BUILD with (None, {name: value})."""
    return target + b"N}(" + b"".join(text(key) + value for key, value in attributes.items()) + b"u\x86b"


def under_key(key, pickled):
    return b"}" + text(key) + pickled + b"s"


def program(pickled):
    return b"\x80\x04" + pickled + b"."


SYSTEM = name("os", "system")
GETATTR = name("builtins", "getattr")
IMPORT = name("importlib", "import_module")
ORDERED_DICT = name("collections", "OrderedDict")


def attacks(marker, evil):
    """Pickles that make the file `marker` when they are run, some by way of the checkpoint `evil`."""
    shell, write = text(f"touch {marker}"), text(f"open({str(marker)!r}, 'w').close()")
    own_eval = call(dotted("torch._utils", "_rebuild_tensor_v2.__builtins__.__getitem__"), text("eval"))
    return {
        "os.system": call(SYSTEM, shell),
        "posix.system": call(name("posix", "system"), shell),
        "subprocess": call(name("subprocess", "getoutput"), shell),
        "eval": call(name("builtins", "eval"), write),
        "exec": call(name("builtins", "exec"), write),
        "open": call(name("builtins", "open"), text(str(marker)), text("w")),
        "getattr": call(call(GETATTR, call(IMPORT, text("os")), text("system")), shell),
        "dotted name": call(dotted("torch", "os.system"), shell),
        "dotted name through an allowed function": call(own_eval, write),
        "opcode INST": b"(" + shell + b"ios\nsystem\n",
        "opcode OBJ": b"(" + SYSTEM + shell + b"o",
        "torch.load": call(name("torch", "load"), text(str(evil)), b"N", call(IMPORT, text("pickle"))),
        "a storage's bytes": call(
            name("torch.storage", "_load_from_bytes"), pickle.dumps(evil.read_bytes(), 3).removeprefix(b"\x80\x03")[:-1]
        ),
        "map": call(name("builtins", "list"), call(name("builtins", "map"), SYSTEM, b"(" + shell + b"t")),
        "partial": call(call(name("functools", "partial"), SYSTEM), shell),
        "an allowed object, changed": build(call(ORDERED_DICT), __setstate__=SYSTEM) + shell + b"b",
    }


def zip_of(pickled, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def legacy_of(pickled, path):
    marks = b"".join(pickle.dumps(mark, 2) for mark in archives.LEGACY_MARKS)
    path.write_bytes(marks + pickle.dumps({"little_endian": True}, 2) + pickled + pickle.dumps([], 2))


def legacy_storages_of(pickled, path):
    marks = b"".join(pickle.dumps(mark, 2) for mark in archives.LEGACY_MARKS)
    path.write_bytes(marks + pickle.dumps({"little_endian": True}, 2) + pickle.dumps({}, 2) + pickled)


def bare(pickled, path):
    path.write_bytes(pickled)


def tar_of(pickled, path):
    """The format of PyTorch before 0.1.10."""
    with tarfile.open(path, "w") as archive:
        for member in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(member)
            info.size = len(pickled)
            archive.addfile(info, io.BytesIO(pickled))


@pytest.mark.parametrize("attack", attacks(Path("x"), Path(__file__)))
def test_nothing_pickled_is_run(attack, tmp_path):
    marker, evil, path = tmp_path / "run", tmp_path / "evil.pth", tmp_path / "x.pth"
    zip_of(program(call(SYSTEM, text(f"touch {marker}"))), evil)
    pickled = attacks(marker, evil)[attack]
    with contextlib.suppress(Exception):
        pickle.loads(program(pickled))
    assert marker.exists(), "this would be no attack"
    marker.unlink()
    good = text("state_dict") + b"}s"
    for content in (
        pickled,
        under_key("state_dict", pickled),
        under_key("state_dict", under_key("ctx", pickled)),
        under_key("scheduler", pickled) + good,
        pickled + b"0" + under_key("epoch", b"K\x01") + good,
    ):
        for write in (zip_of, legacy_of, legacy_storages_of, bare, tar_of):
            write(program(content), path)
            for read in (read_checkpoint, read_weights):
                with contextlib.suppress(InputError):
                    read(path)
                assert not marker.exists()


def test_unknown_objects_do_not_hide_the_rest(tmp_path):
    zip_of(program(under_key("scheduler", call(SYSTEM, text("true"))) + text("state_dict") + b"}s"), tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth") == {"state_dict": {}}


@pytest.mark.parametrize("allowed", [*archives._KNOWN, ("any", "other"), ("torch.jit._pickle", "build_intlist")])
def test_what_pickles_may_name_cannot_be_changed_by_them(allowed, tmp_path):
    reached = archives._KNOWN.get(allowed, archives.Unknown)
    before = [dir(kind) for kind in (reached, archives._First, archives._StorageNote)]
    own = dict(vars(reached)) if isinstance(reached, type) else None
    for target in (name(*allowed), call(name(*allowed)), call(name(*allowed), text("cpu"), b"K\x00", b")", b")")):
        for attribute in ("__setstate__", "__call__", "__new__", "extra"):
            zip_of(program(under_key("x", build(target, **{attribute: SYSTEM}))), tmp_path / "x.pth")
            with pytest.raises(InputError):
                read_checkpoint(tmp_path / "x.pth")
    assert [dir(kind) for kind in (reached, archives._First, archives._StorageNote)] == before
    assert own is None or dict(vars(reached)) == own


def tensor(size=b"K\x04\x85", stride=b"K\x01\x85", offset=b"K\x00", dtype="FloatStorage", key="0"):
    storage = b"(" + text("storage") + name("torch", dtype) + text(key) + text("cpu") + b"K\x04tQ"
    return call(name("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, b"\x89", b"N")


HUGE = b"\x8a\x08" + (2**62).to_bytes(8, "little")


@pytest.mark.parametrize(
    "pickled",
    [
        tensor(size=b"K\x05\x85"),
        tensor(offset=b"K\x01"),
        tensor(stride=b"K\x02\x85"),
        tensor(size=HUGE + b"\x85"),
        tensor(size=HUGE + b"K\x04\x86", stride=HUGE + HUGE + b"\x86"),
        tensor(offset=HUGE),
        tensor(size=b"J\xff\xff\xff\xff\x85"),
        tensor(stride=b"J\xff\xff\xff\xff\x85", offset=b"K\x03"),
        tensor(offset=b"J\xff\xff\xff\xff"),
        tensor(size=b"K\x02K\x02\x86"),
        tensor(size=ORDERED_DICT),
        tensor(dtype="OtherStorage"),
        tensor(dtype="Size"),
        tensor(key="1"),
        tensor(key="../data.pkl"),
        call(name("torch._utils", "_rebuild_tensor_v2"), b"K\x00", b"K\x00", b")", b")"),
    ],
)
def test_tensors_stay_within_their_storage(pickled, tmp_path):
    path = tmp_path / "x.pth"
    for content in (tensor(), pickled):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program(under_key("state_dict", under_key("ctx", content))))
            archive.writestr("archive/data/0", torch.arange(4.0).numpy().tobytes())
        if content != pickled:
            assert torch.equal(read_checkpoint(path)["state_dict"]["ctx"], torch.arange(4.0))
    with pytest.raises(InputError, match="x.pth is cut short, damaged"):
        read_checkpoint(path)


def test_tangled_containers_end(tmp_path):
    endless = []
    endless.append(endless)
    with pytest.raises(InputError, match="x.pth is cut short, damaged"):
        read_checkpoint(save({"state_dict": {}, "endless": endless}, tmp_path / "x.pth"))
    doubled = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    read = read_checkpoint(save({"state_dict": {}, "doubled": doubled}, tmp_path / "x.pth"))
    for _ in range(60):
        read["doubled"] = read["doubled"][0]
    assert read["doubled"] == [1]
