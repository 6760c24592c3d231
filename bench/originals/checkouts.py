"""Where the repositories of the family lie: in a folder of the user's, under the names that they have on GitHub."""

from __future__ import annotations

ORIGINALS = (
    "a folder with checkouts of CoOp, multimodal-prompt-learning, PromptSRC and Dassl.pytorch, as they come from GitHub"
)
DASSL = "Dassl.pytorch"
FOLDERS = {  # that a method's code is in
    "CoOp": "CoOp",
    "CoCoOp": "CoOp",
    "VPT": "multimodal-prompt-learning",
    "IVLP": "multimodal-prompt-learning",
    "MaPLe": "multimodal-prompt-learning",
    "PromptSRC": "PromptSRC",
}
