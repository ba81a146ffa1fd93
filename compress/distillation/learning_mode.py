"""The mode in which a student learns."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def set_learning_mode(student: nn.Module, *, dropout: bool) -> None:
    """Put the student into training mode, and its dropout layers into evaluation mode unless `dropout` is set.

    Dropout keeps a network from learning a small training set by heart. A student sees new samples in every round, and
    half of its features hidden make it slower to imitate its teacher. Only modules of torch's dropout classes are
    found: a module that calls `torch.nn.functional.dropout` by itself keeps its dropout.
    """
    student.train()
    if dropout:
        return
    for module in student.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
