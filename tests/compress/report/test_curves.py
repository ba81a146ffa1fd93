"""What is drawn of the rounds, and how."""

import math

import pytest

from compress.report.curves import HEIGHT, MOST_POINTS, WIDTH, Curve, groups


def drawn(name: str, *values: float) -> Curve:
    drawn = groups([{"round": index, name: value} for index, value in enumerate(values)])
    return drawn[0].curves[0]


def points(curve: Curve) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in curve.line.split())]


def test_a_loss_stands_on_zero_and_reaches_its_largest_value() -> None:
    curve = drawn("kl", 4.0, 2.0, 1.0)
    assert points(curve) == [(0, 0), (WIDTH / 2, HEIGHT / 2), (WIDTH, 0.75 * HEIGHT)]
    assert (curve.low, curve.high, curve.first, curve.last) == ("0", "4", "4", "1")


def test_shares_have_the_same_axis_whatever_their_values() -> None:
    assert points(drawn("agreement", 0.5, 0.75)) == [(0, HEIGHT / 2), (WIDTH, HEIGHT / 4)]
    assert drawn("agreement", 0.5, 0.75).high == "1"


def test_what_falls_by_orders_of_magnitude_has_a_logarithmic_axis_and_says_so() -> None:
    curve = drawn("bn", 1000.0, 10.0, 0.1)
    assert [y for _, y in points(curve)] == [0, HEIGHT / 2, HEIGHT]
    assert "logarithmic" in curve.meaning
    assert "logarithmic" not in drawn("bn", 10.0, 1.0).meaning


def test_a_curve_that_begins_late_begins_where_its_first_round_is() -> None:
    rows = [{"round": 0, "bn": 1.0}, {"round": 1, "bn": 0.5, "kl": 3.0}, {"round": 2, "bn": 0.2, "kl": 1.0}]
    student = groups(rows)[1]
    assert points(student.curves[0])[0][0] == WIDTH / 2


def test_what_never_changes_is_said_and_not_drawn() -> None:
    (buffer,) = groups([{"round": index, "admitted": 1.0} for index in range(3)])
    assert not buffer.curves
    assert buffer.unchanging == ["Admitted (new samples that entered the buffer) stayed at 1"]


def test_numbers_that_are_none_are_left_out_and_one_round_is_a_dot() -> None:
    assert len(points(drawn("kl", 1.0, math.nan, 2.0))) == 2
    first, second = points(drawn("kl", 2.0))
    assert first == second


def test_very_many_rounds_are_drawn_as_means() -> None:
    curve = drawn("kl", *(float(index % 2) for index in range(16_000)))
    assert len(points(curve)) <= MOST_POINTS
    assert "means of 80 rounds" in curve.meaning
    assert {y for _, y in points(curve)} == {0.0}, "half of ones and half of zeros, everywhere"


@pytest.mark.parametrize("name", ["a_new_term", "<b>"])
def test_a_number_that_nobody_described_is_drawn_under_its_own_name(name: str) -> None:
    assert drawn(name, 1.0, 2.0).title == name.replace("_", " ")


def test_a_term_of_somebody_elses_method_is_drawn_with_what_its_author_says() -> None:
    rows = [{"round": index, "contrast": float(index)} for index in range(3)]
    (samples,) = groups(rows, {"contrast": "standard deviation of an image"})
    assert [(curve.title, curve.meaning) for curve in samples.curves] == [
        ("contrast", "standard deviation of an image")
    ]
