"""What the methods' keys share, and configurations that may be a host's: what stands there holds, what is missing is ours."""

from __future__ import annotations

from collections.abc import Sequence

from yacs.config import CfgNode

from caspl.clip.precision import CHOICES
from caspl.clip.templates import has_one_place
from caspl.ground.errors import InputError
from caspl.ground.keys import Key, add_keys, check


def precision_key(node: str) -> Key:
    """PREC of a method, in its node of the configuration."""
    return Key(f"{node}.PREC", "fp16", "Number format that CLIP computes in; prompts stay in fp32", choices=CHOICES)


def template_key(name: str, about: str) -> Key:
    """A text for the classes, which need not be given."""
    rule = "empty or with one {} for the class name"
    return Key(name, "", about, check=lambda text: not text or has_one_place(text), rule=rule)


def independent_keys(node: str, tokens: int) -> list[Key]:
    """The keys of a method with text and vision prompts of their own, `tokens` of each by default."""
    return [
        Key(f"{node}.N_CTX_VISION", tokens, "Tokens in the image tower", least=0),
        Key(f"{node}.N_CTX_TEXT", tokens, "Tokens in the text tower", least=0),
        Key(f"{node}.CTX_INIT", "a photo of a", "Words that up to 4 text tokens start from; the rest stays fixed"),
        precision_key(node),
        Key(f"{node}.PROMPT_DEPTH_VISION", 9, "Image blocks that the tokens enter; 1 is shallow", least=0),
        Key(f"{node}.PROMPT_DEPTH_TEXT", 9, "Text blocks that the tokens enter; 1 is shallow", least=0),
    ]


def completed(cfg: CfgNode, keys: Sequence[Key]) -> CfgNode:
    """A copy of `cfg` with the defaults of those `keys` that it lacks: a host's own TRAINER.COOP may have no W.

    Raises InputError where nodes are missing (somebody has dropped them, and with them what the user had set there), and, with
    all mistakes at once, for values that cannot be.
    """
    nodes = dict.fromkeys(key.section for key in keys if key.name.startswith("TRAINER."))
    dropped = [node for node in nodes if node.removeprefix("TRAINER.") not in cfg.TRAINER]
    if dropped:
        raise InputError(
            f"the configuration has no {', '.join(dropped)}; import caspl.plugin before get_cfg_default() is called, and "
            f"leave out Dassl's clean_cfg, which drops the nodes that are not named like the trainer"
        )
    cfg = cfg.clone()
    add_keys(cfg, keys)
    check(cfg, keys)
    return cfg
