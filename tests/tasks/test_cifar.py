"""CIFAR's batch files: read as data, checked, and never run."""

import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.errors import UsageError
from compress.tasks.data import DataSource, open_data


def open_cifar10(root: Path) -> DataSource:
    return open_data("cifar10", "classification", root)


def batch(folder: Path, **changes: object) -> Path:
    """The test batch with some of its entries replaced; an entry of None is left out."""
    file = folder / "test_batch"
    table = {**pickle.loads(file.read_bytes()), **changes}  # noqa: S301
    file.write_bytes(pickle.dumps({k: v for k, v in table.items() if v is not None}, protocol=2))
    return file


def test_batches_are_rgb_images_with_their_labels_from_the_folder_or_its_parent(cifar10: Path) -> None:
    for root in (cifar10, cifar10.parent):
        source = open_cifar10(root)
        assert source.class_names[:2] == ("airplane", "automobile")
        held_out, training = source.held_out(), source.training()
        assert held_out.images.shape == (20, 3, 32, 32)
        assert held_out.images.dtype == torch.uint8
        assert training.images.shape == (100, 3, 32, 32)
        assert training.targets.bincount().tolist() == [10] * 10
    table = pickle.loads((cifar10 / "test_batch").read_bytes())  # noqa: S301
    assert held_out.targets.tolist() == table["labels"]
    red, green = table["data"][3][:1024], table["data"][3][1024:2048]
    assert held_out.images[3, 0].flatten().tolist() == red.tolist()
    assert held_out.images[3, 1, 0].tolist() == green[:32].tolist()


def test_cifar100_has_its_fine_labels(tmp_path: Path) -> None:
    rows = np.zeros((200, 3072), dtype=np.uint8)
    for name in ("train", "test"):
        table = {"data": rows, "fine_labels": [i % 100 for i in range(200)], "coarse_labels": [0] * 200}
        (tmp_path / name).write_bytes(pickle.dumps(table, protocol=2))
    names = [f"fine {i}" for i in range(100)]
    (tmp_path / "meta").write_bytes(pickle.dumps({"fine_label_names": names, "coarse_label_names": ["x"]}, protocol=2))
    source = open_data("cifar100", "classification", tmp_path)
    assert source.class_names == tuple(names)
    assert source.held_out().targets.max() == 99


def test_the_way_that_python_2_wrote_them_is_read_too(cifar10: Path) -> None:
    rows = bytes(range(256)) * 12
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00"
    )
    (cifar10 / "test_batch").write_bytes(b"\x80\x02}(U\x04data" + array + rows + b"tbU\x06labels](K\x07eu.")
    held_out = open_cifar10(cifar10).held_out()
    assert held_out.targets.tolist() == [7]
    assert held_out.images.flatten().tolist() == list(rows)


def test_md5_sums_are_reported_and_foreign_files_are_no_error(cifar10: Path) -> None:
    sums = open_cifar10(cifar10).held_out().sums
    assert [read.file for read in sums] == ["batches.meta", "test_batch"]
    assert all(len(read.md5) == 32 and not read.official for read in sums)


def test_the_held_out_split_opens_without_the_training_files(cifar10: Path) -> None:
    source = open_cifar10(cifar10)
    for file in cifar10.glob("data_batch_*"):
        file.write_bytes(b"broken")
    assert len(source.held_out()) == 20
    with pytest.raises(UsageError, match="data_batch_1"):
        source.training()


class Exploit:
    """Leaves a file behind if it is ever run."""

    def __init__(self, call: object, *arguments: object) -> None:
        self._parts = call, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self._parts


def test_a_file_with_code_is_refused_and_the_code_is_never_run(cifar10: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for call, argument in ((Path.touch, mark), (eval, f"open({str(mark)!r}, 'w')"), (np.zeros, 10**12)):
        (cifar10 / "test_batch").write_bytes(pickle.dumps({"data": Exploit(call, argument)}, protocol=2))
        with pytest.raises(UsageError, match="test_batch is cut short or tampered with: it refers to"):
            open_cifar10(cifar10).held_out()
    assert not mark.exists()


def test_every_shortened_file_is_refused_with_its_name(cifar10: Path) -> None:
    file = cifar10 / "test_batch"
    content = file.read_bytes()
    ends = [position for _, _, position in pickletools.genops(content) if position][::7]
    for end in (0, 1, *ends, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:end])
        with pytest.raises(UsageError, match="test_batch is cut short or tampered with"):
            open_cifar10(cifar10).held_out()
    file.write_bytes(content + b"more")
    with pytest.raises(UsageError, match="data after its end"):
        open_cifar10(cifar10).held_out()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": None}, "no array called 'data'"),
        ({"data": [1, 2]}, "no array called 'data'"),
        ({"data": np.zeros((20, 3072), np.float32)}, "not unsigned bytes"),
        ({"data": np.zeros((20, 1024), np.uint8)}, r"shape \[20, 1024\]"),
        ({"data": np.zeros(3072, np.uint8)}, "not an array of bytes"),
        ({"data": np.zeros((20, 3072), np.uint8, order="F")}, "not an array of bytes"),
        ({"data": np.zeros((19, 3072), np.uint8)}, "19 images and 20 labels"),
        ({"labels": None}, "no list called 'labels'"),
        ({"labels": [10] * 20}, "whole numbers from 0 to 9"),
        ({"labels": [-1] * 20}, "whole numbers from 0 to 9"),
        ({"labels": [True] * 20}, "whole numbers from 0 to 9"),
        ({"labels": ["3"] * 20}, "whole numbers from 0 to 9"),
        ({"labels": []}, "whole numbers from 0 to 9"),
    ],
)
def test_a_batch_that_is_not_what_it_should_be_is_refused(
    cifar10: Path, changes: dict[str, object], reason: str
) -> None:
    batch(cifar10, **changes)
    with pytest.raises(UsageError, match=reason) as refused:
        open_cifar10(cifar10).held_out()
    assert "test_batch" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"\x80\x02r\xff\xff\xff\x7f.", b"\x80\x02T\xff\xff\xff\x7f.", b"\x80\x04\x95" + b"\xff" * 8]
)
def test_a_short_file_cannot_ask_for_much_memory(cifar10: Path, content: bytes) -> None:
    (cifar10 / "test_batch").write_bytes(content)
    with pytest.raises(UsageError, match="cut short or tampered with"):
        open_cifar10(cifar10).held_out()


@pytest.mark.parametrize(
    "names", [["one"], [f"class {i % 9}" for i in range(10)], [f"\x1b[{i}m" for i in range(10)], 3]
)
def test_class_names_must_be_complete_different_and_printable(cifar10: Path, names: object) -> None:
    (cifar10 / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    with pytest.raises(UsageError, match=r"batches\.meta") as refused:
        open_cifar10(cifar10)
    assert str(refused.value).isprintable()


def test_a_split_needs_its_own_files_only_and_names_those_that_are_missing(cifar10: Path, tmp_path: Path) -> None:
    (cifar10 / "data_batch_3").unlink()
    source = open_cifar10(cifar10)
    assert len(source.held_out())
    with pytest.raises(UsageError, match="lacks data_batch_3"):
        source.training()
    with pytest.raises(UsageError, match="no cifar10 at"):
        open_cifar10(tmp_path / "elsewhere")
