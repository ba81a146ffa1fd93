"""`compress completion`: what lets a shell complete commands and flags."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the script that completes commands and flags, for you to put where the shell looks for it.

    Parameters
    ----------
    shell
        For zsh, a file `_compress` in a folder of `$fpath`; for fish, ~/.config/fish/completions/compress.fish.
    """
    from compress.cli import app

    print(app.generate_completion(shell=shell))
