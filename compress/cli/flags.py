"""Settings as the command line calls them."""

from __future__ import annotations

import re

_SETTING = re.compile(r"`([a-z]\w*(?:\.[a-z]\w*)*)`")


def as_flags(message: str) -> str:
    """A message of the library, which names settings in backticks (`data_root`), with their flags (--data-root).

    What is longer than a name in backticks, such as a command, stays.
    """
    return _SETTING.sub(lambda match: "--" + match.group(1).replace("_", "-"), message)
