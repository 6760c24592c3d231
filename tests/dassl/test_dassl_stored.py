"""TEST.IMAGE_STORE: the batches are those of the files, bit by bit; each image is decoded once, by whichever process."""

import errno
import logging
import multiprocessing
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data import build_data_loader
from dassl.data import stored as module
from dassl.data.stored import StoredImages
from dassl.data.transforms import build_transform
from dassl.engine import build_trainer
from PIL import Image

from caspl.ground.errors import InputError
from caspl.ground.locks import locked
from waiting import wait_for

SIZES = [(50, 37), (37, 50), (24, 24), (23, 40), (9, 60), (64, 22), (16, 16)]  # width, height


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Files in colour, in gray, with a palette and with transparency, as the items of a dataset."""
    folder, generator, items = tmp_path_factory.mktemp("images"), np.random.default_rng(0), []
    for number, size in enumerate(SIZES):
        pixels = generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        for mode, ending in (("RGB", "jpg"), ("L", "png"), ("P", "png"), ("RGBA", "png")):
            path = folder / f"{number}-{mode}.{ending}"
            Image.fromarray(pixels).convert(mode).save(path)
            items.append(SimpleNamespace(impath=str(path), label=number, domain=0))
    return items


def settings(store, **more):
    cfg = get_cfg_default()
    given = {"INPUT.SIZE": (24, 20), "INPUT.INTERPOLATION": "bicubic", "INPUT.TRANSFORMS": ("normalize",)}
    given |= {"DATALOADER.NUM_WORKERS": 0, "USE_CUDA": False, "TEST.IMAGE_STORE": str(store)}
    given |= {key.replace("__", "."): value for key, value in more.items()}
    cfg.merge_from_list([part for pair in given.items() for part in pair])
    return cfg


def loader(cfg, items, wrapper=StoredImages):
    transform = build_transform(cfg, is_train=False)
    return build_data_loader(
        cfg, data_source=items, batch_size=5, tfm=transform, is_train=False, dataset_wrapper=wrapper
    )


def same(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others)
    for one, other in zip(batches, others, strict=True):
        assert one.keys() == other.keys() and one["impath"] == other["impath"]
        assert all(torch.equal(one[key], other[key]) for key in ("img", "label", "domain", "index"))
        assert one["img"].dtype == torch.float32


@pytest.fixture
def decoded(monkeypatch):
    """The paths of all images that are read in this process."""
    calls = []
    for where in ("stored", "decoded"):
        read = __import__(f"dassl.data.{where}", fromlist=["read_image"]).read_image
        monkeypatch.setattr(
            f"dassl.data.{where}.read_image", lambda path, read=read: calls.append(str(path)) or read(path)
        )
    return calls


CASES = [
    {"INPUT__INTERPOLATION": mode, "INPUT__SIZE": size, "INPUT__TRANSFORMS": transforms}
    for mode in ("bilinear", "bicubic", "nearest")
    for size in ((24, 20), (32, 32), (7, 40))
    for transforms in (("normalize",), ("normalize", "instance_norm"), ("instance_norm",), ("random_flip",))
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_batches_are_those_of_the_files(case, images, tmp_path, decoded):
    cfg = settings(tmp_path / "store", **case)
    plain, kept = loader(cfg, images, None), loader(cfg, images)
    expected = list(plain)
    decoded.clear()
    for _ in range(2):  # filling the store, and out of it
        same(kept, expected)
    same(loader(cfg, images), expected)  # as another process
    assert sorted(decoded) == sorted(item.impath for item in images)


def test_the_normalisation_the_labels_and_the_list_may_be_others(images, tmp_path, decoded):
    list(loader(settings(tmp_path), images))
    decoded.clear()
    other = settings(tmp_path, INPUT__PIXEL_MEAN=[0.1, 0.2, 0.3], INPUT__TRANSFORMS=("normalize", "instance_norm"))
    some = [SimpleNamespace(impath=item.impath, label=9, domain=1) for item in images[10:2:-1]]
    batches = list(loader(other, some))
    assert not decoded
    same(batches, loader(other, some, None))


@pytest.mark.parametrize("key", ["INPUT__SIZE", "INPUT__INTERPOLATION"])
def test_another_size_or_interpolation_is_another_store(key, images, tmp_path, decoded):
    list(loader(settings(tmp_path), images))
    decoded.clear()
    list(loader(settings(tmp_path, **{key: {"INPUT__SIZE": (20, 24), "INPUT__INTERPOLATION": "nearest"}[key]}), images))
    assert len(decoded) == len(images)


def test_a_changed_image_is_decoded_again(images, tmp_path, decoded):
    folder = tmp_path / "images"
    shutil.copytree(os.path.dirname(images[0].impath), folder)
    items = [SimpleNamespace(impath=str(folder / os.path.basename(item.impath)), label=0, domain=0) for item in images]
    cfg = settings(tmp_path / "store")
    list(loader(cfg, items))
    Image.new("RGB", (30, 30), "red").save(items[3].impath)
    decoded.clear()
    same(loader(cfg, items), loader(cfg, items, None))
    assert decoded[:1] == [items[3].impath] and len(decoded) == 1 + len(items)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_random_stream_moves_as_without_a_store(workers, images, tmp_path):
    cfg = settings(tmp_path, DATALOADER__NUM_WORKERS=workers)
    states = []
    for each in (loader(cfg, images, None), loader(cfg, images), loader(cfg, images)):
        torch.manual_seed(3)
        list(each)
        states.append(torch.get_rng_state())
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])


def test_what_is_all_stored_is_read_without_other_processes(images, tmp_path):
    cfg = settings(tmp_path, DATALOADER__NUM_WORKERS=2)
    first, expected = loader(cfg, images), loader(cfg, images, None)
    same(first, expected)
    kept = loader(cfg, images)
    begun = iter(kept)
    assert not multiprocessing.active_children() and kept.num_workers == 2
    same(begun, expected)


# ---------------------------------------------------------------- what can go wrong
def damage(store):
    (path,) = store.glob("*/*.rows")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_row_is_found_and_made_anew(images, tmp_path, decoded, caplog):
    cfg = settings(tmp_path)
    list(loader(cfg, images))
    damage(tmp_path)
    expected = list(loader(cfg, images, None))
    decoded.clear()
    with caplog.at_level(logging.WARNING):
        same(loader(cfg, images), expected)
    assert len(decoded) == 1 and "is damaged" in caplog.text
    same(loader(cfg, images), expected)
    assert len(decoded) == 2 and decoded[0] == decoded[1]
    same(loader(cfg, images), expected)
    assert len(decoded) == 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "junk", "missing"])
def test_a_broken_image_ends_in_its_own_sentence(workers, content, images, tmp_path):
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    items = [*images[:7], SimpleNamespace(impath=str(path), label=0, domain=0), *images[7:]]
    cfg = settings(tmp_path / "store", DATALOADER__NUM_WORKERS=workers)
    with pytest.raises(InputError) as plain:
        list(loader(cfg, items, None))
    with pytest.raises(InputError) as kept:
        list(loader(cfg, items))
    assert str(kept.value) == str(plain.value) and str(path) in str(plain.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_where_there_is_no_room_the_files_are_read_and_it_is_told(workers, images, tmp_path, decoded, caplog):
    cfg = settings(tmp_path, TEST__IMAGE_STORE_GB=2e-5, DATALOADER__NUM_WORKERS=workers)  # 20 kB, of 40
    some = images[:10]
    list(loader(cfg, some))
    decoded.clear()
    kept, expected = loader(cfg, images), loader(cfg, images, None)
    with caplog.at_level(logging.WARNING):
        same(kept, expected)
        same(kept, expected)
    assert caplog.text.count("Nothing more is kept") == 1 and "its limit is 2e-05" in caplog.text
    if not workers:
        known = {item.impath for item in some}
        assert len([path for path in decoded if path in known]) == 2 * len(some)  # by the plain loader only


def test_a_disk_that_refuses_ends_nothing(images, tmp_path, monkeypatch, caplog):
    def refuses(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cfg = settings(tmp_path)
    monkeypatch.setattr("caspl.ground.stores.rows.write", refuses)
    with caplog.at_level(logging.WARNING):
        same(loader(cfg, images), loader(cfg, images, None))
    assert "No space left on device" in caplog.text


def _evaluate(store, items, results):
    calls, read = [], module.read_image
    module.read_image = lambda path: calls.append(path) or read(path)
    same(loader(settings(store), items), loader(settings(store), items, None))
    results.put(len(calls))


@pytest.mark.slow
def test_many_evaluations_at_once_decode_once(images, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_evaluate, args=(tmp_path, images, results)) for _ in range(4)]
    for process in processes:
        process.start()
    counts = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(counts) == [0, 0, 0, len(images)]


def test_who_stores_and_does_not_come_further_is_not_waited_for(images, tmp_path, monkeypatch, caplog):
    cfg = settings(tmp_path)
    kept = loader(cfg, images)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(kept.dataset,))
    holder.start()
    try:
        wait_for(lambda: list(tmp_path.glob("*/.filling-*")))
        with caplog.at_level(logging.INFO):
            same(kept, loader(cfg, images, None))
    finally:
        holder.kill()
        holder.join()
    assert f"by process {holder.pid} on" in caplog.text and not list(tmp_path.glob("*/*.rows"))
    same(kept, loader(cfg, images, None))  # the lock went with the process
    assert list(tmp_path.glob("*/*.rows"))


def _hold(dataset):
    dataset.rows.facts.write(dataset.rows.folder)
    with locked(dataset.lock):
        wait_for(lambda: False, seconds=60)


# ---------------------------------------------------------------- a whole trainer
def test_a_trainer_tests_out_of_it(make_cfg, tmp_path, decoded):
    plain = build_trainer(make_cfg("plain", DATALOADER__NUM_WORKERS=0))
    expected = plain.test(), plain.test("val")
    kept = build_trainer(make_cfg("kept", DATALOADER__NUM_WORKERS=0, TEST__IMAGE_STORE=str(tmp_path / "store")))
    kept.model.load_state_dict(plain.model.state_dict())
    assert (kept.test(), kept.test("val")) == expected
    decoded.clear()
    assert (kept.test(), kept.test("val")) == expected and not decoded


def test_a_place_that_cannot_be_written_is_told_at_the_start(make_cfg, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^TEST.IMAGE_STORE .*file cannot be written"):
        build_trainer(make_cfg("out", TEST__IMAGE_STORE=str(tmp_path / "file")))
