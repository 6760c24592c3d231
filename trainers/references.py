"""What hand-written texts a trainer compares with, encoded once: kept on disk by weights and texts (MODEL.TEXT_STORE)."""

from __future__ import annotations

from yacs.config import CfgNode

from caspl.clip.feature_store import FILES, FeatureStore
from caspl.ground.keys import Key
from caspl.ground.stores import check_place, usual_place

AUTO = "auto"
KEYS = [
    Key(
        "MODEL.TEXT_STORE",
        AUTO,
        "Folder where features of many hand-written texts are kept and found again, for all seeds and methods; auto: texts in "
        "$CASPL_CACHE, or in ~/.cache/caspl; empty: nowhere",
    )
]


class References:
    """Mixin in front of a trainer of Dassl's."""

    def check_cfg(self, cfg: CfgNode) -> None:
        super().check_cfg(cfg)
        if cfg.MODEL.TEXT_STORE not in ("", AUTO):
            check_place(cfg.MODEL.TEXT_STORE, "MODEL.TEXT_STORE", FILES)

    @property
    def text_store(self) -> FeatureStore | None:
        """Where features of texts are kept; None: nowhere."""
        chosen = self.cfg.MODEL.TEXT_STORE
        return FeatureStore(usual_place() / "texts" if chosen == AUTO else chosen) if chosen else None
