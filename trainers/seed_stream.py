"""SEED_STREAM upstream: prompts and the order of images start where they start in the family's code with the same seed.

That code builds a CLIP before anything is learned, and PyTorch fills each of its layers at random before weights are loaded.
So prompts are drawn further on in the random stream than here, in VPT, IVLP and PromptSRC in the midst of the layers, and more
CLIPs may follow before images are shuffled for the first epoch. Here the same numbers are drawn, layer by layer in the same
order, and thrown away. Weights have no part in it, so it is exact: `python -m bench seed_stream` compares it with the
repositories.

Of KaiyangZhou/CoOp (CoOp, CoCoOp), htyao89/KgCoOp, BeierZhu/Prompt-align (ProGrad), muzairkhattak/multimodal-prompt-learning
(VPT, IVLP, MaPLe) and muzairkhattak/PromptSRC. CasPL's code is not among them, as it could not be run beside this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from caspl.clip.backbones import Backbone
from caspl.ground.errors import InputError
from caspl.ground.keys import Key
from caspl.prompting.groups import MOST_FROM_WORDS
from caspl.prompting.learners import Learner

UPSTREAM = "upstream"
KEYS = [
    Key(
        "SEED_STREAM",
        "ours",
        "upstream: with the same seed, prompts and the order of images start as in the method's own repository, whose CLIP "
        "moves the random stream on while it is built; not with CasPL",
        choices=("ours", UPSTREAM),
    ),
]
NAMES = {key.name for key in KEYS}
STD = 0.02  # of new prompts
KGCOOP_WIDTH = 512  # of layers that KgCoOp's code draws and never uses


@dataclass(frozen=True)
class Deep:
    """Prompts that are parameters of a tower: so many tokens in so many blocks."""

    tokens: int = 0
    depth: int = 0


NONE = Deep()


@dataclass
class Stream:
    """What the family's code draws for one run, from the default generator.

    Attributes:
        clip: the CLIP whose layers are drawn.
        keys: of the method.
        classes: how many there are.
        half: whether context and meta-net are in fp16, as with PREC fp16.
        drawn: parameters of our learner, by their names in it.
    """

    clip: Backbone
    keys: CfgNode
    classes: int
    half: bool
    drawn: dict[str, Tensor] = field(default_factory=dict)

    # ------------------------------------------------------------ a CLIP
    def build_clip(self, vision: Deep = NONE, text: Deep = NONE) -> None:
        """A CLIP from its first layer to its last initialisation."""
        model, width = self.clip.model, self.clip.text_width
        (self._vit if self.clip.has_vit else self._resnet)(vision)
        layers, shape = self.clip.text_blocks, model.token_embedding.weight.shape
        self._blocks(width, layers, text, "text")
        nn.Embedding(*shape)
        normal(*shape)
        normal(*model.positional_embedding.shape)
        if not self.clip.has_vit:
            output, embedding = self._pool()
            for rows in (embedding, embedding, embedding, output):
                normal(rows, embedding)
        for _ in range(layers):
            normal(3 * width, width)
            normal(width, width)
            normal(4 * width, width)
            normal(width, 4 * width)
        normal(*model.text_projection.shape)

    def _vit(self, vision: Deep) -> None:
        visual, width = self.clip.model.visual, self.clip.vision_width
        nn.Conv2d(3, width, visual.conv1.kernel_size, visual.conv1.stride, bias=False)
        if vision.depth:
            self.drawn["vision.0"] = normal(vision.tokens, width)
        torch.randn(width)
        torch.randn(visual.positional_embedding.shape)
        self._blocks(width, len(visual.transformer.resblocks), vision, "vision")
        torch.randn(visual.proj.shape)

    def _resnet(self, vision: Deep) -> None:
        visual = self.clip.model.visual
        for convolution in (visual.conv1, visual.conv2, visual.conv3):
            redraw(convolution)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            for block in layer:
                for part in (block.conv1, block.conv2, block.conv3):
                    redraw(part)
                if block.downsample is not None:
                    redraw(block.downsample[1])
        output, embedding = self._pool()
        torch.randn(visual.attnpool.positional_embedding.shape)
        for rows in (embedding, embedding, embedding, output):
            nn.Linear(embedding, rows)

    def _pool(self) -> tuple[int, int]:
        """Rows and columns of the last layer of a ResNet."""
        rows, columns = self.clip.model.visual.attnpool.c_proj.weight.shape
        return rows, columns

    def _blocks(self, width: int, layers: int, prompts: Deep, tower: str) -> None:
        for number in range(layers):
            nn.MultiheadAttention(width, 1)
            nn.Linear(width, 4 * width)
            nn.Linear(4 * width, width)
            if 0 < number < prompts.depth:
                self.drawn[f"{tower}.{number}"] = normal(prompts.tokens, width)

    # ------------------------------------------------------------ what learns
    def context(self, name: str = "ctx", *, tokens: int, of_words: bool, classes: int = 0) -> None:
        """Context at random, in the format of CLIP's weights, unless it is one of words."""
        if not of_words:
            shape = (*([classes] if classes else []), tokens, self.clip.text_width)
            self.drawn[name] = normal(*shape, half=self.half)

    def linear(self, name: str, inputs: int, outputs: int, *, half: bool) -> None:
        layer = nn.Linear(inputs, outputs)
        for part, value in layer.named_parameters():
            self.drawn[f"{name}.{part}"] = value.half() if half else value


