"""The shelf: two networks in every form in which people hold them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest
from model_shelf import fill_shelf
from reduced_export import reduce_exports

Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shelf_as_filled(once: Once) -> Path:
    """The shelf as it was filled, with less work in exports; nobody changes it."""
    with pytest.MonkeyPatch.context() as patch:
        reduce_exports(patch)
        return once("shelf", fill_shelf)


@pytest.fixture(scope="module")
def shelf(shelf_as_filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the shelf; exports of its networks trace each of them once."""
    place = tmp_path_factory.mktemp("shelf")
    copytree(shelf_as_filled, place, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        reduce_exports(patch)
        yield place
