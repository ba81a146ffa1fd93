"""The command line. Sub-commands are imported when they are called: importing torch and timm takes seconds."""

from __future__ import annotations

import errno
import os
import sys

from cyclopts import App, CycloptsError
from pydantic import ValidationError

from compress import __version__
from compress.cli.flags import as_flags
from compress.errors import CompressError, first_complaint, printable

UNUSABLE = {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS}
"""What the system says of a path that was named and cannot be used as it was meant."""

app = App(
    name="compress",
    version=__version__,
    help=(
        "Small vision models out of big ones, without the training data, as verified ONNX files.\n\n"
        "Start with `compress distill`: it needs no data, no download and no GPU."
    ),
    help_epilogue="`compress COMMAND --help` explains a command; `--debug` shows the traceback of an error.",
)
RUN = "runs/digit-scenes-ssd-kd-1"
COMMANDS = (
    (
        "distill",
        "distill:distill",
        "Teacher in; data-free student and verified ONNX file out.",
        "--task segmentation --teacher deeplabv3 --method fast-dfkd --distillation.rounds 60",
    ),
    ("teach", "teach:teach", "Train a teacher on labelled data.", "--teacher convnext_atto --out teacher"),
    ("evaluate", "evaluate:evaluate", "Score a run, a model or an ONNX file on held-out data.", f"{RUN} --json"),
    (
        "predict",
        "predict:predict",
        "Show what a model sees in your own photographs.",
        f"{RUN} photograph.jpg --out answers",
    ),
    (
        "export",
        "export:export",
        "Write a run's student as ONNX and prove that it does the same.",
        f"{RUN} --precision int8",
    ),
    ("report", "report:report", "Write the page that shows what a run came to.", RUN),
    ("benchmark", "benchmark:benchmark", "Time models and ONNX files side by side.", f"{RUN} --batch 1 --batch 16"),
    (
        "doctor",
        "doctor:doctor",
        "Say what is installed, what runs here, and what to do if it does not.",
        "--json",
    ),
    ("list", "names:list_names", "Print the teachers, students, methods, data sets or recipes.", "methods"),
    ("config show", "config:show", "Print what a recipe or a file comes to.", "cifar10/ssd-kd"),
    ("config validate", "config:validate", "Check files of settings.", "mine.yaml theirs.yaml"),
    ("config schema", "config:schema", "Print the JSON schema of the settings, for editors.", "> schema.json"),
    (
        "completion",
        "completion:completion",
        "Print the script that lets bash, zsh or fish complete.",
        "fish > ~/.config/fish/completions/compress.fish",
    ),
)
"""Words, where they lead, what they do, and how they may go on in an example."""
app.command(App(name="config", help="Show, check and describe settings before they are used."))
for _words, _target, _help, _example in COMMANDS:
    _group, _, _name = _words.rpartition(" ")
    (app[_group] if _group else app).command(
        f"compress.cli.{_target}",
        name=_name,
        help=_help,
        help_epilogue=f"For example: `compress {_words} {_example}`",
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 3 a gate was not met, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        app(
            [word for word in words if word != "--debug"],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        _fail(_explained(error), 2, error if debug else None)
    except CompressError as error:
        _fail(str(error), error.exit_code, error if debug else None)
    except KeyboardInterrupt:
        _fail("interrupted", 130, None)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        known = error.errno in UNUSABLE and error.filename is not None
        said = f"cannot use {error.filename}: {error.strerror}; name another file or folder, or mend it"
        _fail(said if known else _failed(error), 2 if known else 1, error if debug else None)
    except Exception as error:
        _fail(_failed(error), 1, error if debug else None)
    sys.exit(0)


def _failed(error: Exception) -> str:
    return f"the run failed: {type(error).__name__}: {error}; --debug shows where"


def _explained(error: CycloptsError) -> str:
    cause = error.__cause__
    return first_complaint(cause) if isinstance(cause, ValidationError) else str(error)


def _fail(message: str, code: int, error: Exception | None) -> None:
    if error is not None:
        raise error
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun started this one, and others that fail with it
        from compress.training.parallel import first_to_fail

        if not first_to_fail():
            sys.exit(code)
    print("compress:", printable(as_flags(" ".join(message.split()))), file=sys.stderr)
    sys.exit(code)
