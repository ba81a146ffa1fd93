"""Data-free compression of vision models: a teacher goes in, a small student and a verified ONNX file come out.

A script starts from these::

    from compress.methods import METHODS, Ingredients
    from compress.settings import DistillSettings
    from compress.task import Task, TaskSpec

`tasks/`, `export/` and `configs/` stand beside this folder in a checkout and are installed as `compress.tasks`,
`compress.export` and `compress.configs`.
"""

from pathlib import Path

_checkout = Path(__file__).parent.parent
if not (Path(__file__).parent / "tasks").is_dir() and (_checkout / "tasks").is_dir():
    __path__.append(str(_checkout))  # the documented way to spread one package over several folders

__version__ = "0.1.0"
