"""What each adversary holds of a round, and above all what it does not."""

import pytest

from seepage.observe import ADVERSARIES, AGGREGATE, PARTICIPANT, QUERIER, SERVER, seen_by
from seepage.records import UserError


def test_the_server_sees_what_was_sent_not_what_was_before_the_defense(make_round):
    what = make_round()
    view = seen_by(SERVER, what)
    assert view.start is what.start
    assert view.models == dict(what.uploads)
    assert all(view.models[k] is not what.raw_uploads[k] for k in what.uploads)


@pytest.mark.parametrize("name", ["aggregate", "participant", "querier"])
def test_nobody_but_the_server_sees_an_upload(name, make_round):
    what = make_round()
    view = seen_by(ADVERSARIES[name], what)
    assert list(view.models) == [None]
    assert view.models[None] is (what.aggregate if name == "aggregate" else what.after)
    assert view.own is None


def test_a_querier_sees_no_parameters_of_the_start(make_round):
    assert seen_by(QUERIER, make_round()).start is None
    assert seen_by(AGGREGATE, make_round()).start is not None


def test_a_participant_knows_its_own_upload_alone(make_round):
    what = make_round()
    assert seen_by(PARTICIPANT, what, participant=1).own is what.uploads[1]
    assert seen_by(AGGREGATE, what, participant=1).own is None
    with pytest.raises(UserError, match="client 7 took no part in round 1"):
        seen_by(PARTICIPANT, what, participant=7)


def test_the_table_is_sorted_and_names_itself():
    assert list(ADVERSARIES) == sorted(ADVERSARIES)
    assert all(name == adversary.name for name, adversary in ADVERSARIES.items())
