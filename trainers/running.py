"""How a trainer's towers are computed: keys that change no number but by rounding."""

from __future__ import annotations

from collections.abc import Sequence

from caspl.clip.backbones import Backbone
from caspl.clip.compiling.choice import resolve_compilation
from caspl.clip.compiling.compiled import CHOICES as COMPILATIONS
from caspl.clip.precision import Precision
from caspl.ground.errors import naming
from caspl.ground.keys import Key
from caspl.prompting.attention.choice import CHOICES as ATTENTIONS
from caspl.prompting.attention.choice import resolve_attention
from caspl.prompting.model import PromptedCLIP

KEYS = [
    Key(
        "TRAIN.ATTENTION",
        "grouped",
        "The text tower's attention: grouped, or in one launch a block on a CUDA device, flex (FlexAttention, any "
        "PREC) or varlen (FlashAttention, fp16, bf16 and amp)",
        choices=ATTENTIONS,
    ),
    Key(
        "TRAIN.COMPILE",
        "off",
        "towers: torch.compile makes fewer, larger kernels of them; graphs: on CUDA they are captured in graphs, too",
        choices=COMPILATIONS,
    ),
]


class Running:
    """Mixin in front of a trainer that makes its prompted CLIP by `prompted`."""

    backbone: Backbone
    precision: Precision

    @naming({"attention": "TRAIN.ATTENTION", "compilation": "TRAIN.COMPILE"})
    def prompted(self, classnames: Sequence[str]) -> PromptedCLIP:
        """As `WithinMemory.prompted`, computed as the keys say."""
        self.backbone.check_student()
        if self.backbone.compilation.name != self.cfg.TRAIN.COMPILE:
            self.backbone.compilation = resolve_compilation(self.cfg.TRAIN.COMPILE, self.device)
        name, heads = self.cfg.TRAIN.ATTENTION, self.backbone.text_head_width
        return super().prompted(classnames, attention=resolve_attention(name, self.device, self.precision, heads))
