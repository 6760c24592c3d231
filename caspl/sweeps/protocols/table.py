"""The table of protocols. The first row that fits a run holds."""

from __future__ import annotations

from .rows import Fits, Keys, Protocol, Run, first, keys_for

# ---------------------------------------------------------------------------------------------------------------------
# Datasets
# ---------------------------------------------------------------------------------------------------------------------
BENCHMARK = (
    "imagenet",
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
)
IMAGENET_VARIANTS = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")

# ---------------------------------------------------------------------------------------------------------------------
# Sources
# ---------------------------------------------------------------------------------------------------------------------
OURS = "this project"
CASPL = "megvii-research/CasPL"
COOP = "KaiyangZhou/CoOp"
KGCOOP = "htyao89/KgCoOp"
MAPLE = "muzairkhattak/multimodal-prompt-learning"
PROGRAD = "BeierZhu/Prompt-align"
PROMPTSRC = "muzairkhattak/PromptSRC"

# ---------------------------------------------------------------------------------------------------------------------
# Configurations
# ---------------------------------------------------------------------------------------------------------------------
LABELLED = "base2new few_shot"
ALL = "base2new few_shot transfer"
BOTH_PROGRAD = "ProGrad CasPL_ProGrad"

PROTOCOLS = (
    # The embedded digits have configurations of their own, for the demo CLIPs
    Protocol(Fits(datasets="digits"), "digits", OURS),
    # Phase 1
    Protocol(
        Fits("transfer", "CasPLBoost", images="imagenet", learners="CasPL_CoCoOp"),
        "vit_b16_c2_ep20_batch128_lr0025_4+4ctx_l3",
        CASPL,
    ),
    Protocol(Fits("transfer", "CasPLBoost", images="imagenet"), "vit_b16_c2_ep20_batch128_lr0025_4+4ctx_l1", CASPL),
    Protocol(Fits("", "CasPLBoost", images="+imagenet"), "vit_b16_c2_ep20_batch128_lr0025_8+8ctx_l12", CASPL),
    Protocol(Fits("", "CasPLBoost"), "vit_b16_c2_ep20_batch4_8+8ctx_l12", CASPL),
    # CoOp
    Protocol(Fits("transfer", "CoOp"), "vit_b16_ep50_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("base2new", "CoOp", "imagenet"), "vit_b16_ep50_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("base2new", "CoOp"), "vit_b16_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("few_shot", "CoOp", "imagenet"), "vit_b16_ep50", f"{COOP}: COOP.md"),
    Protocol(Fits("few_shot", "CoOp", shots="1"), "vit_b16_ep50", f"{COOP}: COOP.md"),
    Protocol(Fits("few_shot", "CoOp", shots="2-4"), "vit_b16_ep100", f"{COOP}: COOP.md"),
    Protocol(Fits("few_shot", "CoOp"), "vit_b16", f"{COOP}: COOP.md"),
    Protocol(Fits("transfer", "CasPL_CoOp"), "vit_b16_ep10_ctxv1", CASPL),
    Protocol(Fits(LABELLED, "CasPL_CoOp"), "vit_b16_ep50", CASPL),
    # CoCoOp
    Protocol(Fits(ALL, "CoCoOp"), "vit_b16_c4_ep10_batch1_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("transfer", "CasPL_CoCoOp"), "vit_b16_c4_ep10_batch1_ctxv1", CASPL),
    Protocol(Fits(LABELLED, "CasPL_CoCoOp"), "vit_b16_c8_ep10_batch1", CASPL),
    # KgCoOp
    Protocol(Fits(ALL, "KgCoOp"), "vit_b16_ep100_ctxv1", f"{KGCOOP}: KgCoOp/scripts"),
    Protocol(Fits(ALL, "CasPL_KgCoOp"), "vit_b16_ep100_ctxv1", OURS),
    # ProGrad
    Protocol(Fits("transfer", BOTH_PROGRAD), "vit_b16_ep50", OURS),
    Protocol(Fits(LABELLED, BOTH_PROGRAD, "imagenet"), "vit_b16_ep50", f"{PROGRAD}: ProGrad.public/scripts"),
    Protocol(Fits("base2new", BOTH_PROGRAD), "vit_b16_ep100", f"{PROGRAD}: ProGrad.public/scripts"),
    Protocol(Fits("few_shot", BOTH_PROGRAD, shots="1"), "vit_b16_ep50", f"{PROGRAD}: ProGrad.public/scripts"),
    Protocol(Fits("few_shot", BOTH_PROGRAD, shots="2-4"), "vit_b16_ep100", f"{PROGRAD}: ProGrad.public/scripts"),
    Protocol(Fits("few_shot", BOTH_PROGRAD), "vit_b16", f"{PROGRAD}: ProGrad.public/scripts"),
    # VPT and independent prompts
    Protocol(Fits(ALL, "VPT"), "vit_b16_c2_ep5_batch4_4", f"{MAPLE}: scripts/vpt"),
    Protocol(Fits(ALL, "CasPL_VPT"), "vit_b16_c2_ep5_batch4_8_l12", OURS),
    Protocol(Fits(ALL, "IVLP"), "vit_b16_c2_ep5_batch4_2+2ctx", f"{MAPLE}: scripts/independent-vlp"),
    Protocol(Fits(ALL, "CasPL_IVLP"), "vit_b16_c2_ep20_batch4_8+8ctx_l12", OURS),
    # MaPLe
    Protocol(Fits("transfer", "MaPLe"), "vit_b16_c2_ep5_batch4_2ctx_cross_datasets", f"{MAPLE}: scripts/maple"),
    Protocol(Fits(LABELLED, "MaPLe"), "vit_b16_c2_ep5_batch4_2ctx", f"{MAPLE}: scripts/maple"),
    Protocol(Fits("transfer", "CasPL_MaPLe"), "vit_b16_c8_ep5_batch4_8ctx_cross_datasets_l12", CASPL),
    Protocol(Fits(LABELLED, "CasPL_MaPLe"), "vit_b16_c8_ep5_batch4_8ctx_l12", CASPL),
    # PromptSRC
    Protocol(
        Fits("transfer", "PromptSRC"),
        "vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets",
        f"{PROMPTSRC}: scripts/promptsrc",
    ),
    Protocol(
        Fits("few_shot", "PromptSRC"), "vit_b16_c2_ep50_batch4_4+4ctx_few_shot", f"{PROMPTSRC}: scripts/promptsrc"
    ),
    Protocol(Fits("base2new", "PromptSRC"), "vit_b16_c2_ep20_batch4_4+4ctx", f"{PROMPTSRC}: scripts/promptsrc"),
    Protocol(Fits("transfer", "CasPL_PromptSRC"), "vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l3", CASPL),
    Protocol(Fits("few_shot", "CasPL_PromptSRC"), "vit_b16_c2_ep50_batch4_8+8ctx_few_shot_l12", CASPL),
    Protocol(Fits("base2new", "CasPL_PromptSRC"), "vit_b16_c2_ep20_batch4_8+8ctx_l12", CASPL),
    # What sees no labels or is fitted at once; of a trainer that was added, --config knows better
    Protocol(Fits(), "vit_b16", f"{COOP}: scripts/coop/zeroshot.sh"),
)

# ---------------------------------------------------------------------------------------------------------------------
# Keys beside the configurations
# ---------------------------------------------------------------------------------------------------------------------
GAUSSIAN = "weights of PromptSRC's 50 epochs"
KEYS = (
    Keys(
        Fits(datasets="stanford_cars oxford_flowers fgvc_aircraft dtd eurosat"),
        GAUSSIAN,
        ("TRAINER.PROMPTSRC.GPA_MEAN", "45", "TRAINER.PROMPTSRC.GPA_STD", "5"),
        f"{PROMPTSRC}: scripts/promptsrc/few_shot.sh",
        config="few_shot",
    ),
    Keys(
        Fits(),
        GAUSSIAN,
        ("TRAINER.PROMPTSRC.GPA_MEAN", "30", "TRAINER.PROMPTSRC.GPA_STD", "30"),
        f"{PROMPTSRC}: scripts/promptsrc/few_shot.sh",
        config="few_shot",
    ),
    Keys(
        Fits("few_shot", BOTH_PROGRAD, "oxford_flowers dtd eurosat", shots="8-"),
        "ProGrad's lambda",
        ("LOSS.LAMBDA", "0.8"),
        f"{PROGRAD}: ProGrad.public/scripts",
    ),
)


def protocol(run: Run, *, as_published: bool = False) -> Protocol:
    """The row for a run; the last one is for all that no other is for."""
    found = first(PROTOCOLS, run)
    assert found is not None
    return found.as_published() if as_published else found


def keys_beside(run: Run, config: str) -> tuple[str, ...]:
    """The pairs KEY VALUE that a run gets with a configuration, whichever row or person chose that."""
    return keys_for(KEYS, run, config)
