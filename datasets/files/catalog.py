"""What is published about the benchmarks: sizes and sources."""

from __future__ import annotations

import os
from dataclasses import dataclass

GITHUB = "https://raw.githubusercontent.com/linzhiqiu/cross_modal_adaptation/main/splits/"
OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/"
BERKELEY = "https://people.eecs.berkeley.edu/~hendrycks/"
HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
MIRROR = f"{HUB}/zhengli97/prompt_learning_dataset"  # the family's, on the Hugging Face Hub


def _drive(file_id: str) -> str:
    return f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"


@dataclass(frozen=True)
class Source:
    """A file to download for a dataset; an archive is unpacked."""

    entry: str  # what it adds to the dataset's folder: the file, or the main one of the entries in the archive
    urls: tuple[str, ...]  # places of the same file, the first that answers is taken
    digest: str = ""  # "md5:..." or "sha256:...", where it is known
    inside: str = ""  # the folder in the archive whose entries are those of the dataset's folder
    nested: str = ""  # an archive in the archive, which is the one to unpack

    @property
    def is_file(self) -> bool:
        """Whether it is a single file and no archive."""
        return bool(os.path.splitext(self.entry)[1])


@dataclass(frozen=True)
class Benchmark:
    """Published facts about a dataset. Sizes are numbers of images; None: not compared."""

    config: str  # name of the file in configs/datasets, without .yaml
    classes: int
    train: int | None
    val: int | None
    test: int
    official: tuple[Source, ...] = ()  # where its authors and the family give it away, as far as links are alive
    mirror: str = ""  # archive in the family's mirror
    manual: str = ""  # what is to be got by hand, or is known about dead links
    entry: str = ""  # the folder of images, where that is not the reader's image_dir


def _split(name: str, drive: str, sha256: str = "") -> Source:
    """The split file of a dataset, from CoOp's Drive and, where its checksum is known, from a copy on GitHub."""
    file = f"split_zhou_{name}.json"
    urls = (_drive(drive), GITHUB + file) if sha256 else (_drive(drive),)
    return Source(file, urls, f"sha256:{sha256}" if sha256 else "")


CLASSNAMES_SOURCE = Source("classnames.txt", (_drive("1-61f_ol79pViBFDG_IDlUQSwoLcn2XXF"),))

