"""Every defense under the eyes of every adversary: three clients, two rounds."""

import numpy as np
import pytest
import torch

from defenses.test_table import STRONG
from seepage import federation
from seepage.attacks import ATTACKS
from seepage.audit import prepare
from seepage.audit.remeasure import measurable, measure_view
from seepage.audit.score import score_attacks
from seepage.observe import ADVERSARIES, seen_by
from seepage.observe.tensors import join_rounds
from seepage.study import build_study

DEFENSES = ["none", *STRONG, "augmentation+sampling", "mixup+sparsification+perturbation"]


def study_of(name):
    options = {part: STRONG.get(part, {}) for part in name.split("+")}
    options = options if "+" in name else options[name]
    return build_study(
        {
            "data": {"name": "digits", "clients": 3, "per_client": 24, "held_out": 24},
            "model": {"name": "mlp", "options": {"hidden": [24]}},
            "federation": {"rounds": 2, "batch_size": 8},
            "observe": {"every": 1, "draws": 2},
            "defense": {"name": name, "options": options},
        }
    )


@pytest.fixture(scope="module", params=DEFENSES)
def seen(request):
    """A federation under one defense: its study made ready, and its rounds."""
    prepared = prepare(study_of(request.param))
    rounds = federation.run(
        prepared.model,
        prepared.dataset,
        prepared.split,
        federation.settings_of(**prepared.study.federation.model_dump()),
        seed=0,
        defense=prepared.defense,
        plan=prepared.plan,
    )
    return prepared, list(rounds)


def views(seen, adversary):
    prepared, rounds = seen
    who = ADVERSARIES[adversary]
    held = rounds[-1:] if who.last_round_only else rounds
    return prepared, [seen_by(who, what) for what in held]


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_all_that_an_adversary_can_measure_is_a_number(seen, adversary):
    prepared, held = views(seen, adversary)
    names = measurable(prepared, adversary)
    for view in held:
        measured = measure_view(prepared, view, names)
        assert set(measured.data_vars) == set(names)
        for name, values in measured.items():
            assert np.isfinite(values).all(), name
            assert "client" not in values.dims or adversary == "server"


def test_attacks_of_the_server_and_of_secure_aggregation_give_every_record_a_score(seen):
    prepared, held = views(seen, "server")
    measured = join_rounds(
        {view.number: measure_view(prepared, view, prepared.signals) for view in held}
    )
    assert set(prepared.attacks) >= {"fedmia_cosine", "loss_series", "aggregate_joint"}
    for one in score_attacks(prepared.attacks, measured, prepared.truth, prepared.targets):
        assert np.isfinite(one.values).all(), one.name


def test_the_server_sees_what_was_sent_and_their_mean_is_the_mean(seen):
    _, held = views(seen, "server")
    for what, view in zip(seen[1], held, strict=True):
        for client, sent in what.uploads.items():
            assert view.models[client] is sent
        for name, mean in what.aggregate.items():
            parts = [w * what.uploads[k][name].double() for k, w in what.weights.items()]
            torch.testing.assert_close(mean, torch.stack(parts).sum(0).float())


def test_who_knows_a_defense_attacks_through_it(seen):
    prepared, _ = seen
    defense = prepared.defense
    known = bool(defense.batch or defense.loss or defense.sparse)
    adapted = {name for name in prepared.attacks if ATTACKS[name].adapts}
    assert bool(adapted) == known
