"""Tables of names that code extends like a dictionary and installed packages extend by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from compress.errors import UsageError, first_line, unknown_name

Entry = TypeVar("Entry")


class OpenTable(dict[str, Entry]):
    """A dictionary of entries by name, which imports the entry points of installed packages on demand.

    A package adds `name` with an entry point of that name in the table's `group`, which must load a `kind`. Entries of
    the dictionary take precedence over packages. Of two packages, the first that Python finds is used.
    """

    def __init__(self, group: str, kind: type[Entry], own: Mapping[str, Entry]) -> None:
        super().__init__(own)
        self._group, self._kind = group, kind

    def find(self, name: str) -> Entry | None:
        """The entry called `name`; None if there is none.

        Raises `UsageError` with the package's name if its entry point cannot be imported or leads to another type.
        """
        return self[name] if name in self else self._added(name)

    def require(self, name: str, noun: str) -> Entry:
        """The entry called `name`; `noun` is what the table's entries are called, for the message.

        Raises `UsageError` for an unknown name, with the nearest known one, and for a broken package, with its name.
        """
        entry = self.find(name)
        if entry is None:
            raise unknown_name(noun, name, self.names())
        return entry

    def names(self) -> list[str]:
        """All names: first those of the dictionary, then those of packages."""
        return list(dict.fromkeys([*self, *sorted(entry.name for entry in entry_points(group=self._group))]))

    def _added(self, name: str) -> Entry | None:
        for entry in entry_points(group=self._group, name=name):
            label = f"{name!r} is in package {entry.dist.name if entry.dist else 'unknown'!r}"
            try:
                loaded = entry.load()
            except Exception as error:
                reason = f"{type(error).__name__}: {first_line(error)}"
                raise UsageError(f"{label}, which cannot be imported ({reason}): fix or uninstall it") from error
            if not isinstance(loaded, self._kind):
                kinds = f"{type(loaded).__name__}, not {self._kind.__name__}"
                raise UsageError(f"{label}, where it has the type {kinds}: fix its entry point")
            return loaded
        return None
