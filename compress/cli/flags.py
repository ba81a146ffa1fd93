"""Names and types of flags."""

from __future__ import annotations

import re
from typing import Annotated

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative=())]
"""A flag without a value, which is off unless it is given."""

NO_EMPTY_FLAGS = Parameter(negative_iterable=())
"""Settings of several numbers have no flag such as --empty-mean."""

RENAMED = {"target": "for"}
"""Settings whose flag has another name: a word that Python keeps for itself."""
_SETTING = re.compile(r"`(?!compress\.)([a-z]\w*(?:\.[a-z]\w*)*)`")


def as_flags(message: str) -> str:
    """A library's message with flags (--data-root) in place of settings in backticks (`data_root`).

    Longer text in backticks, such as a command, and names of this package are left as they are.
    """
    return _SETTING.sub(lambda match: "--" + RENAMED.get(match.group(1), match.group(1).replace("_", "-")), message)
