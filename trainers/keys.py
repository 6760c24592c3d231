"""What the methods' keys share, and configurations that may be a host's: what stands there holds, what is missing is ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yacs.config import CfgNode

from caspl.clip.precision import CHOICES
from caspl.ground.errors import InputError
from caspl.ground.keys import Key, Rule, add_keys, check, put, value_of
from caspl.ground.texts import has_one_place, shown

from .crops import KEYS as CROPS

# Of CLIP's 77 text positions two are [SOS] and [EOS]; towers with fewer, or fewer blocks, say so when they are loaded
MOST_TEXT_TOKENS, MOST_VISION_TOKENS, MOST_BLOCKS, MOST_WEIGHT = 75, 1_024, 128, 1_000_000


def tokens_key(name: str, tokens: int, about: str, least: int = 0, most: int = MOST_TEXT_TOKENS) -> Key:
    """How many tokens a prompt has."""
    return Key(name, tokens, about, least=least, most=most, recorded=True)


def some_tokens(node: str) -> Rule:
    """Of the two towers one must have prompts, else there is nothing to learn."""
    names = (f"{node}.N_CTX_TEXT", f"{node}.N_CTX_VISION")
    return Rule(names, lambda text, vision: text + vision > 0, "tokens in one of the towers")


def depth_key(name: str, depth: int, about: str, least: int = 0) -> Key:
    """How many blocks prompts enter."""
    return Key(name, depth, about, least=least, most=MOST_BLOCKS, recorded=True)


def words_key(name: str, words: str, about: str) -> Key:
    """Words that tokens start from, or that stand fixed in front of the class name; none need be given."""
    return Key(
        name,
        words,
        about,
        check=lambda text: not text or "" not in text.replace("_", " ").split(" "),
        rule="empty or words with one space between them",
        recorded=True,
    )


TEMPLATE = "template"  # as CTX_INIT: the words of the dataset's template


def context_words_key(name: str) -> Key:
    """Words that a context starts from, as `words_key`, or those of the template, which True means in the family's files."""
    about = f'Words that the context starts from; empty: N(0, 0.02^2); "{TEMPLATE}" (or True): those of the dataset\'s template'
    return replace(words_key(name, "", about), meant_by_true=TEMPLATE)


class Declaring:
    """What every trainer here says about configuration keys, before there is an object of it."""

    learns = True  # False: it is only tested
    own_keys: Sequence[Key] = ()  # those of its own and of other nodes that it reads
    rules: Sequence[Rule] = ()  # and what several of them have to be together
    passes_over: Sequence[str] = ()  # Dassl's keys that it does not read, whereas the others here do

    @classmethod
    def declared(cls) -> list[Key]:
        """The configuration keys that are ours among those that it may read; checked before anything is loaded."""
        return [*cls.own_keys]

    @classmethod
    def reads(cls, cfg: CfgNode) -> list[Key]:
        """Those of `declared` that it reads with the rest of this configuration."""
        return cls.declared()

    @classmethod
    def recorded(cls, cfg: CfgNode) -> list[str]:
        """The names of those of `reads` on which depends what is tested beside the tensors of a model file."""
        return [key.name for key in cls.reads(cfg) if key.recorded]

    @classmethod
    def refuse_unread(cls, cfg: CfgNode) -> None:
        """Raise InputError where keys of `declared` are set that it does not read: in hosts, for train.py says it before."""
        read = {key.name for key in cls.reads(cfg)}
        idle = [key for key in cls.declared() if key.name not in read and value_of(cfg, key.name) != key.default]
        if idle:
            said = [f"{key.name} is {shown(value_of(cfg, key.name))} ({key.about})" for key in idle]
            raise InputError(f"{cls.__name__} does not read what is set: {'; '.join(said)}; leave it out")

    @classmethod
    def obstacle(cls, cfg: CfgNode) -> str:
        """What keeps it from training with this configuration, as a sentence; "" where nothing does."""
        return "" if cls.learns else f"{cls.__name__} has nothing to train; add --eval-only"


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
        tokens_key(f"{node}.N_CTX_VISION", tokens, "Tokens in the image tower", most=MOST_VISION_TOKENS),
        tokens_key(f"{node}.N_CTX_TEXT", tokens, "Tokens in the text tower"),
        words_key(
            f"{node}.CTX_INIT", "a photo of a", "Words that up to 4 text tokens start from; the rest stays fixed"
        ),
        precision_key(node),
        depth_key(f"{node}.PROMPT_DEPTH_VISION", 9, "Image blocks that the tokens enter; 1 is shallow"),
        depth_key(f"{node}.PROMPT_DEPTH_TEXT", 9, "Text blocks that the tokens enter; 1 is shallow"),
    ]


def completed(cfg: CfgNode, keys: Sequence[Key]) -> CfgNode:
    """A copy of `cfg` with the defaults of those `keys` that it lacks: a host's own TRAINER.COOP may have no W.

    Raises InputError where nodes are missing (somebody has dropped them, and with them what the user had set there), and, with
    all mistakes at once, for values that cannot be. The keys of crops, which stand in CasPL's node, are not missed in one.
    """
    nodes = dict.fromkeys(key.section for key in keys if key.name.startswith("TRAINER.") and key not in CROPS)
    dropped = [node for node in nodes if node.removeprefix("TRAINER.") not in cfg.TRAINER]
    if dropped:
        raise InputError(
            f"the configuration has no {', '.join(dropped)}; import caspl.plugin before get_cfg_default() is called, and "
            f"leave out Dassl's clean_cfg, which drops the nodes that are not named like the trainer"
        )
    cfg = cfg.clone()
    add_keys(cfg, keys)
    for key in keys:  # a host has read its texts, and knows other values, such as True as CTX_INIT
        value = value_of(cfg, key.name)
        put(cfg, key.name, key.canonical(value) if isinstance(value, str) else key.taken(value))
    check(cfg, keys)
    return cfg
