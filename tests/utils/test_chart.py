"""Charts of pages: whole, and right where it counts."""

import re

import numpy as np
import pytest

from labelnext.utils.chart import _ticks, chart

NAN = float("nan")


def test_points_say_what_they_are_and_names_are_escaped():
    points = [(10, 0.5, 0.4, 0.6), (20, 0.75, NAN, NAN)]
    drawn = chart({"<b>": points}, x="<x>", y="<y>", shares=True)
    assert "10: 50 % (40 % to 60 %)" in drawn
    assert "20: 75 %<" in drawn
    assert "&lt;b&gt;" in drawn
    assert not re.search("<[bxy]>", drawn)
    assert "nan" not in drawn.lower()


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("shares", [[1.0], [1.0, 1.0], [0.2, 1.0], [0.81, 0.93]])
def test_no_share_is_marked_above_all(shares, log):
    points = [(at, share, NAN, NAN) for at, share in enumerate(shares)]
    drawn = chart({"a": points}, x="x", y="y", shares=True, log=log)
    marks = [float(mark) for mark in re.findall(r">([\d.e+-]+) %</text>", drawn)]
    assert marks
    assert max(marks) <= 100


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "points",
    [
        [(5, 0.0, NAN, NAN)],
        [(5, 0.3, 0.3, 0.3)],
        [(0, 1e-9, NAN, NAN), (1, 1e9, NAN, NAN)],
        [(3, 7.0, 6, 8), (3, 7.0, 6, 8)],
        [(1, -2.0, NAN, NAN), (9, 2.0, NAN, NAN)],
        [],
    ],
)
def test_every_kind_of_points(points, log):
    drawn = chart({"a": points}, x="x", y="y", log=log)
    assert drawn.count("<svg") in (0, 2)
    assert "nan" not in drawn.lower()
    for value in re.findall(r'c[xy]="([-\d.]+)"', drawn):
        assert -1 <= float(value) <= 561


def test_marks_are_told_apart_and_are_inside():
    points = [(1, 0.99990, NAN, NAN), (2, 0.99999, NAN, NAN)]
    drawn = chart({"a": points}, x="x", y="y")
    found = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end">([\d.]+)</text>', drawn)
    marks = [mark for _, mark in found]
    assert len(marks) == len({*marks}) > 2
    assert all(float(x) > 10 * len(mark) for x, mark in found)
    # What is always 1 is drawn from 0: nothing is above it, be it a share or a kappa.
    assert ">1</text>" in (one := chart({"a": [(1, 1, 1, 1), (2, 1, 1, 1)]}, x="x", y="y"))
    assert ">0</text>" in one


def test_nothing_to_draw_is_nothing():
    assert not chart({"a": [(1, NAN, NAN, NAN)]}, x="x", y="y")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.83, 0.95), (3, 3), (0, 0), (-5, 17), (1, 480)]
)
def test_ticks_are_round_and_cover(low, high):
    ticks = _ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert len(ticks) <= 12
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0])
