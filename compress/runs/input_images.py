"""The images to predict: files, and all images in folders and their sub-folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from compress.errors import UsageError
from compress.tasks.data.image_discovery import Tree, passed_over
from compress.tasks.data.image_files import KINDS, SUFFIXES, as_rgb, bombs_refused, opened
from compress.training.progress import console


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """An image file, and the name of its predictions."""

    file: Path
    label: str
    """Its name, below the folder that was named: `day/a.jpg`."""
    in_folder: bool
    """Whether it was found in a folder: then it is passed over if it is broken."""

    @property
    def stem(self) -> str:
        """The name without the ending: `day/a`."""
        return Path(self.label).with_suffix("").as_posix()

    def read(self) -> Image.Image:
        """Upright, in RGB; raises `UsageError` if it cannot be read."""
        with bombs_refused(), opened(self.file) as image:
            return as_rgb(image)


def photographs(paths: Sequence[Path]) -> list[Photograph]:
    """Those that are named, and those in folders, in the order of their names; says what is no image in folders.

    Raises `UsageError` if there are none, for a file that is no image, and if the answers of two would have one name.
    """
    listed: list[Photograph] = []
    for path in paths:
        if path.is_dir():
            below = Tree(path).images(path)
            listed += [
                Photograph(file=file, label=file.relative_to(path).as_posix(), in_folder=True) for file in below.files
            ]
            if below.others:
                console.print(f"{path}: {passed_over([below])}", soft_wrap=True)
        else:
            listed.append(Photograph(file=path, label=path.name, in_folder=False))
    if not listed:
        raise UsageError(f"no photographs: name {KINDS} files, or folders of them, after the model")
    for photograph in listed:
        if not photograph.file.is_file() or photograph.file.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{photograph.file} is no {KINDS} file: name photographs or folders of them")
    stem, count = Counter(photograph.stem for photograph in listed).most_common(1)[0]
    if count > 1:
        raise UsageError(f"two photographs are called {stem}: their answers would have one name; rename one")
    return listed


def readable(listed: Sequence[Photograph]) -> Iterator[tuple[int, Photograph, Image.Image | str]]:
    """Each photograph with its number, decoded; or why not, if it was found in a folder.

    Raises `UsageError` for a broken file that was named, or if all are broken.
    """
    broken = 0
    for number, photograph in enumerate(listed, 1):
        try:
            image: Image.Image | str = photograph.read()
        except UsageError as error:
            broken += 1
            if not photograph.in_folder or broken == len(listed):
                raise
            image = str(error)
        yield number, photograph, image
