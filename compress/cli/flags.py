"""Settings as the command line calls them."""

from __future__ import annotations

import re
from typing import Annotated

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative=())]
"""A flag without a value, which is off unless it is given."""

_SETTING = re.compile(r"`([a-z]\w*(?:\.[a-z]\w*)*)`")


def as_flags(message: str) -> str:
    """A message of the library, which names settings in backticks (`data_root`), with their flags (--data-root).

    What is longer than a name in backticks, such as a command, stays.
    """
    return _SETTING.sub(lambda match: "--" + match.group(1).replace("_", "-"), message)
