"""The table of protocols. The first row that fits a run holds."""

from __future__ import annotations

from .rows import Fits, Keys, Protocol, Published, Run, first, keys_for

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
CASPL = "megvii-research/CasPL: train_script"
COOP = "KaiyangZhou/CoOp"
KGCOOP = "htyao89/KgCoOp: KgCoOp/scripts"
MAPLE = "muzairkhattak/multimodal-prompt-learning: scripts"
PROGRAD = "BeierZhu/Prompt-align: ProGrad.public"
PROMPTSRC = "muzairkhattak/PromptSRC: scripts/promptsrc"
NO_FEW_SHOT = f"{OURS}, as base-to-new, since no script is published"

# Why ours differs from a source, where it does
ONE_BACKBONE = "ViT-B/16, as all methods of a table have one backbone; the source has RN50"
ONE_KIND = (
    "ViT-B/16 and 16 shots, as all methods of a table have one backbone and number of shots; the source has RN50 and 4"
)
RERUN = "ViT-B/16 and 16 shots, as in KgCoOp's rerun, whose numbers stand beside ours; the source has RN50 and 4 shots"
KEPT_EPOCH = "the last epoch is tested; the source asks for epoch 2, which its training of 5 does not keep"
SHOTS_16 = "16 shots, as all methods of a table have, those of the published numbers too; the source has 4"
SHOTS_ALL = "all numbers of shots, as the experiment has; the source has 4 only"
SEEDS_3 = "seeds 1 to 3, as all methods of a table have; the source has seed 1"
NO_N_CTX = (
    'four tokens, "a photo of a"; the source sets N_CTX to 8 besides, by which the first four tokens of each class name fall '
    "away; --as-published does not follow that"
)

# ---------------------------------------------------------------------------------------------------------------------
# Configurations
# ---------------------------------------------------------------------------------------------------------------------
ALL = "base2new few_shot transfer"
BY_SHOTS = (("imagenet", "", "_ep50"), ("", "1", "_ep50"), ("", "2-4", "_ep100"), ("", "", ""))  # 200 epochs

