"""A device that cannot be had is one line, whatever is wrong with it."""

import pytest
import torch

from compress.errors import UsageError
from compress.settings import DistillSettings
from compress.training import compute
from compress.training.compute import Compute, preserved_backends


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:1000", "CUDA", "mps", ""])
def test_a_device_has_a_name_that_is_known(name: str) -> None:
    with pytest.raises(UsageError, match="none of auto, cpu, cuda"):
        Compute.choose(name)
    with pytest.raises(ValueError, match="should match pattern"):
        DistillSettings(device=name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_a_machine_without_a_card_says_why(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def broken() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update\nit.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", broken)
    with pytest.raises(UsageError, match=rf"`device` {name}: .*driver on your system is too old") as caught:
        Compute.choose(name)
    assert str(caught.value).isprintable()
    assert Compute.choose("auto", "fp32").device.type == "cpu"


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch sees two cards, and can use neither."""

    def fault(device: torch.device) -> str:
        return "no kernel image is available for execution on the device"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old card")
    monkeypatch.setattr(compute, "_fault", fault)


def test_a_card_that_is_not_there_is_told_from_those_that_are(two_cards: None) -> None:
    with pytest.raises(UsageError, match=r"cuda:2: torch sees 2 CUDA devices here, cuda:0 to cuda:1"):
        Compute.choose("cuda:2")


def test_a_card_that_torch_cannot_use_is_refused_by_name_and_passed_over_otherwise(two_cards: None, capsys) -> None:
    with pytest.raises(UsageError, match="cannot use an old card: no kernel image"):
        Compute.choose("cuda:1")
    assert Compute.choose("auto", "fp32").device.type == "cpu"
    assert "the run goes on the CPU" in capsys.readouterr().err


def test_scores_have_all_bits_on_cuda_and_what_torch_does_elsewhere_is_restored(
    two_cards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "_fault", lambda _: None)
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    usual = (conv.fp32_precision, matmul.fp32_precision)
    with preserved_backends():
        chosen = Compute.choose("auto", "fp32")
        assert torch.backends.cudnn.benchmark, "the shapes of steps are the same"
        with chosen.exact.autocast():
            assert (conv.fp32_precision, matmul.fp32_precision) == ("ieee", "ieee")
            assert not torch.backends.cudnn.benchmark, "those of scored images are not"
        assert torch.backends.cudnn.benchmark
    assert (conv.fp32_precision, matmul.fp32_precision) == usual
    assert not torch.backends.cudnn.benchmark


def test_a_card_that_emulates_bf16_gets_fp32(two_cards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_fault", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with preserved_backends():
        assert Compute.choose("auto").precision == "fp32"
