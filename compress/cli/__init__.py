"""The command line. Sub-commands are imported when they are called: importing torch and timm takes seconds."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from cyclopts import App, CycloptsError, UnusedCliTokensError
from pydantic import ValidationError

from compress import __version__
from compress.cli.flags import NO_EMPTY_FLAGS, as_flags
from compress.cli.help_page import HELP_FLAGS, print_help
from compress.errors import CompressError, first_complaint, printable
from compress.training.progress import console

FULL = {errno.ENOSPC, errno.EDQUOT}
TORCHRUN = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE")
NARROWEST = 20  # columns, or lines
UNUSABLE = {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS}
"""Errors of the operating system about a path that the user named."""

app = App(
    name="compress",
    version=__version__,
    help=(
        "Train small vision models from big ones without the training data, and export verified ONNX files.\n\n"
        "Start with `compress distill`: it needs no data, no download and no GPU."
    ),
    help_epilogue="`compress COMMAND --help` explains a command; `--debug` shows the traceback of an error.",
    default_parameter=NO_EMPTY_FLAGS,
)
RUN = "runs/digit-scenes-fast-dfkd-1"
COMMANDS = (
    (
        "distill",
        "distill:distill",
        "Distil a student from a teacher without data, and write a verified ONNX file.",
        "--task segmentation --teacher deeplabv3 --method fast-dfkd --distillation.rounds 60",
    ),
    ("teach", "teach:teach", "Train a teacher on labelled data.", "--teacher convnext_atto --out teacher"),
    ("evaluate", "evaluate:evaluate", "Score a run, a model or an ONNX file on held-out data.", f"{RUN} --json"),
    (
        "predict",
        "predict:predict",
        "Show what a model predicts on your own images.",
        f"{RUN} photograph.jpg --out answers",
    ),
    (
        "export",
        "export:export",
        "Write a model as ONNX and verify the file.",
        f"{RUN} --precision int8",
    ),
    ("report", "report:report", "Write the HTML report of a run.", RUN),
    ("benchmark", "benchmark:benchmark", "Compare the speed of models and ONNX files.", f"{RUN} --batch 1 --batch 16"),
    (
        "doctor",
        "doctor:doctor",
        "Check the installation, the GPU and onnxruntime's providers.",
        "--json",
    ),
    (
        "list",
        "names:list_names",
        "Print the names of teachers, students, methods, data, tasks, recipes, or an export's precisions and targets.",
        "methods",
    ),
    ("config show", "config:show", "Print all settings of a recipe or a settings file.", "cifar10/ssd-kd"),
    ("config validate", "config:validate", "Check settings files.", "mine.yaml theirs.yaml"),
    ("config schema", "config:schema", "Print the JSON schema of the settings, for editors.", "> schema.json"),
    (
        "completion",
        "completion:completion",
        "Print the completion script for bash, zsh or fish.",
        "fish > ~/.config/fish/completions/compress.fish",
    ),
)
"""Of each command: its words, its function, the first line of the function's docstring, and an example's arguments."""
app.command(App(name="config", help="Show, check and describe settings."))
for _words, _target, _help, _example in COMMANDS:
    _group, _, _name = _words.rpartition(" ")
    (app[_group] if _group else app).command(
        f"compress.cli.{_target}",
        name=_name,
        help=_help,
        help_epilogue=f"For example: `compress {_words} {_example}`",
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 3 a check failed, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _suit_streams()
    try:
        with console.worded(as_flags):
            _run(words)
    except CycloptsError as error:
        _fail(_explained(error), 2, error if debug else None)
    except CompressError as error:
        _fail(str(error), error.exit_code, error if debug else None)
    except KeyboardInterrupt:
        _fail("interrupted", 130, None)
    except BrokenPipeError:
        _give_up_output()
        sys.exit(1)
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            _give_up_output()
            _fail("no space left on the device while writing the output: free some and run again", 2, None)
        message, code = _failed(error), 1
        if error.errno in UNUSABLE and error.filename is not None:
            message, code = f"cannot use {error.filename}: {error.strerror}; fix it or choose another path", 2
        _fail(message, code, error if debug else None)
    except Exception as error:
        _fail(_failed(error), 1, error if debug else None)
    sys.exit(0)


def _run(words: list[str]) -> None:
    if HELP_FLAGS.isdisjoint(words):
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    else:
        print_help(app, words)
    sys.stdout.flush()


def by_torchrun() -> bool:
    """Whether torchrun started this process. A run's id alone may be left over from another one."""
    return all(name in os.environ for name in TORCHRUN)


def _suit_streams() -> None:
    """Escape what a terminal cannot show, and ignore an impossible width."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for name in ("COLUMNS", "LINES"):
        if not os.environ.get(name, "80").isdecimal() or int(os.environ.get(name, "80")) < NARROWEST:
            del os.environ[name]


def _give_up_output() -> None:
    """Discard all further output, including that at the end of the process."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(error: Exception) -> str:
    return f"the run failed: {type(error).__name__}: {error}; --debug shows the traceback"


def _explained(error: CycloptsError) -> str:
    cause = error.__cause__
    if isinstance(error, UnusedCliTokensError):
        extra = " ".join(map(repr, error.unused_tokens or ()))
        return f"unexpected {extra}: settings are flags, such as --teacher NAME; --help lists them"
    return first_complaint(cause) if isinstance(cause, ValidationError) else str(error)


def _fail(message: str, code: int, error: Exception | None) -> None:
    if error is not None:
        raise error
    if by_torchrun():  # several processes fail together; one of them reports
        from compress.training.parallel import first_to_fail

        if not first_to_fail():
            sys.exit(code)
    print("compress:", printable(as_flags(" ".join(message.split()))), file=sys.stderr)
    sys.exit(code)
