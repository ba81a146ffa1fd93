"""Tables of names that are open: to code, as any dictionary, and to installed packages, by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from compress.errors import UsageError, first_line

Entry = TypeVar("Entry")


class OpenTable(dict[str, Entry]):
    """What stands in it is ours, or was put there by code; what packages add is imported when it is asked for by name.

    A package adds `name` by an entry point of that name in the table's `group`, which leads to a `kind`. A name that
    stands in the table wins; of two packages, the one that Python finds first.
    """

    def __init__(self, group: str, kind: type[Entry], own: Mapping[str, Entry]) -> None:
        super().__init__(own)
        self._group, self._kind = group, kind

    def find(self, name: str) -> Entry | None:
        """What `name` stands for; None if nobody knows it.

        Raises `UsageError` that names the package whose entry point cannot be imported or leads to something else.
        """
        return self[name] if name in self else self._added(name)

    def names(self) -> list[str]:
        """All names: those in the table, then those of packages."""
        return list(dict.fromkeys([*self, *sorted(entry.name for entry in entry_points(group=self._group))]))

    def _added(self, name: str) -> Entry | None:
        for entry in entry_points(group=self._group, name=name):
            label = f"{name!r} is in package {entry.dist.name if entry.dist else 'unknown'!r}"
            try:
                found = entry.load()
            except Exception as error:
                reason = f"{type(error).__name__}: {first_line(error)}"
                raise UsageError(f"{label}, which cannot be imported ({reason}): mend it or uninstall it") from error
            if not isinstance(found, self._kind):
                wanted = self._kind.__name__
                raise UsageError(f"{label}, where it is a {type(found).__name__} and no {wanted}: mend it")
            return found
        return None
