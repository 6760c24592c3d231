"""What a dataset is: lists of labelled image paths, and the names of the classes."""

from __future__ import annotations

import itertools
import logging
import os
import random
import tarfile
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Sequence

from caspl.ground.errors import InputError, unknown_name

logger = logging.getLogger(__name__)


class Datum:
    """One image: its path, class label, domain label and class name.

    The private attribute names are Dassl's, so that lists pickled by Dassl can be read.

    Raises:
        InputError: there is no file at the path.
    """

    def __init__(self, impath: str = "", label: int = 0, domain: int = 0, classname: str = "") -> None:
        if not isinstance(impath, str):
            raise TypeError(f"impath must be a text, not {type(impath).__name__}")
        if not os.path.isfile(impath):
            raise InputError(f'There is no image file "{impath}" (class {label}, {classname or "unnamed"}).')
        self._impath = impath
        self._label = label
        self._domain = domain
        self._classname = classname

    @property
    def impath(self) -> str:
        """Path of the image file."""
        return self._impath

    @property
    def label(self) -> int:
        """Class label, from 0."""
        return self._label

    @property
    def domain(self) -> int:
        """Domain label, from 0."""
        return self._domain

    @property
    def classname(self) -> str:
        """Name of the class."""
        return self._classname


class DatasetBase:
    """Base class of datasets, as Dassl 0.6.3.

    A subclass builds its lists of Datum from the configuration and hands them to `super().__init__`. Labels must be
    0 to C-1 with at least one training image each.

    Args:
        train_x: labelled training items.
        train_u: unlabelled training items, optional.
        val: validation items, optional.
        test: test items.

    Raises:
        InputError: there are no training items, or labels are missing among them.
    """

    dataset_dir = ""  # name of the dataset's folder below DATASET.ROOT
    domains: list[str] = []  # names of all domains, for datasets that have some

    def __init__(
        self,
        train_x: list[Datum] | None = None,
        train_u: list[Datum] | None = None,
        val: list[Datum] | None = None,
        test: list[Datum] | None = None,
    ) -> None:
        self._train_x = train_x
        self._train_u = train_u
        self._val = val
        self._test = test
        self._num_classes = self.get_num_classes(train_x)
        self._lab2cname, self._classnames = self.get_lab2cname(train_x)

    @property
    def train_x(self) -> list[Datum]:
        """Labelled training items."""
        return self._train_x

    @property
    def train_u(self) -> list[Datum] | None:
        """Unlabelled training items."""
        return self._train_u

    @property
    def val(self) -> list[Datum] | None:
        """Validation items."""
        return self._val

    @property
    def test(self) -> list[Datum]:
        """Test items."""
        return self._test

    @property
    def lab2cname(self) -> dict[int, str]:
        """Class name of each label."""
        return self._lab2cname

    @property
    def classnames(self) -> list[str]:
        """Class names in the order of the labels."""
        return self._classnames

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return self._num_classes

    @staticmethod
    def get_num_classes(data_source: Sequence[Datum]) -> int:
        """Return the number of classes among the items.

        Raises:
            InputError: no items, or a label below the largest has none. (Dassl 0.6.3 counts such a label as a class
                that has no name, so that all later names belong to wrong labels.)
        """
        return len(_checked_names(data_source))

    @staticmethod
    def get_lab2cname(data_source: Sequence[Datum]) -> tuple[dict[int, str], list[str]]:
        """Return the class name of each label, as a dictionary and as a list in the order of the labels.

        Raises:
            InputError: as `get_num_classes`.
        """
        names = _checked_names(data_source)
        return names, list(names.values())

    def check_input_domains(self, source_domains: Sequence[str], target_domains: Sequence[str]) -> None:
        """Make sure that both lists name domains of this dataset.

        Raises:
            InputError: a list is empty or holds an unknown name.
        """
        for key, given in (("SOURCE_DOMAINS", source_domains), ("TARGET_DOMAINS", target_domains)):
            if not given:
                raise InputError(f"DATASET.{key} is empty; choose from {', '.join(self.domains)}.")
            self.is_input_domain_valid(given)

    def is_input_domain_valid(self, input_domains: Sequence[str]) -> None:
        """Make sure that every name is a domain of this dataset.

        Raises:
            InputError: one is not.
        """
        for domain in input_domains:
            if domain not in self.domains:
                raise InputError(unknown_name(domain, self.domains, what="domain"))

    def download_data(self, url: str, dst: str, from_gdrive: bool = True) -> None:
        """Download an archive to `dst` (.zip, .tar or .tar.gz) and extract it into the same folder.

        Members that would land outside that folder are not extracted there.

        Args:
            url: address, of Google Drive or of any server.
            dst: path of the archive to write.
            from_gdrive: whether to use the package gdown, which Google Drive needs.

        Raises:
            InputError: gdown is needed and not installed, or the archive is of another kind.
        """
        folder = os.path.dirname(dst)
        if not dst.endswith((".zip", ".tar", ".tar.gz")):
            raise InputError(f"Cannot extract {dst}: the name must end in .zip, .tar or .tar.gz.")
        os.makedirs(folder, exist_ok=True)
        if from_gdrive:
            try:
                import gdown
            except ImportError:
                raise InputError(
                    f"Downloading {url} needs the package gdown: run `pip install gdown`, or download the file "
                    f"yourself and extract it into {folder}."
                ) from None
            gdown.download(url, dst, quiet=False)
        else:
            urllib.request.urlretrieve(url, dst)

        logger.info("Extracting file ...")
        if dst.endswith(".zip"):
            with zipfile.ZipFile(dst) as archive:
                archive.extractall(folder)
        else:
            if not hasattr(tarfile, "data_filter"):
                raise InputError(
                    f"This Python cannot unpack tar files safely, expected 3.10.12, 3.11.4 or later; unpack {dst} into "
                    f"{folder} yourself"
                )
            with tarfile.open(dst) as archive:
                archive.extractall(folder, filter="data")
        logger.info(f"File extracted to {folder}")

    def generate_fewshot_dataset(
        self, *data_sources: list[Datum], num_shots: int = -1, repeat: bool = False
    ) -> list[Datum] | Sequence[list[Datum]]:
        """Draw `num_shots` items of each class from each list, as Dassl 0.6.3 with the same draws of `random`.

        Args:
            data_sources: lists of items.
            num_shots: items per class; below 1 = return the lists as they are.
            repeat: whether a class with fewer items repeats some; otherwise all of its items are taken, undrawn.

        Returns:
            One list, or as many as were given.
        """
        if num_shots < 1:
            return data_sources[0] if len(data_sources) == 1 else data_sources
        logger.info(f"Creating a {num_shots}-shot dataset")
        output = []
        for data_source in data_sources:
            dataset: list[Datum] = []
            for items in self.split_dataset_by_label(data_source).values():
                if len(items) >= num_shots:
                    items = random.sample(items, num_shots)
                elif repeat:
                    items = random.choices(items, k=num_shots)
                dataset.extend(items)
            output.append(dataset)
        return output[0] if len(output) == 1 else output

    def split_dataset_by_label(self, data_source: Sequence[Datum]) -> dict[int, list[Datum]]:
        """Return the items of each label; labels in the order in which they first appear."""
        output = defaultdict(list)
        for item in data_source:
            output[item.label].append(item)
        return output

    def split_dataset_by_domain(self, data_source: Sequence[Datum]) -> dict[int, list[Datum]]:
        """Return the items of each domain; domains in the order in which they first appear."""
        output = defaultdict(list)
        for item in data_source:
            output[item.domain].append(item)
        return output


def _checked_names(data_source: Sequence[Datum] | None) -> dict[int, str]:
    """Return the class name of each label, in the order of the labels, which must be 0 to C-1 without gaps."""
    if not data_source:
        raise InputError("The training split train_x is empty; check DATASET.ROOT and the dataset's folder.")
    names: dict[int, str] = {}
    for item in data_source:
        names.setdefault(item.label, item.classname)
    missing = max(names) + 1 - sum(label >= 0 for label in names)
    if missing:
        lacking = (label for label in itertools.count() if label not in names)
        shown = ", ".join(map(str, itertools.islice(lacking, min(missing, 10)))) + (", ..." if missing > 10 else "")
        raise InputError(
            f"Labels go up to {max(names)}, but {missing} of them have no training image: {shown}; "
            "is the folder of a class missing or empty?"
        )
    return dict(sorted(names.items()))
