"""README and the pages under docs/, as blocks of code."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import compress

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    code: str
    reason: str
    """Why no test runs it, as the comment before it says; empty if a test does."""

    @property
    def commands(self) -> list[str]:
        """The commands of a block for the shell, without comments and `&&`."""
        lines = self.code.replace("\\\n", " ").splitlines()
        parts = [part.strip() for line in lines for part in re.sub(r"(^|\s)#.*", "", line).split("&&")]
        return [part for part in parts if part]


def blocks(language: str) -> list[Block]:
    """All blocks in a language, page by page."""
    return [
        Block(page.name, text.count("\n", 0, match.start("code")), language, match["code"], match["reason"] or "")
        for page in PAGES
        for text in [page.read_text()]
        for match in FENCE.finditer(text)
        if match["language"] == language
    ]


def commands(*, marked: bool = False) -> list[tuple[str, str]]:
    """`(page, command)` of every command that is run, or of those that are `marked` as not run."""
    return [
        (block.page, command) for block in blocks("sh") for command in block.commands if bool(block.reason) is marked
    ]


def examples() -> dict[str, str]:
    """The example in the docstring of each function of the Python API, by its dotted name, or empty."""
    functions = {name: value for name in compress.__all__ if inspect.isfunction(value := getattr(compress, name))}
    texts = {name: re.search("Example: `(.+)`$", inspect.getdoc(f) or "", re.M) for name, f in functions.items()}
    return {f"compress.{name}": text.group(1) if text else "" for name, text in texts.items()}
