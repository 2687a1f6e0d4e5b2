"""What each adversary holds of a round, and above all what it does not."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import combinations, product

import pytest
import torch

from seepage.observe import ADVERSARIES, AGGREGATE, PARTICIPANT, QUERIER, SERVER, View, seen_by

FIELDS = {"adversary", "number", "start", "models", "own", "weights", "dealt", "aggregate"}


def tensors(thing):
    """Every tensor that can be reached from ``thing``."""
    if isinstance(thing, torch.Tensor):
        return [thing]
    if is_dataclass(thing):
        return [t for field in fields(thing) for t in tensors(getattr(thing, field.name))]
    if isinstance(thing, Mapping):
        return [t for key, value in thing.items() for t in (*tensors(key), *tensors(value))]
    assert thing is None or isinstance(thing, (str, int, float)), f"cannot look into {type(thing)}"
    return []


def shows(view, secret):
    """Whether any tensor of ``secret`` is in the view: its memory, or its values."""
    return any(
        held.untyped_storage().data_ptr() == hidden.untyped_storage().data_ptr()
        or (held.shape == hidden.shape and torch.equal(held, hidden))
        for held, hidden in product(tensors(view), tensors(secret))
    )


@pytest.fixture
def full_round(make_round):
    """A round of five clients with all there is in one; the last was isolated by the server."""
    what = make_round(clients=5)
    uploads = dict(what.uploads)
    return replace(
        what,
        weights={0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4},
        dealt={4: {name: value + 2 for name, value in what.start.items()}},
        memory={
            "server": {"moment": what.start["w"] + 3},
            "c001": {"drift": uploads[1]["w"] + 3},
            "insider": {"kept": uploads[2]["w"] + 4},
        },
    )


def test_the_server_sees_what_was_sent_not_what_was_before_the_defense(full_round):
    view = seen_by(SERVER, full_round)
    assert view.start is full_round.start
    assert view.models == dict(full_round.uploads)
    assert view.weights == full_round.weights
    assert view.dealt == full_round.dealt
    assert not shows(view, full_round.raw_uploads)


@pytest.mark.parametrize("name", ["aggregate", "participant", "querier"])
def test_nobody_but_the_server_sees_an_upload(name, full_round):
    what = full_round
    view = seen_by(ADVERSARIES[name], what)
    assert list(view.models) == [None]
    assert view.models[None] is (what.aggregate if name == "aggregate" else what.after)
    assert not view.own
    assert not view.weights
    assert not view.dealt
    assert not shows(view, what.uploads)


def test_a_querier_sees_no_parameters_of_the_start(make_round):
    assert seen_by(QUERIER, make_round()).start is None
    assert seen_by(AGGREGATE, make_round()).start is not None


def test_a_view_has_no_field_beyond_what_is_seen():
    """No raw upload and no memory by type; a round itself is in no field."""
    assert {field.name for field in fields(View)} == FIELDS
    assert not any("Round" in str(field.type) for field in fields(View))


@pytest.mark.parametrize("attendance", [False, True])
def test_a_participant_holds_its_own_uploads_and_no_other(make_round, attendance):
    """Looked up in all that can be reached from the view, by memory and by value, whoever it is."""
    what = make_round(clients=5)
    for mine in (chosen for count in range(6) for chosen in combinations(range(5), count)):
        view = seen_by(PARTICIPANT, what, participants=mine, attendance=attendance)
        assert list(view.own) == list(mine)
        assert all(view.own[k] is what.uploads[k] for k in mine)
        assert list(view.weights) == (list(range(5)) if attendance else list(mine))
        assert all(view.weights[k] == what.weights[k] for k in view.weights)
        for k in what.uploads:
            assert shows(view, what.uploads[k]) == (k in mine)


def test_a_participant_sees_the_global_models_and_nothing_of_the_server(full_round):
    what = full_round
    view = seen_by(PARTICIPANT, what, participants=[1, 3], attendance=True)
    assert view.start is what.start
    assert view.models == {None: what.after}
    assert view.aggregate is None
    assert view.weights == what.weights
    assert not view.dealt
    for secret in (what.aggregate, what.raw_uploads, what.dealt, what.memory, what.uploads[0]):
        assert not shows(view, secret)
    assert shows(view, what.uploads[3])


def test_who_takes_no_part_holds_no_upload_of_that_round(full_round):
    """Client 7 is not there, 4 was isolated and has no weight; client 1 took part."""
    view = seen_by(PARTICIPANT, full_round, participants=[7])
    assert not view.own
    assert not view.weights
    view = seen_by(PARTICIPANT, full_round, participants=[7, 1, 4])
    assert list(view.own) == [1, 4]
    assert view.weights == {1: 0.2}


@pytest.mark.parametrize("name", ["aggregate", "querier", "server"])
def test_only_a_participant_is_a_client(name, full_round):
    """Being told which clients it is changes nothing for an adversary that is none."""
    who = ADVERSARIES[name]
    assert seen_by(who, full_round, participants=[1], attendance=True) == seen_by(who, full_round)


def test_the_search_finds_what_is_hidden(full_round):
    """The walk over a view would see an upload, or a copy of one, or a part of its memory."""
    view, secret = seen_by(QUERIER, full_round), full_round.uploads[2]
    assert not shows(view, secret)
    for found in (secret["w"], secret["w"].clone(), secret["w"][:1]):
        assert shows(replace(view, models={None: {"x": found}}), secret)


def test_the_table_is_sorted_and_names_itself():
    assert list(ADVERSARIES) == sorted(ADVERSARIES)
    assert all(name == adversary.name for name, adversary in ADVERSARIES.items())
