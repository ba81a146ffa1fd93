"""`compress` and `python -m compress`: the command line as a process of its own."""

import os
import signal
import sys
from contextlib import suppress

from compress.cli import by_torchrun, main
from compress.errors import Interrupted


def run() -> None:
    """Run the command line; SIGTERM and SIGHUP end it like Ctrl-C, and what is interrupted ends at once.

    The interpreter would first clear away torch and all that was loaded with it, which takes seconds on loaded cores
    while somebody waits for the end. What there was to write is written by then, and the system frees the rest. What
    torchrun started it also ends, in its own way.
    """
    if not by_torchrun():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup sets SIGHUP aside
                signal.signal(number, signal.default_int_handler)
    try:
        main()
    except SystemExit as left:
        if left.code == Interrupted.exit_code:
            with suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(Interrupted.exit_code)
        raise


if __name__ == "__main__":
    run()
