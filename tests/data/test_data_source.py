from dataclasses import replace

import numpy as np
import pytest

from seepage.data.source import Raw, check, check_finite, checksum
from seepage.data.source import Source as Published
from seepage.records import UserError

RAW = Raw(inputs=np.arange(24, dtype=np.uint8).reshape(4, 6), labels=np.array([0, 1, 2, 0]))


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": RAW.inputs[::-1]},
        {"inputs": RAW.inputs.reshape(4, 2, 3)},
        {"inputs": RAW.inputs.astype(np.uint16)},
        {"inputs": RAW.inputs ^ (RAW.inputs == 7)},
        {"labels": RAW.labels[::-1].copy()[[1, 0, 2, 3]]},
        {"n_train": 2},
    ],
)
def test_checksum_changes_with_the_content(changed):
    assert checksum(replace(RAW, **changed)) != checksum(RAW)


def test_checksum_does_not_depend_on_the_memory():
    assert checksum(replace(RAW, inputs=np.asfortranarray(RAW.inputs))) == checksum(RAW)
    # SHA-256 of what the docstring lists, written out
    assert checksum(RAW) == "73199f7a21a8751a576a7b5f04f3bf4733036951bf6b33261185484c1239e5a3"


def test_a_value_that_is_not_finite_is_placed():
    inputs = np.zeros((5, 2, 3), np.float32)
    check_finite(inputs, "here")
    inputs[3, 1, 2] = np.inf
    inputs[4, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"^here: .*in 2 rows, first in row 3"):
        check_finite(inputs, "here")


PUBLISHED = Published(
    summary="", shape=(6,), classes=3, n=4, n_train=None, paper="", obtained="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"n": 5}, "5 samples, got 4"),
        ({"n_train": 2}, "2 training samples, got None"),
        ({"shape": (3,)}, r"inputs of shape \(3,\), got \(6,\)"),
        ({"classes": 2}, "labels from 0 to 1, got labels from 0 to 2"),
        ({"n": None, "n_train": 7}, None),
    ],
)
def test_what_is_published_is_checked(changed, said):
    source = replace(PUBLISHED, **changed)
    if said is None:
        check(source, RAW, "here")
        return
    with pytest.raises(UserError, match=f"^here: expected {said}"):
        check(source, RAW, "here")


def test_nothing_is_refused():
    empty = Raw(inputs=RAW.inputs[:0], labels=RAW.labels[:0])
    with pytest.raises(UserError, match="at least one sample"):
        check(replace(PUBLISHED, n=None), empty, "here")
