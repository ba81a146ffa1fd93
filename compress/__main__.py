"""Entry point of `compress` and `python -m compress`."""

import os
import signal
import sys
from contextlib import suppress

from compress.cli import by_torchrun, main
from compress.errors import Interrupted


def run() -> None:
    """Run the command line. SIGTERM and SIGHUP end it like Ctrl-C, and an interrupted process exits at once.

    The interpreter would first unload torch, which takes seconds on busy cores. All files are written by then, and the
    operating system frees the memory. Processes of torchrun keep their signal handlers, because torchrun ends them.
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
