"""The words nearest to learned context, compared with distances written out in NumPy and with CoOp's way to find them."""

import csv
import io
import json

import numpy as np
import pytest
import torch

from caspl.__main__ import main
from caspl.checkpoints.boosting import save_boosting, shape_facts
from caspl.checkpoints.headers import BoostingHeader
from caspl.clip.backbones import load_backbone
from caspl.prompting.learners import Prompts
from caspl.use.words import interpret, nearest, read_learned, vocabulary

from .test_predictor import NAMES, result

STUDENT = "demo/student"


@pytest.fixture(scope="module")
def student():
    return load_backbone(STUDENT)


def words_of(*arguments, capsys):
    assert main(["words", *map(str, arguments)]) == 0
    return capsys.readouterr()


def written_out(token, student, count):
    """The nearest entries of the vocabulary that has numbers, by distances in float64, without PyTorch."""
    table = student.model.token_embedding.weight.numpy().astype(np.float64)
    known = [number for number in range(len(table)) if table[number].any()]
    far = [(np.sqrt(((table[number] - token) ** 2).sum()), number) for number in known]
    return [(student.tokenizer.decoder[number], distance) for distance, number in sorted(far)[:count]]


def same(found, expected):
    return [word for word, _ in found] == [word for word, _ in expected] and np.allclose(
        [distance for _, distance in found], [distance for _, distance in expected], atol=1e-6
    )


# --- words -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind, trainer", [("plain", "CasPL_MaPLe"), ("specific", "CasPL_CoOp"), ("conditional", "CasPL_CoCoOp")]
)
def test_each_token_has_its_nearest_words(tmp_path, student, kind, trainer):
    prompts = result(tmp_path, student, kind, trainer=trainer, names="all")
    found = list(interpret(read_learned(str(tmp_path)), 4))
    adapting, boosting = (group.text[0].detach().numpy().astype(np.float64) for group in prompts())
    expected = (
        [("adapting", name, token) for name, own in zip(NAMES, adapting, strict=True) for token in own]
        if kind == "specific"
        else [("adapting", "", token) for token in adapting]
    )
    expected += [("boosting", "", token) for token in boosting]
    assert [(each.group, each.class_) for each in found] == [(group, name) for group, name, _ in expected]
    for each, (_, _, token) in zip(found, expected, strict=True):
        assert same(each.words, written_out(token, student, 4))
    lengths = [each.token for each in found]
    assert lengths[: adapting.shape[-2]] == [*range(1, adapting.shape[-2] + 1)] and lengths[-2:] == [1, 2]


def test_the_ranking_is_that_of_coop():
    """Of torch.cdist and argsort over the whole table, on a table of a CLIP's size in which no row is empty."""
    random = torch.Generator().manual_seed(0)
    table, tokens = torch.randn(5_000, 512, generator=random) * 0.01, torch.randn(300, 512, generator=random) * 0.02
    tokens[7] = table[4_321]
    rows, distances = nearest(tokens, table, 6)
    all_distances = torch.cdist(tokens.double(), table.double())
    assert torch.equal(rows, all_distances.argsort(dim=1)[:, :6])
    assert torch.allclose(distances, all_distances.gather(1, rows), atol=1e-7)
    assert rows[7, 0] == 4_321 and distances[7, 0] < 1e-6


def test_words_that_a_clip_has_no_numbers_for_are_left_out(student):
    words, table = vocabulary(student)
    assert len(words) == len(table) == 95 and {"a</w>", "photo</w>", "<start_of_text>"} <= {*words}
    assert table.ne(0).any(dim=1).all()


# --- sources ---------------------------------------------------------------------------------------------------------
def boosted(folder, student, *words, text=2):
    entries = [student.embed(word) for word in words] or [torch.full((3, 64), 0.02)] * text
    prompts = Prompts(entries, [torch.ones(2, 64)])
    header = BoostingHeader(
        student=STUDENT, student_fingerprint=student.fingerprint, dataset="Digits", classnames=[], names="all",
        teacher="demo/teacher", teacher_fingerprint="", template="a {}.", temperature=1.0, loss="kl", epochs=1, seed=1,
        **shape_facts(prompts, student),
    )  # fmt: skip
    save_boosting(folder / "boosting.safetensors", prompts, header)
    return folder


def test_boosting_prompts_that_were_words_are_found_again(tmp_path, student, capsys, caplog):
    boosted(tmp_path, student, "a photo of the", "bright this the a")
    said = words_of(tmp_path, "--top-k", 1, "--format", "json", capsys=capsys)
    found = json.loads(said.out)
    assert [each["words"] for each in found] == [
        [{"word": f"{word}</w>", "distance": 0}] for word in ("a", "photo", "of", "the")
    ]
    assert {each["group"] for each in found} == {"boosting"} and {each["class"] for each in found} == {None}
    assert "95 of CLIP's 49,408 words" in caplog.text and "later blocks" in caplog.text


