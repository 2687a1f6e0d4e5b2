"""A server that isolates its targets: what they are given, whom that tells of, and whom not."""

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from by_heart import (
    OWNER,
    SPLIT,
    STACKED,
    candidates,
    equal,
    federation,
    losses,
    network,
    records,
    told_apart,
)

from seepage.insiders import ascending, isolating
from seepage.insiders.ascent import Ascent
from seepage.observe.tensors import read_memory, write_memory
from seepage.protocols import Defense
from seepage.records import Split, UserError

CLIMBS = frozenset({2, 4, 6, 8, 10})


def server(targets=(1,), *, seed=0, rate=0.5, steps=1, rounds=CLIMBS):
    inputs, labels = candidates(seed)
    return isolating(
        targets, inputs, labels, rate=rate, steps=steps, rounds=rounds, model=network(seed)
    )


def climb(rate=0.5, steps=1, rounds=CLIMBS):
    inputs, labels = candidates()
    return Ascent(
        model=network(), inputs=inputs, labels=labels, rate=rate, steps=steps, rounds=rounds
    )


# --- what a target is given -------------------------------------------------------------------


@pytest.mark.parametrize("update", [None, lambda c, turn: {n: v / 2 for n, v in c.items()}])
def test_a_target_is_given_its_own_last_upload_raised_in_some_rounds(update):
    rounds = federation(
        server((3, 1)), rounds=9, participation=0.75, defense=Defense(update=update)
    )
    last, given = {}, 0
    for what in rounds:
        assert set(what.dealt) == {1, 3} & set(what.uploads)
        for k, dealt in what.dealt.items():
            assert equal(dealt, climb().raised(last.get(k, what.start), what.number))
            given += k in last
        last |= {k: what.uploads[k] for k in what.dealt}
        kept = what.memory["insider"]
        for k, upload in last.items():  # who takes no part keeps what it has
            assert all(torch.equal(kept[f"isolated/c{k:03d}/{n}"], v) for n, v in upload.items())
        assert len(kept) == 4 * len(last)
    assert 0 < given < 2 * len(rounds)
    assert {len(what.dealt) for what in rounds} == {1, 2}


def test_without_a_climb_a_target_trains_all_alone():
    alone = Split(clients=(SPLIT.clients[0],), held_out=SPLIT.held_out)
    by_itself = federation(rounds=4, split=alone)
    isolated = federation(server((0,), rounds=frozenset()), rounds=4)
    for one, other in zip(by_itself, isolated, strict=True):
        assert equal(one.uploads[0], other.uploads[0])


def test_the_others_train_as_if_the_targets_were_not_there():
    rest = Split(clients=SPLIT.clients[:3], held_out=SPLIT.held_out)
    without = federation(rounds=4, split=rest)
    for one, other in zip(without, federation(server((3,)), rounds=4), strict=True):
        assert one.weights == other.weights
        assert equal(one.after, other.after)


def test_another_clients_records_never_reach_a_target():
    dataset = records()
    changed = dataset.inputs.clone()
    changed[SPLIT.clients[0]] += 1.0  # of no candidate
    other = replace(dataset, inputs=changed)
    one, two = federation(server(), rounds=4), federation(server(), rounds=4, dataset=other)
    assert not equal(one[0].after, two[0].after)
    for a, b in zip(one, two, strict=True):
        assert equal(a.uploads[1], b.uploads[1])


@pytest.mark.parametrize("first", [2, 5])
def test_a_resumed_server_goes_on_from_what_was_saved(tmp_path, first):
    straight = federation(server((1, 2)), rounds=6, participation=0.75)
    before = straight[first - 2]
    write_memory(tmp_path / "memory.safetensors", before.memory)
    resumed = federation(
        server((1, 2)),
        rounds=6,
        participation=0.75,
        start=before.after,
        first_round=first,
        memory=read_memory(tmp_path / "memory.safetensors"),
    )
    for one, other in zip(straight[first - 1 :], resumed, strict=True):
        assert equal(one.after, other.after)
        assert all(equal(one.uploads[k], other.uploads[k]) for k in one.uploads)
        assert equal(one.memory["insider"], other.memory["insider"])


def test_a_climb_that_diverges_names_round_and_rate():
    with pytest.raises(UserError, match=r"round 2: gradient ascent diverged .* rate 1e\+38\b"):
        federation(server(rate=1e38, steps=9), rounds=3)


def test_isolating_everyone_leaves_nobody_for_the_mean():
    with pytest.raises(UserError, match="nobody is left for the mean"):
        federation(server((0, 1, 2, 3)), rounds=1)


def test_it_can_be_sent_to_another_process():
    there = pickle.loads(pickle.dumps(server()))
    one, other = (federation(who, rounds=2)[-1] for who in (server(), there))
    assert equal(one.uploads[1], other.uploads[1])


# --- whom it tells of -------------------------------------------------------------------------

TARGET, OTHERS, HELD_OUT = OWNER == 1, OWNER > 1, OWNER < 0


@cache
def fall(seed):
    """How far each candidate's loss falls in the target's training, over the climbs."""
    rounds = federation(server(seed=seed), seed=seed, plan=STACKED)
    each = [
        losses(what.dealt[1], seed) - losses(what.uploads[1], seed)
        for what in rounds
        if what.number in CLIMBS
    ]
    return np.mean(each, axis=0)


@cache
def seen_by_a_participant(seed):
    """The same climb by client 0, in its upload: the fall to the global model, and its level."""
    inputs, labels = candidates(seed)
    who = ascending((0,), inputs, labels, rate=0.5, steps=1, rounds=CLIMBS, model=network(seed))
    rounds = [w for w in federation(who, seed=seed, plan=STACKED) if w.number in CLIMBS]
    own = np.mean([losses(what.uploads[0], seed) for what in rounds], axis=0)
    left = np.mean([losses(what.after, seed) for what in rounds], axis=0)
    return own - left, -left


def mean_auc(score_of, these, those):
    found = [told_apart(score_of(seed), these, those) for seed in range(3)]
    return np.mean([area for area, _ in found]), found[0][1] / np.sqrt(3)


@pytest.mark.parametrize("those", [HELD_OUT, OTHERS], ids=["held out", "of others"])
def test_only_the_targets_members_fall_back(those):
    area, error = mean_auc(fall, TARGET, those)
    assert area > 0.9 > 0.5 + 4 * error
    for score in (lambda s: seen_by_a_participant(s)[0], lambda s: seen_by_a_participant(s)[1]):
        assert area > mean_auc(score, TARGET, those)[0] + 0.15


def test_records_that_the_target_does_not_hold_are_not_told_apart():
    even = np.arange(len(OWNER)) % 2 == 0
    for these, those in [(OTHERS, HELD_OUT), (HELD_OUT & even, HELD_OUT & ~even)]:
        area, error = mean_auc(fall, these, those)
        assert abs(area - 0.5) < 4 * error
