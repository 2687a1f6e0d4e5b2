"""The released protocol's redraw makes a leak out of nothing; a fixed pool does not."""

import numpy as np
import pytest
from synthetic import auc, dataset, signals, tpr
from synthetic_users import user_signals

from seepage.attacks import ATTACKS, fedmia_loss, loss_series
from seepage.attacks.redraw import redraw
from seepage.records import UserError

MEMBERS, HELD_OUT, OTHERS, CLIENTS, ROUNDS = 5_000, 1_000, 1_000, 10, 30


@pytest.fixture(scope="module")
def no_leak():
    """Margins with a persistent difficulty and a persistent taste of each client; nothing leaks."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.r_[0, -1, 1:CLIENTS], [MEMBERS, HELD_OUT] + [OTHERS] * (CLIENTS - 1))
    shape = (ROUNDS, CLIENTS, len(owner))
    margin = 0.5 * rng.normal(size=shape) + 0.5 * rng.normal(size=shape[1:])
    loss = np.logaddexp(0, -(margin + 2.5 * rng.normal(size=len(owner))))
    return dataset("loss", loss), owner


def rates(score, owner):
    member, nonmember = score.to_numpy()[owner == 0], score.to_numpy()[owner != 0]
    return auc(member, nonmember), tpr(member, nonmember, 0.001)


@pytest.mark.parametrize("attack", [loss_series, fedmia_loss])
def test_a_fixed_pool_shows_no_leak(no_leak, attack):
    found, owner = no_leak
    area, rate = rates(attack(found, 0), owner)
    error = np.sqrt((1 / MEMBERS + 1 / (HELD_OUT + 9 * OTHERS)) / 12)
    assert area == pytest.approx(0.5, abs=4 * error)
    assert rate <= 0.003


def test_the_redraw_manufactures_one(no_leak):
    found, owner = no_leak
    redrawn = redraw(found, owner, 0, np.random.default_rng(1))
    area, rate = rates(loss_series(redrawn, 0), owner)
    assert 0.4 < rate < 0.55
    assert area > 0.6
    area, rate = rates(fedmia_loss(redrawn, 0), owner)
    assert 0.15 < rate < 0.35


def test_members_stay_and_blocks_keep_their_values():
    found, owner = signals(0)
    redrawn = redraw(found, owner, 2, np.random.default_rng(0))
    for name in found.data_vars:
        before = found[name].transpose(..., "sample").to_numpy()
        after = redrawn[name].transpose(..., "sample").to_numpy()
        np.testing.assert_array_equal(after[..., owner == 2], before[..., owner == 2])
        for block in set(owner) - {2}:
            inside = owner == block
            assert not np.array_equal(after[..., inside], before[..., inside])
            np.testing.assert_array_equal(
                np.sort(after[..., inside]), np.sort(before[..., inside]), strict=True
            )


def test_every_round_and_client_has_its_own_permutation():
    n = 200
    column = np.broadcast_to(np.arange(n), (3, 4, n))
    redrawn = redraw(dataset("loss", column), np.full(n, -1), 0, np.random.default_rng(0))
    rows = redrawn["loss"].to_numpy().reshape(-1, n)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert np.abs(np.corrcoef(rows) - np.eye(len(rows))).max() < 0.35


def test_signals_of_one_client_and_round_move_together():
    found, owner = signals(0)
    found["margin"] = found["loss"] * 2 + 1
    redrawn = redraw(found, owner, 0, np.random.default_rng(0))
    np.testing.assert_allclose(redrawn["margin"], redrawn["loss"] * 2 + 1)


def test_the_input_is_left_as_it_was():
    found, owner = signals(0)
    before = found.copy(deep=True)
    redraw(found, owner, 0, np.random.default_rng(0))
    assert found.identical(before)


def test_owner_needs_one_entry_a_sample():
    found, owner = signals(0)
    with pytest.raises(UserError, match="one entry for each of"):
        redraw(found, owner[:-1], 0, np.random.default_rng(0))


def test_the_redraw_leaves_every_attack_runnable():
    for make in (signals, user_signals):
        found, owner = make(0)
        redrawn = redraw(found, owner, 0, np.random.default_rng(0))
        for attack in ATTACKS.values():
            if attack.over == "client" and bool(attack.decide) == (make is user_signals):
                assert attack(redrawn, 0).notnull().all()
