"""What a setting may be is read off its annotation."""

from functools import partial
from typing import Literal

import numpy as np
import pytest

from seepage.inversion import INVERSIONS, REGULARIZERS, fitting
from seepage.inversion.settings import Count, NonNegative, Positive, Whole, checked
from seepage.records import UserError


def method(
    target: str,
    *,
    steps: Count = 3,
    students: Whole = 0,
    weight: float = 0.0,
    gamma: NonNegative = 0.0,
    clamp: Positive | None = 1.0,
    loss: Literal["one", "other"] = "one",
) -> dict:
    return locals()


FIT = [
    *(("steps", value) for value in (1, 10**9)),
    *(("students", value) for value in (0, 2)),
    *(("weight", value) for value in (-1e30, 0, 3, 1e-300)),
    *(("gamma", value) for value in (0, 1e30, np.float64(2.0))),
    *(("clamp", value) for value in (None, 1, 1e-9)),
    ("loss", "other"),
]

UNFIT = [
    *(("steps", value, "a whole number >= 1") for value in (0, -1, 2.5, 2.0, True, "a", None, [1])),
    *(("students", value, "a whole number >= 0") for value in (-1, 1.5, False)),
    *(("weight", value, "a finite number") for value in ("x", None, True, np.nan, np.inf, 1e31)),
    *(("gamma", value, "a finite number >= 0") for value in (-1e-9, np.nan, 10**400)),
    *(("clamp", value, "a finite number > 0 or none") for value in (0, -1, "a", False)),
    *(("loss", value, "one of one, other") for value in ("xx", None, 1, ["one"])),
]


@pytest.mark.parametrize("function", [method, checked(method), partial(checked(method), steps=2)])
@pytest.mark.parametrize(("name", "value"), FIT)
def test_what_fits_is_given_back(function, name, value):
    assert fitting(function, {name: value}) == {name: value}


@pytest.mark.parametrize("function", [method, checked(method), partial(checked(method), steps=2)])
@pytest.mark.parametrize(("name", "value", "words"), UNFIT)
def test_what_does_not_fit_is_refused_by_name(function, name, value, words):
    with pytest.raises(UserError) as caught:
        fitting(function, {name: value}, "options.")
    assert str(caught.value) == f"options.{name} must be {words}, got {value!r}."


def test_whole_numbers_are_floats_where_these_are_taken():
    found = fitting(method, {"weight": 3, "clamp": 10**25, "steps": 3})
    assert {name: type(value) for name, value in found.items()} == {
        "weight": float,
        "clamp": float,
        "steps": int,
    }


def test_a_checked_function_is_itself_but_for_what_it_refuses():
    asked = checked(method)
    assert asked.__name__ == "method"
    assert asked("t", steps=2) == method("t", steps=2)
    assert asked(target="t", weight=2) == method("t", weight=2.0)
    with pytest.raises(UserError, match=r"steps must be a whole number >= 1, got 2\.5"):
        asked("t", steps=2.5)
    with pytest.raises(TypeError, match="stebs"):
        asked("t", stebs=2)


@pytest.mark.parametrize("name", [*INVERSIONS, *REGULARIZERS])
def test_every_option_of_the_tables_refuses_what_it_cannot_be(name):
    entry = INVERSIONS.get(name) or REGULARIZERS[name]
    function = entry.invert if name in INVERSIONS else entry.factory
    for option in entry.options:
        for wrong in ("no such word", True, np.nan, [1]):
            with pytest.raises(UserError, match=f"^at.{option} must be "):
                fitting(function, {option: wrong}, "at.")
