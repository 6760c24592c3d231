"""The record: what is written is read, equal records are equal files, and what no header may say is refused by name.

`files/` holds what version 0.1 of this program wrote after runs on the demo models, and the logits that it gave with them.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import caspl
from boosting_files import make_boosting, make_header
from caspl.checkpoints import record
from caspl.checkpoints.boosting import read_boosting
from caspl.checkpoints.headers import BoostingHeader, GroupHeader, RunHeader, read_header
from caspl.checkpoints.record import read_record, write_record
from caspl.checkpoints.run import read_run, save_run
from caspl.ground.errors import InputError
from caspl.prompting.cascade import Deployed
from caspl.prompting.learners import ConditionalContext, Context, Prompts

FILES = Path(__file__).parent / "files"
D, V, E = 4, 6, 32
FACTS = dict(
    trainer="CoOp", backbone="b", backbone_fingerprint="f", dataset="d", classnames=["x", "y"], names="", shots=1, seed=1,
    epochs=2, size=[32, 32], interpolation="bicubic", mean=[0.5] * 3, std=[0.5] * 3,
)  # fmt: skip


def learners():
    torch.manual_seed(0)
    context = ConditionalContext.new(torch.randn(2, D), torch.randn(1, D), E)
    return [
        *context.deployed(),
        Prompts([torch.randn(3, 2, D)], [torch.randn(2, V)] * 2, after_name=1, trainable=False),
    ]


@pytest.fixture
def run_file(tmp_path):
    save_run(tmp_path / "prompts.safetensors", learners(), **FACTS)
    return tmp_path / "prompts.safetensors"


@pytest.fixture
def boosting_file(tmp_path):
    prompts = make_boosting()
    tensors = dict(prompts.named_parameters())
    write_record(tmp_path / "boosting.safetensors", make_header(prompts), tensors)
    return tmp_path / "boosting.safetensors"


def rewrite(path, change=lambda values: None, *, tensors=None, **metadata):
    """The same file with its header changed by `change`, and other tensors or metadata; without a checksum."""
    with safe_open(path, framework="pt") as file:
        found = {name: value for name, value in file.metadata().items() if name != "sha256"}
    values = json.loads(found["header"])
    values = change(values) or values
    save_file(tensors or load_file(path), path, metadata=found | {"header": json.dumps(values)} | metadata)


# --- writing and reading ---------------------------------------------------------------------------------------------
def test_a_run_is_restored_as_its_learners(run_file):
    found, header = read_run(run_file)
    assert [type(learner) for learner in found] == [ConditionalContext, Prompts]
    assert asdict(header) == FACTS | {"groups": [asdict(group) for group in header.groups]}
    assert header == read_header(run_file, BoostingHeader, RunHeader)
    features = torch.randn(5, E)
    pairs = zip(Deployed(learners())(features), Deployed(found)(features), strict=True)
    for expected, got in pairs:
        assert got.after_name == expected.after_name
        for x, y in zip(expected.text + expected.vision, got.text + got.vision, strict=True):
            assert torch.equal(x, y)
    assert not any(p.requires_grad for learner in found for p in learner.parameters())


def test_loading_a_meta_net_draws_no_random_numbers(run_file):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    read_run(run_file)
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_records_are_equal_files_and_anyone_reads_them(run_file, tmp_path):
    for number in range(3):
        save_run(tmp_path / f"{number}.safetensors", learners(), **FACTS)
        assert (tmp_path / f"{number}.safetensors").read_bytes() == run_file.read_bytes()
    content = run_file.read_bytes()
    table = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(table["__metadata__"]) == ["format", "header", "kind", "sha256", "version"]
    assert set(load_file(run_file)) == set(read_header(run_file, RunHeader).shapes())


def test_learners_that_no_file_holds_are_refused(tmp_path):
    with pytest.raises(TypeError, match="no file holds a Context"):
        save_run(tmp_path / "x", [Context(torch.zeros(1, D))], **FACTS)


def test_a_header_that_no_file_may_have_is_not_written(tmp_path):
    with pytest.raises(InputError, match="x was not written: its header would be wrong: epochs is -1"):
        save_run(tmp_path / "x", learners(), **FACTS | {"epochs": -1})
    header = make_header(make_boosting())
    with pytest.raises(InputError, match="x was not written: its header announces other tensors: text.0 is missing"):
        write_record(tmp_path / "x", header, {})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(run_file, monkeypatch):
    before = run_file.read_bytes()
    monkeypatch.setattr(record, "sealed", lambda content: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_run(run_file, learners(), **FACTS)
    assert run_file.read_bytes() == before and [p.name for p in run_file.parent.iterdir()] == [run_file.name]


# --- refusals --------------------------------------------------------------------------------------------------------
def put(name, value):
    """A change of one field; "a.0.b" is field b of the first entry of a."""

    def change(values):
        *path, last = [int(part) if part.isdigit() else part for part in name.split(".")]
        for part in path:
            values = values[part]
        values[last] = value

    return change


BAD_RUNS = [
    ("new_field", 1, "it has new_field, which is not known here"),
    ("trainer", None, "trainer is null, expected a text"),
    ("backbone", ["ViT-B/16"], r'backbone is \["ViT-B/16"\], expected a text'),
    ("dataset", "x" * 200_000, "dataset has 200,000 characters, expected 100,000 or fewer"),
    ("classnames", "cat", 'classnames has "cat", expected a list'),
    ("classnames", ["cat", 3], r"classnames\[1\] is 3, expected a text"),
    ("names", "new", 'names is "new", expected one of "", "all", "base", "unknown"'),
    ("shots", True, "shots is true, expected a whole number"),
    ("seed", 1.0, "seed is 1.0, expected a whole number"),
    ("seed", 10**400, "seed is 1000.*, expected -9223372036854775808 to"),
    ("epochs", -1, "epochs is -1, expected 0 to"),
    ("epochs", "2", 'epochs is "2", expected a whole number'),
    ("size", [32], "size has 1 entries, expected a list of 2 to 2"),
    ("size", [32, 10**9], r"size\[1\] is 1000000000, expected 1 to 16384"),
    ("interpolation", "sinc", 'interpolation is "sinc", expected one of'),
    ("mean", [0.5, float("nan"), 0.5], r"mean\[1\] is NaN, expected -1000 to 1000"),
    ("mean", [0.5, 0.5, False], r"mean\[2\] is false, expected a finite number"),
    ("std", [0.5, 0.5, 0], r"std\[2\] is 0, expected above 0 and 1000"),
    ("std", [0.5, 0.5, float("inf")], r"std\[2\] is Infinity, expected above 0 and 1000 or less"),
    ("groups", {}, "groups has {}, expected a list of 0 to 16"),
    ("groups", [1], r"groups\[0\] is 1, expected fields with names"),
    ("groups.0.kind", "pickle", r'groups\[0\].kind is "pickle", expected one of "prompts", "conditional"'),
    ("groups.0.words", -1, r"groups\[0\].words is -1, expected 0 to 4096"),
    ("groups.0.meta_net", [10**9, 10**9], r"groups\[0\].meta_net\[0\] is 1000000000, expected 1 to 65536"),
    ("groups.0.meta_net", [], r"groups\[0\] has other fields than conditional has"),
    ("groups.0.more", 1, r"it has groups\[0\].more, which is not known here"),
    ("groups.1.text", [[2]], r"groups\[1\] has a shape \[2\], expected \[tokens, width\]"),
    ("groups.1.text", [[2, 0]], r"groups\[1\].text\[0\]\[1\] is 0, expected 1 to"),
    ("groups.1.vision", [[1] * 9], r"groups\[1\].vision\[0\] has 9 entries, expected a list"),
    ("groups.1.vision", [[2, 6]] * 2000, r"groups\[1\].vision has 2,000 entries, expected a list of 0 to 1,024"),
    ("groups.1.after_name", 5, r"groups\[1\] of .* is no prompt group: 5 tokens behind the class name"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "message"), BAD_RUNS, ids=[f"{n}-{str(v)[:12]}" for n, v, _ in BAD_RUNS])
def test_fields_of_a_run_that_are_wrong(name, value, message, run_file):
    rewrite(run_file, put(name, value))
    with pytest.raises(InputError, match=message) as error:
        read_run(run_file)
    assert str(run_file) in str(error.value) and len(str(error.value)) < 500


BAD_BOOSTING = [
    ("text_width", 10**12, "text_width is 1000000000000, expected 0 to 65536"),
    ("vision_length", 1e3, "vision_length is 1000.0, expected a whole number"),
    ("text_depth", 10**6, "text_depth is 1000000, expected 0 to 1024"),
    ("names", "unknown", 'names is "unknown", expected one of "all", "base"'),
    ("temperature", 0, "temperature is 0, expected above 0 and 1000"),
    ("temperature", None, "temperature is null, expected a finite number"),
    ("template", {"a": 1}, 'template is {"a": 1}, expected a text'),
    ("template", "{0.__class__}", r"it names the template '\{0\.__class__\}', expected \{\} where the class name"),
    ("classnames", ["a" * 1001], r"classnames\[0\] has 1,001 characters, expected 1,000 or fewer"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_BOOSTING, ids=[row[0] for row in BAD_BOOSTING])
def test_fields_of_boosting_prompts_that_are_wrong(name, value, message, boosting_file):
    rewrite(boosting_file, put(name, value))
    for read in (read_boosting, lambda path: read_header(path, BoostingHeader)):
        with pytest.raises(InputError, match=f"the header of .*boosting.safetensors: {message}"):
            read(boosting_file)


@pytest.mark.parametrize("kind", [BoostingHeader, RunHeader])
def test_every_field_is_needed(kind, run_file, boosting_file):
    path = run_file if kind is RunHeader else boosting_file
    for name in json.loads(safe_open(path, framework="pt").metadata()["header"]):
        whole = path.read_bytes()
        rewrite(path, lambda values, name=name: values.pop(name) and None)
        with pytest.raises(InputError, match=f"it lacks {name};"):
            read_header(path, kind)
        path.write_bytes(whole)


def test_all_that_is_wrong_is_named_at_once(run_file):
    rewrite(run_file, lambda values: values.update(seed="1", shots=None, epochs=-1, more=2))
    with pytest.raises(
        InputError, match="it has more, .*; shots is null, .*; seed is .* and 1 more; take an unaltered"
    ):
        read_header(run_file, RunHeader)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "it is not JSON"),
        ("", "it is not JSON"),
        ("[1]", r"it is \[1\], expected fields with names"),
        ('{"seed": 1, "seed": 2}', 'it is not JSON .*"seed" stands there twice'),
        ("[" * 100_000, "it is not JSON"),
        ("9" * 5000, "it is"),
    ],
)
def test_headers_that_are_none(text, message, run_file):
    rewrite(run_file, header=text)
    with pytest.raises(InputError, match=f"the header of .*prompts.safetensors: {message}") as error:
        read_run(run_file)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (dict(format="pt"), "is a safetensors file of another kind .format pt., expected caspl: run"),
        (dict(version="2"), "has version 2 of the format caspl, this program reads version 1"),
        (
            dict(format="caspl-boosting", version="1"),
            "has version 1 of the format caspl-boosting, this program reads version 2",
        ),
        (
            dict(kind="boosting"),
            "is of the kind boosting, expected run, the prompts.safetensors of a run of a prompt learner",
        ),
        (dict(kind="x" * 500), "is of the kind x{60}, expected run"),
    ],
)
def test_other_kinds_and_versions(damage, message, run_file):
    rewrite(run_file, **damage)
    with pytest.raises(InputError, match=message):
        read_run(run_file)


def test_files_that_are_no_records(run_file, tmp_path):
    save_file(load_file(run_file), tmp_path / "plain")
    (tmp_path / "cut").write_bytes(run_file.read_bytes()[:-8])
    (tmp_path / "short").write_bytes(run_file.read_bytes()[:5])
    (tmp_path / "text").write_text("hello")
    for name, message in {
        "plain": "of another kind .format not given.",
        "cut": "cut short",
        "short": "cut short",
        "text": "no safetensors file",
        "nothing": "there is no file",
    }.items():
        for read in (read_record, read_header):
            with pytest.raises(InputError, match=message):
                read(tmp_path / name, RunHeader)


def changed(name, change):
    def make(tensors):
        return {**tensors, name: change(tensors[name])} if change else {k: v for k, v in tensors.items() if k != name}

    return make


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("groups.0.ctx", None), "does not hold what its header announces: groups.0.ctx is missing"),
        (changed("groups.0.ctx", lambda x: x[:1]), r"groups.0.ctx is \(1, 4\), expected \(2, 4\)"),
        (lambda tensors: tensors | {"more": torch.zeros(1)}, "more is unexpected"),
        (changed("groups.1.vision.1", lambda x: x.half()), "groups.1.vision.1 is F16, expected F32"),
        (
            changed("groups.0.ctx", lambda x: x / 0),
            "holds no prompts that can be used: groups.0.ctx has (nan|inf), expected finite numbers of at most 10000",
        ),
        (changed("groups.0.words", lambda x: x * torch.nan), "groups.0.words has nan, expected finite"),
    ],
)
def test_tensors_that_are_wrong(change, message, run_file):
    rewrite(run_file, tensors=change(load_file(run_file)))
    with pytest.raises(InputError, match=message) as error:
        read_run(run_file)
    assert str(run_file) in str(error.value)


def test_groups_whose_blocks_do_not_fit_each_other(tmp_path):
    group = GroupHeader("prompts", [[1, D], [2, D]], [], 0, 0, [])
    header = RunHeader(**FACTS, groups=[group])
    write_record(tmp_path / "x", header, {"groups.0.text.0": torch.zeros(1, D), "groups.0.text.1": torch.zeros(2, D)})
    with pytest.raises(InputError, match=r"groups\[0\] of .*x is no prompt group: text prompts of block 1 have shape"):
        read_run(tmp_path / "x")


# --- files of version 0.1 --------------------------------------------------------------------------------------------
def test_old_boosting_prompts_load():
    tensors, header = read_boosting(FILES / "boosting-0.1.safetensors")
    assert {name: tuple(value.shape) for name, value in tensors.items()} == header.shapes()
    assert (header.student, header.names, header.text_length, header.text_depth) == ("demo/student", "base", 2, 2)


@pytest.mark.parametrize(
    ("name", "kinds", "after_name"),
    [("coop", ["prompts"], [1]), ("caspl_cocoop", ["conditional", "prompts"], [0, 0])],
)
def test_old_runs_load(name, kinds, after_name):
    learners, header = read_run(FILES / f"{name}-0.1.safetensors")
    assert [group.kind for group in header.groups] == kinds and header.names == "unknown"
    assert [learner()[0].after_name for learner in learners] == after_name
    assert header.classnames == ["zero", "one", "two", "three", "four"]
    if name == "caspl_cocoop":  # "a nice-photo": two words to learn, the two tokens behind them fixed
        assert learners[0].ctx.shape == (2, 64) and learners[0].words.shape == (2, 64)


@pytest.mark.parametrize("name", ["boosting", "coop", "caspl_cocoop"])
def test_old_files_answer_as_they_did(name):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = load_file(FILES / "logits-0.1.safetensors")[name]
    logits = caspl.load(FILES / f"{name}-0.1.safetensors").logits(images)
    assert torch.allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("shifted") and None, "it lacks shifted"),
        (lambda values: values.update(after_name=[True]), r"after_name\[0\] is true, expected a whole number"),
        (lambda values: values.update(shifted=9), r"groups\[0\].words is -5, expected 0"),
        (lambda values: values.update(shifted=0), "meta_net.linear1.bias is unexpected"),
        (lambda values: values.update(after_name=[]), "it announces no prompts"),
        (lambda values: values.update(seed=None), "seed is null"),
        (lambda values: values.update(groups=[]), "it has groups, which files of that version do not have"),
    ],
)
def test_old_runs_that_are_damaged(change, message, tmp_path):
    path = tmp_path / "prompts.safetensors"
    path.write_bytes((FILES / "caspl_cocoop-0.1.safetensors").read_bytes())
    rewrite(path, change)
    with pytest.raises(InputError, match=message) as error:
        read_run(path)
    assert str(path) in str(error.value)


def test_an_old_run_without_its_meta_net(tmp_path):
    path = tmp_path / "prompts.safetensors"
    path.write_bytes((FILES / "caspl_cocoop-0.1.safetensors").read_bytes())
    rewrite(path, tensors={k: v for k, v in load_file(path).items() if not k.startswith("meta_net.linear1")})
    with pytest.raises(InputError, match=r"groups\[0\] has other fields than conditional has"):
        read_run(path)


def test_what_is_written_today_is_todays_format(tmp_path):
    prompts, header = make_boosting(), make_header(make_boosting())
    write_record(tmp_path / "x", replace(header, names="base"), dict(prompts.named_parameters()))
    with safe_open(tmp_path / "x", framework="pt") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["kind"], metadata["version"]) == ("caspl", "boosting", "1")


# --- bounds, checksums, and what is not written -----------------------------------------------------------------------
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2e4, -1e30])
def test_numbers_that_no_prompts_have_are_not_written(value, tmp_path):
    prompts = make_boosting()
    tensors = dict(prompts.named_parameters()) | {"vision.1": torch.full_like(prompts.vision[1], value)}
    with pytest.raises(
        InputError, match="x was not written: vision.1 has .*; training has diverged, train with a lower rate"
    ):
        write_record(tmp_path / "x", make_header(prompts), tensors)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(text_depth=0, vision_depth=0), "it announces no prompts: text_depth and vision_depth are 0"),
        (dict(text_length=0), "it announces empty prompts: text_length is 0"),
        (dict(vision_width=0), "it announces empty prompts: vision_length is 2 and vision_width 0"),
        (dict(text_depth=30_000_000), "text_depth is 30000000, expected 0 to 1024"),
        (dict(classnames=["x"] * 100_001), "classnames has 100,001 entries, expected a list of 0 to 100,000"),
    ],
)
def test_headers_of_nothing_or_too_much(changes, message, boosting_file):
    rewrite(boosting_file, lambda values: values.update(changes))
    for read in (read_boosting, lambda path: read_header(path, BoostingHeader)):
        with pytest.raises(InputError, match=message):
            read(boosting_file)


def test_a_table_of_a_hundred_megabytes(boosting_file):
    boosting_file.write_bytes((100 * 2**20).to_bytes(8, "little") + b"{" + b" " * 100)
    with pytest.raises(InputError, match="its table is 104,857,600 bytes long, expected 16,777,216 or fewer"):
        read_header(boosting_file, BoostingHeader)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (dict(sha257="0" * 64), "says sha257 of itself, which is not known"),
        (dict(sha256="0" * 64), "is damaged .its content is not what was written, as its checksum says"),
        (dict(sha256=""), "is damaged .its content is not what was written"),
    ],
)
def test_checksums_that_are_wrong(metadata, message, boosting_file):
    rewrite(boosting_file, **metadata)
    for read in (read_boosting, lambda path: read_header(path, BoostingHeader)):
        with pytest.raises(InputError, match=message):
            read(boosting_file)
