"""`compress completion`: the script with which a shell completes commands and flags."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script for bash, zsh or fish.

    Write it to where your shell looks for completions.

    Parameters
    ----------
    shell
        For zsh, write a file `_compress` in a folder of `$fpath`; for fish, ~/.config/fish/completions/compress.fish.
    """
    from compress.cli import app

    print(app.generate_completion(shell=shell))