LEARNED = "a photo of the"
FILES = {  # of the family and of this program: state -> groups
    "CoOp": ({"ctx": 4, "token_prefix": 1}, ["context"]),
    "CoOp of classes": ({"ctx": (3, 4)}, ["context"]),
    "IVLP": (
        {"prompt_learner.ctx": 4, "text_encoder.transformer.resblocks.1.VPT_shallow": 4, "logit_scale": 1},
        ["context"],
    ),
    "phase 1": ({"prompt_learner_teacher.ctx": 4, "image_encoder.VPT_FIRST": 2}, ["boosting"]),
    "phase 2": ({"prompt_learner.ctx": 4, "prompt_learner_teacher.ctx": 4}, ["adapting", "boosting"]),
    "ours": ({"adapting.text.0": 4, "adapting.text.1": 4, "boosting.text.0": 4}, ["adapting", "boosting"]),
}


def model_file(path, student, state):
    embedded = student.embed(LEARNED)
    made = {4: embedded, (3, 4): embedded.expand(3, 4, 64).clone(), 1: torch.ones(1), 2: torch.ones(2, 64)}
    torch.save({"state_dict": {name: made[shape] for name, shape in state.items()}, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("kind", FILES)
def test_model_files_of_the_family(tmp_path, student, kind):
    state, groups = FILES[kind]
    found = list(interpret(read_learned(str(model_file(tmp_path / "model.pth.tar-3", student, state)), STUDENT), 2))
    assert list(dict.fromkeys(each.group for each in found)) == groups
    assert {(each.token, each.words[0][0]) for each in found} == {
        (n, f"{w}</w>") for n, w in enumerate(LEARNED.split(), 1)
    }
    assert sorted({each.class_ for each in found}) == (["0", "1", "2"] if kind == "CoOp of classes" else [""])


# --- output ----------------------------------------------------------------------------------------------------------
def test_a_table_has_a_row_for_each_token(tmp_path, student, capsys):
    path = model_file(tmp_path / "model.pth.tar-3", student, FILES["CoOp"][0])
    lines = words_of(path, "--backbone", STUDENT, "--top-k", 2, capsys=capsys).out.splitlines()
    assert lines[0].split() == ["token", "1", "2"] and len(lines) == 6
    assert [line.split()[:3] for line in lines[2:]] == [
        [str(n), f"{w}</w>", "0.0000"] for n, w in enumerate(LEARNED.split(), 1)
    ]


def test_a_file_has_the_form_of_its_name(tmp_path, student, capsys):
    result(tmp_path, student, "specific", classnames=['=1+1"', *NAMES[1:]])
    words_of(tmp_path, "--output", tmp_path / "words.csv", "--top-k", 3, capsys=capsys)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "words.csv").read_text())))
    assert len(rows) == (len(NAMES) * 3 + 2) * 3 and rows[0]["class"] == "'=1+1\"" and rows[-1]["class"] == ""
    assert [row["rank"] for row in rows[:3]] == ["1", "2", "3"]


# --- refusals --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "state, flags, said",
    [
        ({"ctx": 4}, [], "does not name its CLIP; give that with --backbone"),
        ({"ctx": 4}, ["--backbone", "demo/teacher"], "have 64 numbers each, and demo/teacher embeds words in 96"),
        ({"ctx": 4}, ["--backbone", STUDENT, "--top-k", "0"], "--top-k is 0, expected 1 to 49,408"),
        ({"ctx": 1}, ["--backbone", STUDENT], "has the shape (1,), expected [tokens, width]"),
        ({"image_encoder.VPT": 2}, ["--backbone", STUDENT], "has no learned tokens in the text tower"),
        ({"ctx": 4}, ["--backbone", STUDENT, "--output", "{}/words.csv"], "cannot be written"),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path, student, state, flags, said, capsys):
    path = model_file(tmp_path / "model.pth.tar-3", student, state)
    assert main(["words", str(path), *(flag.format(path) for flag in flags)]) == 2  # a file is no folder
    error = capsys.readouterr().err
    assert said in error and error.count("error: ") == 1 and "Traceback" not in error


def test_numbers_that_are_none_are_refused(tmp_path, student, capsys):
    path = tmp_path / "model.pth.tar-3"
    torch.save({"state_dict": {"ctx": torch.full((2, 64), torch.nan)}}, path)
    assert main(["words", str(path), "--backbone", STUDENT]) == 2
    assert "context has nan" in capsys.readouterr().err


def test_prompts_of_the_image_tower_have_no_words(tmp_path, student, capsys):
    boosted(tmp_path, student, text=0)
    assert main(["words", str(tmp_path)]) == 2
    assert "has no learned tokens in the text tower" in capsys.readouterr().err
