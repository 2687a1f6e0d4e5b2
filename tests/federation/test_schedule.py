"""Learning rates by round, against values worked out by hand."""

import math
from itertools import pairwise

import pytest

from seepage.federation import SCHEDULES, build_schedule, settings_of
from seepage.records import UserError


def factors(name, rounds, **options):
    schedule = build_schedule(name, **options)
    return [schedule(number, rounds) for number in range(1, rounds + 1)]


def test_constant():
    assert factors("constant", 3) == [1, 1, 1]


def test_exponential_decays_from_the_second_round_on():
    assert factors("exponential", 3) == pytest.approx([1, 0.99, 0.9801])
    assert factors("exponential", 3, decay=0.5) == [1, 0.5, 0.25]


def test_cosine_lags_one_round():
    assert factors("cosine", 4) == pytest.approx([1, 1, (1 + math.sqrt(0.5)) / 2, 0.5])


def test_milestones_act_after_their_round():
    assert factors("milestones", 5, decay=0.1, milestones=[2, 4]) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_begins_at_one_and_never_rises(name):
    values = factors(name, 30, milestones=[10])
    assert values[0] == 1
    assert all(later <= sooner for sooner, later in pairwise(values))
    assert min(values) > 0


def test_settings_are_checked():
    assert settings_of(rounds=4, learning_rate=0.2, schedule="exponential").rate(3) == (
        pytest.approx(0.2 * 0.99**2)
    )
    for wrong in (
        {"schedule": "linear"},
        {"schedule": "exponential", "decay": 0.0},
        {"rounds": 0},
        {"participation": 0.0},
        {"participation": 1.1},
        {"learning_rate": -1.0},
        {"algorithm": "scaffold"},
        {"algorithm": "fedsgd", "local_epochs": 2},
        {"algorithm": "fedsgd", "momentum": 0.9},
    ):
        with pytest.raises(UserError, match="got"):
            settings_of(**{"rounds": 2, **wrong})
