"""The MNIST digits: from a folder of IDX files, or downloaded once and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fwsim.errors import ConfigError, whole
from fwsim.names import known_arguments
from fwsim.paths import home_path
from fwsim.requirements import required
from fwsim.tasks.idx import read_idx

VARIABLE = "FWSIM_MNIST"
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# SHA-256 of the four files as compressed by their authors.
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


class LabelledImages(NamedTuple):
    """Images `[image, row, column]` of bytes, and the class of each, `target [image]`."""

    images: Tensor
    target: Tensor


@known_arguments
def load_mnist(data: str | Path | None = None) -> tuple[LabelledImages, LabelledImages]:
    """Handwritten digits (LeCun, Cortes & Burges): 60,000 images of 28×28 for training, 10,000 for testing.

    Parameters
    ----------
    data
        Folder with the four files under their usual names, compressed (`.gz`) or not; other images with labels
        in this format are accepted too. `None`: the folder in the environment variable `FWSIM_MNIST`, otherwise a
        download to the user's cache, with a check of each file's SHA-256.

    Returns
    -------
    training, test : LabelledImages
        As many labels as images, all images of one size.

    Raises
    ------
    ConfigError
        A file is missing, damaged, or does not fit the others; or the download failed.
    """
    data = data or os.environ.get(VARIABLE)
    folder = _downloaded() if data is None else home_path(data, "data")
    training, test = (_pair(folder, part) for part in ("train", "t10k"))
    if training.images.shape[1:] != test.images.shape[1:]:
        raise ConfigError(
            f"{folder} has training images of {list(training.images.shape[1:])} and test images of "
            f"{list(test.images.shape[1:])} pixels; give a folder in which they have one size"
        )
    return training, test


@known_arguments
def split_mnist(
    data: str | Path | None = None, *, training: int = 60_000, validation: int = 5_000, test: int = 10_000
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """Images of `load_mnist` for training, validation and testing.

    Parameters
    ----------
    data
        As in `load_mnist`.
    training, test
        Numbers of images, at most: the first ones.
    validation
        Number of images for validation: the last of those to train on, which are then not trained on.

    Returns
    -------
    training, validation, test : LabelledImages

    Raises
    ------
    ConfigError
        As in `load_mnist`; or `validation` leaves no images to train on.
    """
    whole("training", training, least=1)
    whole("validation", validation)
    whole("test", test, least=1)
    known, unknown = load_mnist(data)
    kept = len(known.target) - validation
    if kept < 1:
        raise ConfigError(
            f"{validation} images for validation of {len(known.target)} leave none to train on; use fewer"
        )
    parts = (known, slice(min(kept, training))), (known, slice(kept, None)), (unknown, slice(test))
    first, second, third = (LabelledImages(of.images[rows], of.target[rows]) for of, rows in parts)
    return first, second, third


def _pair(folder: Path, part: str) -> LabelledImages:
    images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"))
    labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ConfigError(
            f"{folder}: {part} images {list(images.shape)} and labels {list(labels.shape)} do not fit; "
            "expected [image, row, column] and [image]"
        )
    return LabelledImages(images, labels.long())


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise ConfigError(
        f"{folder} has neither {name} nor {name}.gz; give the folder of the IDX files, or set {VARIABLE}"
    )


def _downloaded() -> Path:
    pooch = required("pooch", "downloading MNIST")
    store = pooch.create(path=pooch.os_cache("fwsim") / "mnist", base_url=SOURCE, registry=CHECKSUMS)
    try:
        for name in CHECKSUMS:
            store.fetch(name)
    except (OSError, ValueError) as error:  # no network, a full disk, or a wrong checksum
        raise ConfigError(
            f"the MNIST digits could not be downloaded ({type(error).__name__}); give the folder of their "
            f"IDX files, or set {VARIABLE}"
        ) from error
    return Path(store.path)
