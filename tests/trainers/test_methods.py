"""What is particular to one method: weights, averages, projections, templates, numbers printed in papers and code."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from caspl.clip.backbones import load_backbone
from caspl.clip.templates import ENSEMBLE
from caspl.ground.errors import InputError
from caspl.prompting.zeroshot.features import zeroshot_features
from caspl.trainers import coop, kgcoop, linear_probe, prograd, promptsrc

SHOTS = ("--seed", "1", "DATASET.NUM_SHOTS", "2")


# ---------------------------------------------------------------------------------------------------------- PromptSRC
def test_gpa_weights_to_the_printed_digits():
    weights = promptsrc.gpa_weights(15, 1, 20)
    printed = {12: 0.004432, 13: 0.053991, 14: 0.241971, 15: 0.398942, 16: 0.241971, 17: 0.053991, 18: 0.004432}
    assert {epoch: round(weights[epoch - 1], 6) for epoch in printed} == printed
    assert all(weight < 2e-4 for epoch, weight in enumerate(weights, 1) if epoch not in printed)
    assert sum(weights) == pytest.approx(1)
    wide = promptsrc.gpa_weights(6, 10, 20)
    assert [round(wide[epoch - 1], 4) for epoch in (1, 6, 20)] == [0.0554, 0.0628, 0.0236]


class Stop(Exception):
    pass


def average_of(trainer, stop_after=None):
    """Train; gives the prompts after each epoch, before the average takes their place, and the epochs' weights."""
    snapshots, original = [], trainer.run_epoch

    def run_epoch():
        if len(snapshots) + trainer.start_epoch == stop_after:
            raise Stop
        original()
        trained = trainer.model.learner.named_parameters()
        snapshots.append({name: p.detach().clone() for name, p in trained if p.requires_grad})

    trainer.run_epoch = run_epoch
    try:
        trainer.train()
    except Stop:
        trainer.close_writer()
    return snapshots


@pytest.mark.parametrize("name", ["PromptSRC", "CasPL_PromptSRC"])
def test_gpa_is_the_weighted_sum_of_the_epochs_prompts(name, build, boosting):
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    keys = ("OPTIM.MAX_EPOCH", "4", "TRAINER.PROMPTSRC.GPA_MEAN", "3", "TEST.NO_TEST", "True")
    trainer = build(name, "base", "out", *SHOTS, *keys, *more)
    snapshots = average_of(trainer)
    raw = [math.exp(-0.5 * (epoch - 3) ** 2) for epoch in (1, 2, 3, 4)]
    for key, parameter in trainer.model.learner.named_parameters():
        if parameter.requires_grad:
            expected = sum(w / sum(raw) * s[key] for w, s in zip(raw, snapshots, strict=True))
            assert torch.allclose(parameter, expected, atol=1e-7), key
            assert not torch.allclose(parameter, snapshots[-1][key], atol=1e-7)
    assert set(trainer.average) == set(snapshots[0])  # nothing frozen is averaged


@pytest.mark.slow
def test_gpa_survives_an_interruption(build):
    keys = ("OPTIM.MAX_EPOCH", "4", "TRAINER.PROMPTSRC.GPA_MEAN", "3", "TEST.NO_TEST", "True")
    whole = build("PromptSRC", "base", "whole", *SHOTS, *keys)
    average_of(whole)
    assert len(average_of(build("PromptSRC", "base", "killed", *SHOTS, *keys), stop_after=2)) == 2
    resumed = build("PromptSRC", "base", "killed", *SHOTS, *keys)
    assert len(average_of(resumed)) == 2
    for a, b in zip(whole.model.learner.parameters(), resumed.model.learner.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_references_average_of_frozen_weights_is_a_switch(build, tmp_path):
    """Off: CLIP stays. On: its fp16 weights are rounded as by the reference, in training and after loading."""
    keys = ("OPTIM.MAX_EPOCH", "3", "TRAINER.PROMPTSRC.GPA_MEAN", "2")
    trainer = build("PromptSRC", "base", "out", *SHOTS, *keys, "TRAINER.PROMPTSRC.GPA_FROZEN", "True")
    clip = trainer.backbone.model
    linear, norm = "transformer.resblocks.0.mlp.c_fc.weight", "ln_final.weight"
    before = {name: clip.get_parameter(name).clone() for name in (linear, norm, "token_embedding.weight")}
    trainer.train()
    expected = sum(before[linear].half() * weight for weight in trainer.gpa_weights)
    assert torch.equal(clip.get_parameter(linear), expected.float())
    assert 1e-5 < ((expected.float() - before[linear]).abs().mean() / before[linear].abs().mean()) < 5e-3
    assert torch.allclose(clip.get_parameter(norm), before[norm], rtol=1e-6)
    assert torch.equal(clip.get_parameter("token_embedding.weight"), before["token_embedding.weight"])
    again = build("PromptSRC", "base", "again", *SHOTS, *keys, "TRAINER.PROMPTSRC.GPA_FROZEN", "True")
    again.load_model(str(tmp_path / "out"), epoch=3)
    assert torch.equal(again.backbone.model.get_parameter(linear), expected.float())


def test_gpa_needs_a_width(run, capsys):
    assert run("PromptSRC", "base", "out", "TRAINER.PROMPTSRC.GPA_STD", "0") == 2
    assert "TRAINER.PROMPTSRC.GPA_STD is 0, expected 0.001 to" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ ProGrad
def test_projection_takes_away_what_contradicts():
    own, general = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0])
    assert prograd.without_conflict(own, general, 1.0).tolist() == [1.0, 0.0]
    assert prograd.without_conflict(own, general, 0.8).tolist() == pytest.approx([1.0, -0.4])
    assert prograd.without_conflict(-own, general, 1.0) is not own
    assert torch.equal(prograd.without_conflict(-own, general, 1.0), -own)  # they agree: nothing is taken away
    assert torch.equal(prograd.without_conflict(own, torch.zeros(2), 1.0), own)