# Counts: CoOp's split files and lists. MD5 sums: torchvision's, which reads the same archives. SHA-256: of CoOp's files.
BENCHMARKS = {
    "ImageNet": Benchmark(
        "imagenet",
        1000,
        1281167,
        None,
        50000,
        (CLASSNAMES_SOURCE,),
        manual="image-net.org gives ILSVRC2012 to those who have an account: put the training images (Task 1 & 2) into "
        "images/train/<wnid>/ and the validation images (all tasks) into images/val/<wnid>/, sorted as valprep.sh of "
        "github.com/soumith/imagenetloader.torch does",
    ),
    "Caltech101": Benchmark(
        "caltech101",
        100,
        4128,
        1649,
        2465,
        (
            Source(
                "101_ObjectCategories",
                ("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",),
                "md5:3138e1922a9193bfa496528edbbc45d0",
                nested="caltech-101/101_ObjectCategories.tar.gz",
            ),
            _split(
                "Caltech101",
                "1hyarUivQE36mY6jSomru6Fjd-JzwcCzN",
                "52ce83205ff8ff8a1a18119aad6376120ae35c36e783a984bc560cbf10e73fa5",
            ),
        ),
        "caltech-101.zip",
    ),
    "OxfordPets": Benchmark(
        "oxford_pets",
        37,
        2944,
        736,
        3669,
        (
            Source("images", (f"{OXFORD}pets/data/images.tar.gz",), "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            Source("annotations", (f"{OXFORD}pets/data/annotations.tar.gz",), "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
            _split(
                "OxfordPets",
                "1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs",
                "d7f3ffe65b3919f95132e51422894ae18686b83c331fd8c0adcdc3dc2de6301e",
            ),
        ),
        "oxford_pets.zip",
    ),
    "StanfordCars": Benchmark(
        "stanford_cars",
        196,
        6509,
        1635,
        8041,
        (),
        "stanford_cars.zip",
        "the official links are dead since 2023; besides the mirror, Kaggle has rickyyyyyyy/torchvision-stanford-cars, and "
        "pytorch/vision issue 7545 names other copies; cars_train/ and cars_test/ must hold NNNNN.jpg",
        entry="cars_train",
    ),
    "OxfordFlowers": Benchmark(
        "oxford_flowers",
        102,
        4093,
        1633,
        2463,
        (
            Source("jpg", (f"{OXFORD}flowers/102/102flowers.tgz",), "md5:52808999861908f626f3c1f4e79d11fa"),
            Source(
                "imagelabels.mat", (f"{OXFORD}flowers/102/imagelabels.mat",), "md5:e0620be6f572b9609742df49c70aed4d"
            ),
            Source(
                "cat_to_name.json",
                (_drive("1AkcxCXeK_RCGCEC_GvmWxjcjaNhu-at0"), f"{GITHUB}cat_to_name.json"),
                "sha256:0469f1ad7fe0072d98155c49aa58649d998edbbe3326229003aa5f7228525236",
            ),
            _split(
                "OxfordFlowers",
                "1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT",
                "2f50c42fc1a17ca13c271cb4269b1347bdb43d2be672e34f74a4e4cbfbcca794",
            ),
        ),
        "oxford_flowers.zip",
    ),
    "Food101": Benchmark(
        "food101",
        101,
        50500,
        20200,
        30300,
        (
            Source(
                "images",
                ("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",),
                "md5:85eeb15f3717b99a5da872d97d918f87",
                inside="food-101",
            ),
            _split("Food101", "1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl"),
        ),
        "food101.zip",
    ),
    "FGVCAircraft": Benchmark(
        "fgvc_aircraft",
        100,
        3334,
        3333,
        3333,
        (
            Source(
                "images",
                (f"{OXFORD}fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",),
                inside="fgvc-aircraft-2013b/data",
            ),
        ),
        "fgvc_aircraft.zip",
    ),
    "SUN397": Benchmark(
        "sun397",
        397,
        15880,
        3970,
        19850,
        (),
        "sun397.zip",
        "the official links are dead since 2025; besides the mirror, OpenDataLab has SUN397 and the Hub 1aurent/SUN397, which "
        "must be exported to the original names SUN397/<letter>/<scene>/sun_*.jpg; Kaggle's copies have other names",
    ),
    "DescribableTextures": Benchmark(
        "dtd",
        47,
        2820,
        1128,
        1692,
        (
            Source(
                "images",
                (f"{OXFORD}dtd/download/dtd-r1.0.1.tar.gz",),
                "md5:fff73e5086ae6bdbea199a49dfb8a4c1",
                inside="dtd",
            ),
            _split(
                "DescribableTextures",
                "1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x",
                "f26ebeccd2b58e68d70f07a0dc39fe49bf7b69024bac34396b954dfd87969c38",
            ),
        ),
        "dtd.zip",
    ),
    "EuroSAT": Benchmark(
        "eurosat",
        10,
        13500,
        5400,
        8100,
        (
            Source(
                "2750",
                (
                    f"{HUB}/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                    "https://madm.dfki.de/files/sentinel/EuroSAT.zip",
                ),
                "md5:c8fa014336c82ac7804f0398fcb19387",
            ),
            _split(
                "EuroSAT",
                "1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o",
                "541503a77d0b26b735d85ec7a3e672804fe0aa466c2e5f07da772cc6c0af8ad2",
            ),
        ),
        "eurosat.zip",
    ),
    "UCF101": Benchmark(
        "ucf101",
        101,
        7639,
        1898,
        3783,
        (
            Source("UCF-101-midframes", (_drive("10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O"),)),
            _split(
                "UCF101",
                "1I0S0q91hJfsV9Gf4xDIjgDq4AqBNJb1y",
                "d78cb834f7c5792ceaff2c5ee2d7c76a9e4086e48a3a6b01232989d29cbefdd8",
            ),
        ),
        "ucf101.zip",
    ),
    "ImageNetV2": Benchmark(
        "imagenetv2",
        1000,
        None,
        None,
        10000,
        (
            Source(
                "imagenetv2-matched-frequency-format-val",
                (f"{HUB}/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",),
            ),
            CLASSNAMES_SOURCE,
        ),
        "imagenetv2.zip",
    ),
    "ImageNetSketch": Benchmark(
        "imagenet_sketch",
        1000,
        None,
        None,
        50889,
        (),
        "imagenet-sketch.zip",
        "github.com/HaohanWang/ImageNet-Sketch links to the archive, whose class folders belong into images/",
    ),
    "ImageNetA": Benchmark(
        "imagenet_a",
        200,
        None,
        None,
        7500,
        (Source("imagenet-a", (f"{BERKELEY}imagenet-a.tar",)), CLASSNAMES_SOURCE),
        "imagenet-adversarial.zip",
    ),
    "ImageNetR": Benchmark(
        "imagenet_r",
        200,
        None,
        None,
        30000,
        (Source("imagenet-r", (f"{BERKELEY}imagenet-r.tar",)), CLASSNAMES_SOURCE),
        "imagenet-rendition.zip",
    ),
}
