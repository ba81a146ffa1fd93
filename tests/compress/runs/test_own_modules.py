"""Modules of the user's own are taken as they are used elsewhere."""

from torch import nn

from compress.runs.own_modules import OwnData, own_source, usable
from compress.testing import FakeTask


def test_a_module_is_taken_out_of_what_spreads_it_over_cards() -> None:
    source = own_source("classification", OwnData(class_names="abcd", image_shape=(3, 16, 16)))
    network = FakeTask(positions=False).student()
    assert usable(nn.DataParallel(nn.DataParallel(network)), "student", source) is network