def normal(*shape: int, half: bool = False) -> Tensor:
    """New numbers of N(0, 0.02^2); how many are drawn does not depend on the deviation."""
    return nn.init.normal_(torch.empty(*shape, dtype=torch.float16 if half else torch.float32), std=STD)


def redraw(layer: nn.Conv2d) -> None:
    nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, bias=False)


# ---------------------------------------------------------------------------------------------------------------------
# The methods, each as its repository has it
# ---------------------------------------------------------------------------------------------------------------------
def _coop(stream: Stream) -> None:
    stream.build_clip()
    _context_of_coop(stream)


def _context_of_coop(stream: Stream) -> None:
    keys = stream.keys
    stream.context(tokens=keys.N_CTX, of_words=bool(keys.CTX_INIT), classes=stream.classes if keys.CSC else 0)


def _cocoop(stream: Stream) -> None:
    stream.build_clip()
    stream.context(tokens=stream.keys.N_CTX, of_words=bool(stream.keys.CTX_INIT))
    width, embedding = stream.clip.model.text_projection.shape
    stream.linear("meta_net.linear1", embedding, embedding // 16, half=stream.half)
    stream.linear("meta_net.linear2", embedding // 16, width, half=stream.half)


def _kgcoop(stream: Stream) -> None:
    """With a second CLIP for the class features, a vector, a meta-net and an adapter that nothing uses."""
    _coop(stream)
    normal(1, KGCOOP_WIDTH, half=stream.half)
    stream.build_clip()
    nn.Linear(KGCOOP_WIDTH, KGCOOP_WIDTH)
    nn.Linear(KGCOOP_WIDTH, KGCOOP_WIDTH // 4, bias=False)
    nn.Linear(KGCOOP_WIDTH // 4, KGCOOP_WIDTH, bias=False)


def _prograd(stream: Stream) -> None:
    """With the zero-shot CLIP before the context."""
    stream.build_clip()
    _coop(stream)


def _maple(stream: Stream) -> None:
    """Its first map is in fp16 whatever PREC is, deeper prompts and maps are not."""
    keys, widths = stream.keys, (stream.clip.text_width, stream.clip.vision_width)
    stream.build_clip()
    stream.context(tokens=keys.N_CTX, of_words=_of_words(keys.CTX_INIT, keys.N_CTX))
    stream.linear("proj", *widths, half=True)
    for number in range(keys.PROMPT_DEPTH - 1):
        stream.drawn[f"compound_prompts_text.{number}"] = normal(keys.N_CTX, widths[0])
    single = nn.Linear(*widths)
    for number in range(keys.PROMPT_DEPTH - 1):
        for part, value in single.named_parameters():
            stream.drawn[f"compound_prompt_projections.{number}.{part}"] = value


def _vpt(stream: Stream) -> None:
    stream.build_clip(vision=Deep(stream.keys.N_CTX_VISION, stream.keys.PROMPT_DEPTH_VISION))


def _ivlp(stream: Stream) -> None:
    keys = stream.keys
    text = Deep(keys.N_CTX_TEXT, keys.PROMPT_DEPTH_TEXT)
    stream.build_clip(Deep(keys.N_CTX_VISION, keys.PROMPT_DEPTH_VISION), text)
    stream.context("text.0", tokens=keys.N_CTX_TEXT, of_words=_of_words(keys.CTX_INIT, keys.N_CTX_TEXT))


def _promptsrc(stream: Stream) -> None:
    """With one CLIP more for the sixty templates and one for images."""
    _ivlp(stream)
    stream.build_clip()
    stream.build_clip()


def _of_words(words: str, tokens: int) -> bool:
    return bool(words) and tokens <= MOST_FROM_WORDS


METHODS: dict[str, Callable[[Stream], None]] = {
    "CoOp": _coop,
    "CoCoOp": _cocoop,
    "KgCoOp": _kgcoop,
    "ProGrad": _prograd,
    "VPT": _vpt,
    "IVLP": _ivlp,
    "MaPLe": _maple,
    "PromptSRC": _promptsrc,
}


@torch.no_grad()
def start_as_upstream(learner: Learner, method: str, clip: Backbone, keys: CfgNode, classes: int) -> None:
    """Give a new learner the values that it would have there, and leave the stream as it would be there after `build_model`.

    Raises InputError for a method, a number format or a CLIP that it does not have there.
    """
    if method not in METHODS:
        raise InputError(
            f"SEED_STREAM is upstream, which is there for {', '.join(METHODS)}, not for {method}; leave it out"
        )
    if not clip.has_vit and not hasattr(clip.model.visual, "attnpool"):
        raise InputError(
            f"SEED_STREAM is upstream, which is there for OpenAI's CLIPs, and {clip.name} has another image tower"
        )
    if keys.PREC == "bf16":
        raise InputError(
            "SEED_STREAM is upstream and PREC bf16, which the family's code does not have; take fp16, fp32 or amp"
        )
    stream = Stream(clip, keys, classes, half=keys.PREC == "fp16")
    METHODS[method](stream)
    state = learner.state_dict()
    for name, value in state.items():
        value.copy_(stream.drawn.get(name, value))
    if stream.half and method != "VPT":
        for name in ("ctx", "text.0"):  # of words, too
            if name in state:
                state[name].copy_(state[name].half())