def test_both_cases_of_the_projection_occur(build, monkeypatch):
    trainer = build("ProGrad", "base", "out", *SHOTS)
    trainer.prepare()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 99
    seen, project = set(), prograd.without_conflict

    def watched(own, general, strength):
        result = project(own, general, strength)
        seen.add(torch.equal(result, own))
        return result

    monkeypatch.setattr(prograd, "without_conflict", watched)
    batch = next(iter(trainer.train_loader_x))
    for first in range(0, 10, 2):
        trainer.forward_backward({key: batch[key][first : first + 2] for key in ("img", "label")})
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("dataset", "words", "rest"),
    [
        ("OxfordPets", "a type of pet, a photo of a", 1),
        ("DescribableTextures", "a texture of", 0),
        ("SUN397", "a photo of a", 0),
    ],
)
@pytest.mark.parametrize(
    ("trainer", "length", "given"),
    [
        ("ProGrad", "COOP", "template"),
        ("CoOp", "COOP", "True"),
        ("CoCoOp", "COCOOP", "true"),
        ("CasPL_CoOp", "COOP", "True"),
    ],
)
def test_context_from_the_datasets_template(dataset, words, rest, trainer, length, given, build):
    """Words at the end, zeros before; where the comma is a token of its own, the last word is not learned.

    True is what the code of KgCoOp and ProGrad calls it.
    """
    trainer = build(trainer, "base", "out", f"TRAINER.{length}.N_CTX", "16", f"TRAINER.{length}.CTX_INIT", given)
    assert trainer.keys.CTX_INIT == "template"
    context, fixed = coop.template_context(trainer.backbone, dataset, 16, "TRAINER.COOP")
    count, tokens = len(words.split(" ")), trainer.backbone.embed(words)
    assert context.shape == (16, 64) and not context[: 16 - count].any()
    assert torch.equal(context[16 - count :], tokens[:count]) and torch.equal(fixed, tokens[count:])
    assert len(fixed) == rest
    (learned,) = [p for name, p in trainer.model.named_parameters() if name.endswith("ctx")]
    assert torch.equal(
        learned.float(), coop.template_context(trainer.backbone, "Digits", 16, "")[0].to(learned.dtype).float()
    )


@pytest.mark.parametrize("given", ["True", "template"])
def test_the_words_of_kgcoop_are_the_same_for_every_dataset(given, build):
    """There are four tokens then, whatever N_CTX is by default."""
    trainer = build("KgCoOp", "base", "out", "TRAINER.COOP.N_CTX", "4", "TRAINER.COOP.CTX_INIT", given)
    context, fixed = trainer.initial_context(trainer.backbone, 5)
    assert torch.equal(context, trainer.backbone.embed("a photo of a")) and not len(fixed)


@pytest.mark.parametrize("given", ["False", "none", "None", "''"])
def test_no_words_are_random_tokens(given, build):
    trainer = build("CoOp", "base", "out", "TRAINER.COOP.N_CTX", "6", "TRAINER.COOP.CTX_INIT", given)
    assert trainer.keys.CTX_INIT == "" and trainer.initial_context(trainer.backbone, 5)[0].shape == (6, 64)


def test_a_context_shorter_than_the_template_is_refused(run, capsys):
    assert run("ProGrad", "base", "out", "TRAINER.COOP.N_CTX", "3") == 2
    assert 'TRAINER.COOP.N_CTX is 3, but the template "a photo of the digit {}." has 5 words' in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- KgCoOp
def test_kgcoop_weight_and_templates(build):
    assert build("KgCoOp", "base", "out").keys.W == 8.0
    assert kgcoop.KGCOOP_TEMPLATES == {"DescribableTextures": "a photo of a {}, a type of texture."}


# ------------------------------------------------------------------------------------------------------ zero-shot, probe
def test_ensemble_is_seven_templates_and_the_datasets_own(run, build):
    trainer = build("ZeroshotCLIP2", "base", "out")
    templates = (*ENSEMBLE, "a photo of the digit {}.")
    assert len(ENSEMBLE) == 7 and trainer.templates("a photo of the digit {}.") == templates
    features = [zeroshot_features(trainer.backbone, trainer.dm.dataset.classnames, t) for t in templates]
    assert torch.allclose(trainer.class_features, F.normalize(sum(features), dim=-1), atol=1e-6)
    assert build("ZeroshotCLIP2", "base", "out").templates("x {}") == (*ENSEMBLE, "x {}")  # it does not grow
    assert run("ZeroshotCLIP2", "base", "out", "--eval-only") == 0
    assert run("ZeroshotCLIP2", "base", "out") == 2