PROTOCOLS = (
    # The embedded digits have configurations of their own, for the demo CLIPs
    Protocol(Fits(datasets="digits"), "digits", OURS),
    # Phase 1
    Protocol(
        Fits("transfer", "CasPLBoost", images="imagenet", learners="CasPL_CoCoOp"),
        "vit_b16_c2_ep20_batch128_lr0025_4+4ctx_l3",
        f"{CASPL}/caspl_cocoop/train_cross_dataset.py",
    ),
    Protocol(
        Fits("transfer", "CasPLBoost", images="imagenet"),
        "vit_b16_c2_ep20_batch128_lr0025_4+4ctx_l1",
        f"{CASPL}/caspl_*/train_cross_dataset.py",
    ),
    Protocol(
        Fits("", "CasPLBoost", images="+imagenet"),
        "vit_b16_c2_ep20_batch128_lr0025_8+8ctx_l12",
        f"{CASPL}/train_get_boosting_prompt.py",
    ),
    Protocol(Fits("", "CasPLBoost"), "vit_b16_c2_ep20_batch4_8+8ctx_l12", f"{CASPL}/train_get_boosting_prompt.py"),
    # CoOp
    Protocol(Fits("transfer", "CoOp"), "vit_b16_ep50_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("base2new", "CoOp", "imagenet"), "vit_b16_ep50_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("base2new", "CoOp"), "vit_b16_ctxv1", f"{COOP}: scripts/cocoop"),
    *(
        Protocol(
            Fits("few_shot", "CoOp", datasets, shots),
            f"vit_b16{epochs}",
            f"{COOP}: COOP.md",
            deviation=ONE_BACKBONE,
            published=Published(f"rn50{epochs}"),
        )
        for datasets, shots, epochs in BY_SHOTS
    ),
    Protocol(
        Fits("transfer", "CasPL_CoOp"),
        "vit_b16_ep10_ctxv1",
        f"{CASPL}/caspl_coop/train_cross_dataset.py",
        deviation=NO_N_CTX,
    ),
    Protocol(Fits("base2new", "CasPL_CoOp"), "vit_b16_ep50", f"{CASPL}/caspl_coop/train_base_to_new.py"),
    Protocol(Fits("few_shot", "CasPL_CoOp"), "vit_b16_ep50", NO_FEW_SHOT),
    # CoCoOp
    Protocol(Fits("base2new transfer", "CoCoOp"), "vit_b16_c4_ep10_batch1_ctxv1", f"{COOP}: scripts/cocoop"),
    Protocol(Fits("few_shot", "CoCoOp"), "vit_b16_c4_ep10_batch1_ctxv1", NO_FEW_SHOT),
    Protocol(
        Fits("transfer", "CasPL_CoCoOp"),
        "vit_b16_c4_ep10_batch1_ctxv1",
        f"{CASPL}/caspl_cocoop/train_cross_dataset.py",
    ),
    Protocol(Fits("base2new", "CasPL_CoCoOp"), "vit_b16_c8_ep10_batch1", f"{CASPL}/caspl_cocoop/train_base_to_new.py"),
    Protocol(Fits("few_shot", "CasPL_CoCoOp"), "vit_b16_c8_ep10_batch1", NO_FEW_SHOT),
    # KgCoOp
    Protocol(Fits("base2new", "KgCoOp"), "vit_b16_ep100_ctxv1", f"{KGCOOP}/base2new_train.sh"),
    Protocol(
        Fits("transfer", "KgCoOp"),
        "vit_b16_ep100_ctxv1",
        f"{KGCOOP}/xd_train.sh",
        deviation=SHOTS_16,
        published=Published(shots=(4,)),
    ),
    Protocol(
        Fits("few_shot", "KgCoOp"),
        "vit_b16_ep100_ctxv1",
        f"{KGCOOP}/xd_train.sh",
        deviation=SHOTS_ALL,
        published=Published(shots=(4,)),
    ),
    Protocol(Fits(ALL, "CasPL_KgCoOp"), "vit_b16_ep100_ctxv1", OURS),
    # ProGrad
    Protocol(
        Fits("transfer", "ProGrad"),
        "vit_b16_ep50",
        f"{PROGRAD}/scripts/eval.sh",
        deviation=ONE_KIND,
        published=Published("rn50_ep50", shots=(4,)),
    ),
    *(
        Protocol(
            Fits("base2new", "ProGrad", datasets),
            f"vit_b16{epochs}",
            f"{PROGRAD}/scripts/base2new_train_prograd.sh and README.md",
            deviation=RERUN,
            published=Published(f"rn50{epochs}", shots=(4,)),
        )
        for datasets, epochs in (("imagenet", "_ep50"), ("", "_ep100"))
    ),
    *(
        Protocol(
            Fits("few_shot", "ProGrad", datasets, shots),
            f"vit_b16{epochs}",
            f"{PROGRAD}/scripts/prograd.sh and README.md",
            deviation=ONE_BACKBONE,
            published=Published(f"rn50{epochs}"),
        )
        for datasets, shots, epochs in BY_SHOTS
    ),
    Protocol(Fits("transfer", "CasPL_ProGrad"), "vit_b16_ep50", OURS),
    Protocol(Fits("base2new", "CasPL_ProGrad", "imagenet"), "vit_b16_ep50", OURS),
    Protocol(Fits("base2new", "CasPL_ProGrad"), "vit_b16_ep100", OURS),
    *(
        Protocol(Fits("few_shot", "CasPL_ProGrad", datasets, shots), f"vit_b16{epochs}", OURS)
        for datasets, shots, epochs in BY_SHOTS
    ),
    # VPT and independent prompts
    Protocol(Fits("transfer", "VPT"), "vit_b16_c2_ep5_batch4_4", f"{MAPLE}/vpt/xd_*.sh", deviation=KEPT_EPOCH),
    Protocol(Fits("base2new", "VPT"), "vit_b16_c2_ep5_batch4_4", f"{MAPLE}/vpt/base2new_*.sh"),
    Protocol(Fits("few_shot", "VPT"), "vit_b16_c2_ep5_batch4_4", NO_FEW_SHOT),
    Protocol(Fits(ALL, "CasPL_VPT"), "vit_b16_c2_ep5_batch4_8_l12", OURS),
    Protocol(
        Fits("transfer", "IVLP"),
        "vit_b16_c2_ep5_batch4_2+2ctx",
        f"{MAPLE}/independent-vlp/xd_*.sh",
        deviation=KEPT_EPOCH,
    ),
    Protocol(Fits("base2new", "IVLP"), "vit_b16_c2_ep5_batch4_2+2ctx", f"{MAPLE}/independent-vlp/base2new_*.sh"),
    Protocol(Fits("few_shot", "IVLP"), "vit_b16_c2_ep5_batch4_2+2ctx", NO_FEW_SHOT),
    Protocol(Fits(ALL, "CasPL_IVLP"), "vit_b16_c2_ep20_batch4_8+8ctx_l12", OURS),
    # MaPLe; PromptSRC's repository has a copy of its base-to-new with 2 epochs, vit_b16_c2_ep2_batch4_2ctx here
    Protocol(Fits("transfer", "MaPLe"), "vit_b16_c2_ep5_batch4_2ctx_cross_datasets", f"{MAPLE}/maple/xd_*.sh"),
    Protocol(Fits("base2new", "MaPLe"), "vit_b16_c2_ep5_batch4_2ctx", f"{MAPLE}/maple/base2new_*.sh"),
    Protocol(Fits("few_shot", "MaPLe"), "vit_b16_c2_ep5_batch4_2ctx", NO_FEW_SHOT),
    Protocol(
        Fits("transfer", "CasPL_MaPLe"),
        "vit_b16_c8_ep5_batch4_8ctx_cross_datasets_l12",
        f"{CASPL}/caspl_maple/train_cross_dataset.py",
    ),
    Protocol(
        Fits("base2new", "CasPL_MaPLe"),
        "vit_b16_c8_ep5_batch4_8ctx_l12",
        f"{CASPL}/caspl_maple/train_base_to_new.py",
    ),
    Protocol(Fits("few_shot", "CasPL_MaPLe"), "vit_b16_c8_ep5_batch4_8ctx_l12", NO_FEW_SHOT),
    # PromptSRC; its xd_train.sh names a configuration that is not there, reproduce_xd.sh this one
    Protocol(
        Fits("transfer", "PromptSRC"),
        "vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets",
        f"{PROMPTSRC}/reproduce_xd.sh",
    ),
    Protocol(Fits("few_shot", "PromptSRC"), "vit_b16_c2_ep50_batch4_4+4ctx_few_shot", f"{PROMPTSRC}/few_shot.sh"),
    Protocol(Fits("base2new", "PromptSRC"), "vit_b16_c2_ep20_batch4_4+4ctx", f"{PROMPTSRC}/base2new_train.sh"),
    Protocol(
        Fits("transfer", "CasPL_PromptSRC"),
        "vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l3",
        f"{CASPL}/caspl_promptsrc/train_cross_dataset.py",
        deviation=SEEDS_3,
        published=Published(seeds=(1,)),
    ),
    Protocol(
        Fits("few_shot", "CasPL_PromptSRC"),
        "vit_b16_c2_ep50_batch4_8+8ctx_few_shot_l12",
        f"{CASPL}/caspl_promptsrc/train_few_shot.py",
    ),
    Protocol(
        Fits("base2new", "CasPL_PromptSRC"),
        "vit_b16_c2_ep20_batch4_8+8ctx_l12",
        f"{CASPL}/caspl_promptsrc/train_base_to_new.py",
    ),
    # What is fitted at once, and what sees no labels; of a trainer that was added, --config knows better
    Protocol(
        Fits("", "LinearProbe"),
        "vit_b16",
        f"{COOP}: lpclip",
        deviation=ONE_BACKBONE,
        published=Published("rn50"),
    ),
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
        f"{PROMPTSRC}/few_shot.sh",
        config="few_shot",
    ),
    Keys(
        Fits(),
        GAUSSIAN,
        ("TRAINER.PROMPTSRC.GPA_MEAN", "30", "TRAINER.PROMPTSRC.GPA_STD", "30"),
        f"{PROMPTSRC}/few_shot.sh",
        config="few_shot",
    ),
    # Boosting prompts are those of one block, adapting ones enter three: the published code has one depth for both
    Keys(
        Fits("transfer", "CasPL_PromptSRC"),
        "depth of the boosting prompts",
        ("TRAINER.CASPL.DEPTH_OF_ADAPTING", "True"),
        "megvii-research/CasPL: trainers/caspl_promptsrc.py",
        config="cross_datasets",
    ),
    Keys(
        Fits("few_shot", "ProGrad CasPL_ProGrad", "oxford_flowers dtd eurosat", shots="8-"),
        "ProGrad's lambda",
        ("LOSS.LAMBDA", "0.8"),
        f"{PROGRAD}/README.md",
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
