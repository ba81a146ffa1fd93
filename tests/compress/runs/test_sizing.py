"""How many rounds fit into some minutes."""

import pytest

from compress.runs.sizing import Pace, _fitted, _seconds, recipe
from compress.settings import DistillSettings, ResolvedSettings
from compress.storage.settings_files import merged


def settings(**values: object) -> ResolvedSettings:
    named = {"teacher": "resnet50", "student": "resnet18", "minutes": 30.0}
    return ResolvedSettings.model_validate({**named, **merged(recipe(DistillSettings(), 224, "none"), values)})


def length(of: ResolvedSettings, pace: Pace) -> float:
    """Seconds of all its rounds as they were fitted, as if each had both halves."""
    fitted = _fitted(of, pace)
    return fitted["distillation"]["rounds"] * _seconds(
        pace, fitted["inversion"]["steps"], fitted["distillation"]["steps"]
    )


@pytest.mark.parametrize("pace", [Pace(0.01, 0.01), Pace(1.0, 0.5), Pace(20.0, 3.0)], ids=["fast", "usual", "slow"])
@pytest.mark.parametrize("minutes", [5.0, 30.0, 600.0])
def test_the_rounds_take_the_minutes_whatever_a_step_takes(minutes: float, pace: Pace) -> None:
    assert length(settings(minutes=minutes), pace) == pytest.approx(60 * minutes, rel=0.3)


def test_rounds_become_smaller_before_they_become_few() -> None:
    fitted = _fitted(settings(minutes=5.0), Pace(5.0, 1.0))
    assert fitted["distillation"]["rounds"] >= 8
    assert 1 <= fitted["distillation"]["steps"] < 50
    assert 1 <= fitted["inversion"]["steps"] <= 5
    assert 1 <= fitted["distillation"]["warmup"] < fitted["distillation"]["rounds"]


def test_what_a_user_chose_stays() -> None:
    chosen = settings(
        distillation={"steps": 40}, inversion={"steps": 7}, chosen=("distillation.steps", "inversion.steps")
    )
    fitted = _fitted(chosen, Pace(60.0, 10.0))
    assert (fitted["distillation"]["steps"], fitted["inversion"]["steps"]) == (40, 7)
    assert fitted["distillation"]["rounds"] == 2, "fewer would not be a run"


def test_the_recipe_holds_only_what_the_method_takes() -> None:
    assert recipe(DistillSettings(method="fast-dfkd"), 32, "none")["replay"].keys() == {"capacity"}
    assert "replay" not in recipe(DistillSettings(method="cmi"), 32, "none")
    assert recipe(DistillSettings(method="kd"), 32, "none").keys() == {"distillation"}
    assert (
        recipe(DistillSettings(), 224, "pretrained")["distillation"]["lr"]
        < recipe(DistillSettings(), 224, "none")["distillation"]["lr"]
    )
