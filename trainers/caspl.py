"""CasPL, phase 2: each prompt learner behind boosting prompts. arXiv 2409.17805, section 3.4.

The trainers' names are the family's spelling.
"""

from __future__ import annotations

from .cascaded import Cascaded
from .cocoop import CoCoOp
from .coop import CoOp
from .ivlp import IVLP, VPT
from .kgcoop import KgCoOp
from .maple import MaPLe
from .prograd import ProGrad
from .promptsrc import PromptSRC
from .registration import register


@register
class CasPL_CoOp(Cascaded, CoOp):
    """CoOp behind boosting prompts."""


@register
class CasPL_CoCoOp(Cascaded, CoCoOp):
    """CoCoOp behind boosting prompts; the images that shift its context are boosted, too."""


@register
class CasPL_VPT(Cascaded, VPT):
    """VPT behind boosting prompts; they stand between its fixed words and the class name."""


@register
class CasPL_IVLP(Cascaded, IVLP):
    """IVLP behind boosting prompts."""


@register
class CasPL_MaPLe(Cascaded, MaPLe):
    """MaPLe behind boosting prompts."""


@register
class CasPL_PromptSRC(Cascaded, PromptSRC):
    """PromptSRC behind boosting prompts; its references stay those of plain CLIP."""


@register
class CasPL_KgCoOp(Cascaded, KgCoOp):
    """KgCoOp behind boosting prompts; its reference stays that of plain CLIP."""


@register
class CasPL_ProGrad(Cascaded, ProGrad):
    """ProGrad behind boosting prompts; its zero-shot CLIP stays plain."""
