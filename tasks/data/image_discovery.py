"""The image files in a folder and in the folders below it, and which links among them are followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UsageError

from .image_files import SUFFIXES

LEFT_BY_SYSTEMS = {"__MACOSX", "Thumbs.db", "desktop.ini"}
"""Names that archivers and file managers leave behind."""
DEPTH_LIMIT = 32


@dataclass(frozen=True)
class Tree:
    """The folder that was named, out of which links lead only if they may: who packs it must not choose what is read.

    Links inside it are followed.
    """

    root: Path
    follow_links: bool = False

    def entries(self, folder: Path) -> list[Path]:
        """What a folder of the tree holds, in order of the names, without hidden entries.

        Raises `UsageError` for a link that leads out of the tree, unless links are followed.
        """
        entries = sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name not in LEFT_BY_SYSTEMS)
        if not self.follow_links:
            home = self.root.resolve()
            for path in entries:
                if path.is_symlink() and not path.resolve().is_relative_to(home):
                    raise UsageError(
                        f"{path} is a link that leads out of {self.root}: pass `follow_links` if that is what you want"
                    )
        return entries

    def folders(self, folder: Path) -> list[Path]:
        """The folders in a folder."""
        return [path for path in self.entries(folder) if path.is_dir()]

    def images(self, folder: Path) -> Listed:
        """All images in a folder and below it, in order: those of a folder before those of the folders in it.

        A folder that is linked into itself is read once. Raises `UsageError` as `entries` does.
        """
        listed, others = list[Path](), Counter[str]()
        self._collect(folder, (), listed, others)
        return Listed(tuple(listed), others)

    def _collect(self, folder: Path, above: tuple[Path, ...], listed: list[Path], others: Counter[str]) -> None:
        place = folder.resolve()
        if place in above or len(above) > DEPTH_LIMIT:
            return
        below = []
        for path in self.entries(folder):
            if path.is_dir():
                below.append(path)
            elif path.suffix.lower() in SUFFIXES:
                listed.append(path)
            else:
                others[path.suffix.lower() or path.name] += 1
        for path in below:
            self._collect(path, (*above, place), listed, others)


@dataclass(frozen=True)
class Listed:
    """The image files below a folder, and how many files of other kinds there are, by the ends of their names."""

    files: tuple[Path, ...]
    others: Counter[str]


def passed_over(listings: Iterable[Listed]) -> str:
    """One line on the files that are no images, `3 files are no images: 2 .txt, 1 .heic`; empty if there are none."""
    others = sum((listed.others for listed in listings), Counter[str]())
    count = others.total()
    kinds = ", ".join(f"{number} {kind}" for kind, number in others.most_common(4))
    what = "file is no image and" if count == 1 else "files are no images and"
    return f"{count} {what} passed over: {kinds}" if count else ""