@pytest.mark.parametrize(
    ("name", "precision"),
    [*(("ZeroshotCLIP", precision) for precision in ("fp16", "bf16", "amp")), ("ZeroshotCLIP2", "fp16")],
)
def test_zero_shot_in_every_precision(name, precision, build):
    trainer = build(name, "base", "out", "TRAINER.ZSCLIP.PREC", precision)
    exact = build(name, "base", "out", "TRAINER.ZSCLIP.PREC", "fp32")
    batch = next(iter(trainer.test_loader))["img"][:20]
    with torch.no_grad():
        assert torch.allclose(trainer.model_inference(batch).float(), exact.model_inference(batch), atol=0.5)


def test_the_search_bisects_around_the_best_start():
    asked = []

    def accuracy(strength):
        asked.append(strength)
        return -abs(math.log10(strength) - 2.3)

    best = linear_probe.search(accuracy)
    assert asked[:7] == [1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6]
    assert asked[7:9] == pytest.approx([10.0, 1000.0])
    assert math.log10(best) == pytest.approx(2.3, abs=2 / 2**7)
    assert linear_probe.search(lambda strength: 0.5) == pytest.approx(1e5)  # all equal: the first start, its left end


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])  # NumPy, which scikit-learn computes with, has no bf16
def test_linear_probe_learns_keeps_and_loads(precision, run, build, tmp_path):
    keys = ("--seed", "1", "DATASET.NUM_SHOTS", "4", "TRAINER.LINEARPROBE.PREC", precision)
    assert run("LinearProbe", "base", "probe", *keys) == 0
    trainer = build("LinearProbe", "base", "again", *keys)
    before = trainer.test()
    trainer.load_model(str(tmp_path / "probe"), epoch=1)
    assert trainer.test() > before + 20


def test_linear_probe_of_two_classes(build):
    """scikit-learn keeps one row of weights then; ours has one for each class, with the same decisions."""
    trainer = build("LinearProbe", "base", "out")
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(40, 64)).astype(np.float32), rng.integers(0, 2, 40)
    model = LogisticRegression().fit(features, labels)
    trainer.classifier = torch.nn.Linear(64, 2).requires_grad_(False)
    trainer.set_weights(model)
    logits = trainer.classifier(torch.from_numpy(features))
    assert np.allclose(logits.softmax(-1).numpy(), model.predict_proba(features), atol=1e-6)


# ------------------------------------------------------------------------------------------------------------- lengths
@pytest.mark.parametrize(
    ("trainer", "keys", "message"),
    [
        ("CoCoOp", ("CTX_INIT", "", "N_CTX", "0"), "TRAINER.COCOOP.N_CTX is 0, expected 1 to 75"),
        ("CoCoOp", ("MEMORY", "0"), "TRAINER.COCOOP.MEMORY is 0.0, expected above 0"),
        ("MaPLe", ("PROMPT_DEPTH", "5"), "TRAINER.MAPLE.PROMPT_DEPTH is 5, expected 1 to 3"),
        ("MaPLe", ("N_CTX", "0"), "TRAINER.MAPLE.N_CTX is 0, expected 1 to 75"),
        ("VPT", ("PROMPT_DEPTH_VISION", "0"), "TRAINER.VPT.PROMPT_DEPTH_VISION is 0, expected 1 to 4"),
        ("PromptSRC", ("N_CTX_TEXT", "60"), "takes .* tokens .* but the text tower has 48 positions"),
    ],
)
def test_lengths_that_do_not_fit_are_named(trainer, keys, message, build):
    node = {"CoCoOp": "COCOOP", "MaPLe": "MAPLE", "VPT": "VPT", "PromptSRC": "PROMPTSRC"}[trainer]
    prefixed = [word if at % 2 else f"TRAINER.{node}.{word}" for at, word in enumerate(keys)]
    with pytest.raises(InputError, match=message):
        build(trainer, "base", "out", "--seed", "1", *prefixed).test()


def test_words_beyond_the_learned_tokens_stay_fixed():
    from caspl.prompting.groups import text_entries
    from caspl.prompting.learners import Prompts

    backbone = load_backbone("demo/student")
    words = backbone.embed("a photo of a")
    entries, rest = text_entries(2, 3, 64, words)
    assert torch.equal(entries[0], words[:2]) and torch.equal(rest, words[2:])
    (group,) = Prompts(entries, words=rest)()
    assert group.text_length == 4 and torch.equal(group.text[0], words) and group.text[1].shape == (2, 64)
    assert text_entries(5, 1, 64, words)[1].shape == (0, 64)  # more than four tokens: none of the words
    assert torch.equal(text_entries(0, 1, 64, words)[1], words)  # none learned: all of them
