"""Loaders of a share of each batch, or of every so-maniest batch: together they are the whole loader."""

import pytest
import torch
from dassl.data import DataManager


def passes(loaders, seed=1):
    """The batches of each loader, whose passes draw from the same random stream."""
    found = []
    for loader in loaders:
        torch.manual_seed(seed)
        found.append(list(loader))
        assert len(found[-1]) == len(loader)
    return found


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("size", "count"), [(4, 2), (5, 2), (5, 3), (99, 2)])
def test_the_shares_of_a_batch_are_the_batch(size, count, workers, make_cfg):
    """Also where there is but one batch, which is smaller than asked for."""
    plain = {"INPUT__TRANSFORMS": ("normalize",)}  # nothing random
    cfg = make_cfg(DATALOADER__TRAIN_X__BATCH_SIZE=size, DATALOADER__NUM_WORKERS=workers, **plain)
    loader = DataManager(cfg).train_loader_x
    (whole,), shares = passes([loader]), passes([loader.share(count, number) for number in range(count)])
    assert len(whole) >= 1
    for batch, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(batch["index"], torch.cat([part["index"] for part in parts]))
        assert torch.equal(batch["img"], torch.cat([part["img"] for part in parts]))
        assert batch["impath"] == [path for part in parts for path in part["impath"]]
        lengths = [len(part["img"]) for part in parts]
        assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_so_maniest_batch(count, workers, make_cfg):
    loader = DataManager(make_cfg(DATALOADER__TEST__BATCH_SIZE=4, DATALOADER__NUM_WORKERS=workers)).test_loader
    (whole,), turns = passes([loader]), passes([loader.every(count, number) for number in range(count)])
    for place, batch in enumerate(whole):
        assert torch.equal(batch["index"], turns[place % count][place // count]["index"])
        assert torch.equal(batch["img"], turns[place % count][place // count]["img"])
    assert sum(map(len, turns)) == len(whole) == len(loader)


def test_a_share_is_made_into_batches_as_the_whole_is(make_cfg):
    loader = DataManager(make_cfg()).train_loader_x
    loader.collate_fn = lambda items: "made"
    assert set(loader.share(2, 1)) == {"made"}
