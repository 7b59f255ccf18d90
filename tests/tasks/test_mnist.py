"""IDX files as their authors describe them, and digits from a folder of them."""

import gzip
import hashlib
import struct
import tracemalloc

import pytest
import torch

import fwsim as fw
from fwsim.tasks import LabelledImages, load_mnist, read_idx, split_mnist

FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def packed(content):
    """Compressed without the time of day, so that all processes that collect tests see the same names."""
    return gzip.compress(content, mtime=0)


def idx(values):
    """An IDX file of bytes, written from the format's description and not from the reader."""
    header = (
        b"\x00\x00\x08" + bytes([values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    )
    return header + bytes(values.flatten().tolist())


def write(folder, images=None, labels=None, compress=False):
    images = torch.arange(2 * 3 * 4).reshape(2, 3, 4) if images is None else images
    labels = torch.tensor([7, 1]) if labels is None else labels
    for name in FILES:
        content = idx(images if "images" in name else labels)
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(packed(content) if compress else content)
    return images, labels


@pytest.mark.parametrize("compress", [False, True])
def test_digits_of_a_folder(tmp_path, compress, monkeypatch):
    images, labels = write(tmp_path, compress=compress)
    training, test = load_mnist(tmp_path)
    for part in (training, test):
        assert isinstance(part, LabelledImages)
        assert part.images.dtype == torch.uint8
        assert torch.equal(part.images, images.byte())
        assert torch.equal(part.target, labels)
    monkeypatch.setenv("FWSIM_MNIST", str(tmp_path))
    assert torch.equal(load_mnist()[0].images, training.images)


def test_digits_are_split(tmp_path):
    """Validation takes the last images to train on; training and test take the first of what there is."""
    write(tmp_path, torch.arange(5 * 4).reshape(5, 2, 2), torch.arange(5))
    training, validation, test = split_mnist(tmp_path, training=2, validation=1, test=3)
    assert [each.target.tolist() for each in (training, validation, test)] == [[0, 1], [4], [0, 1, 2]]
    assert validation.images.flatten().tolist() == [16, 17, 18, 19]
    training, validation, test = split_mnist(tmp_path, validation=0)
    assert (len(training.target), len(validation.target), len(test.target)) == (5, 0, 5)
    with pytest.raises(fw.ConfigError, match="5 images for validation of 5 leave none"):
        split_mnist(tmp_path, validation=5)
    with pytest.raises(fw.ConfigError, match="test=0"):
        split_mnist(tmp_path, validation=1, test=0)


def test_bytes_above_127_and_many_dimensions(tmp_path):
    values = torch.tensor([0, 1, 127, 128, 200, 255]).reshape(1, 2, 1, 3)
    (tmp_path / "values").write_bytes(idx(values))
    assert torch.equal(read_idx(tmp_path / "values"), values.byte())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "two zero bytes"),
        (b"PK\x03\x04 something", "two zero bytes"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00\x00\x00\x00", "0x0d"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x01", "within its header"),
        (b"\x00\x00\x08\x00", "within its header"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abc", "3 values for the shape"),
        (b"\x00\x00\x08\x04" + b"\xff" * 16, "0 values for the shape"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x00", "is empty"),
        (packed(b"\x00\x00\x08\x01\x00\x00\x00\x01a")[:-6], "damaged"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abcdef", "more values for the shape"),
        (packed(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"), "3 values for the shape"),
        (packed(b"\x00\x00\x08\x01\x00\x00\x00\x05abcdef"), "more values for the shape"),
        (packed(b"\x00\x00\x08\x04" + b"\xff" * 16), "at most .* values for the shape"),
        (packed(b"\x00\x00\x08\xff" + b"\xff" * 1020), "at most .* and 247 more"),
        (b"\x1f\x8b", "damaged"),
        (packed(b"\x00\x00\x08\x01\x00\x00\x00\x01a")[:-8] + b"\0" * 8, "damaged"),
    ],
)
def test_damaged_files(tmp_path, content, said):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(fw.ConfigError, match=said):
        read_idx(tmp_path / "file")


def test_a_file_unpacks_to_what_its_header_declares_and_no_further(tmp_path):
    """Ten bytes are declared, and a hundred megabytes follow."""
    (tmp_path / "file").write_bytes(
        gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x0a" + bytes(100_000_000), 1)
    )
    tracemalloc.start()
    with pytest.raises(fw.ConfigError, match="more values for the shape"):
        read_idx(tmp_path / "file")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_sizes_beyond_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("fwsim.tasks.idx.MOST", 5)
    (tmp_path / "file").write_bytes(idx(torch.zeros(2, 3, dtype=torch.long)))
    with pytest.raises(fw.ConfigError, match=r"declares the shape \[2, 3\]; at most 5 values are read"):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize(
    ("place", "said"),
    [("/dev/zero", "is no file but a pipe or device"), ("/dev/random", "is no file but a pipe or device"),
     (".", "is a folder")],
)  # fmt: skip
def test_devices_and_folders(place, said):
    with pytest.raises(fw.ConfigError, match=said):
        read_idx(place)


def test_folders_that_do_not_fit(tmp_path):
    with pytest.raises(fw.ConfigError, match="FWSIM_MNIST"):
        load_mnist(tmp_path)
    write(tmp_path, labels=torch.tensor([1, 2, 3]))
    with pytest.raises(fw.ConfigError, match="do not fit"):
        load_mnist(tmp_path)
    write(tmp_path)
    (tmp_path / FILES[2]).write_bytes(idx(torch.zeros(2, 5, 5, dtype=torch.long)))
    with pytest.raises(fw.ConfigError, match="one size"):
        load_mnist(tmp_path)


def test_downloads_are_checked(tmp_path, monkeypatch):
    """A server that sends other bytes is refused; one that sends the right ones is asked once."""
    import pooch

    write(tmp_path, compress=True)
    asked = []

    class Server:
        def __call__(self, url, output_file, pooch):
            asked.append(url)
            content = (tmp_path / url.rsplit("/", 1)[1]).read_bytes()
            with open(output_file, "wb") as file:
                file.write(content)

    monkeypatch.delenv("FWSIM_MNIST", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr("pooch.core.choose_downloader", lambda *given, **options: Server())
    with pytest.raises(fw.ConfigError, match="could not be downloaded"):
        load_mnist()
    right = {
        f"{name}.gz": hashlib.sha256((tmp_path / f"{name}.gz").read_bytes()).hexdigest() for name in FILES
    }
    monkeypatch.setattr("fwsim.tasks.mnist.CHECKSUMS", right)
    asked.clear()
    assert load_mnist()[1].target.tolist() == [7, 1]
    load_mnist()
    assert len(asked) == 4
