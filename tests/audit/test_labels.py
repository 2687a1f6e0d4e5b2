"""What labels alone tell of membership, in the rows of an audit."""

import numpy as np
import pytest

import seepage
from seepage.attacks import ATTACKS
from seepage.audit.anyone import ask_anyone
from seepage.audit.blind import blind_rows
from seepage.audit.labels import explained, is_skewed, label_rows
from seepage.audit.score import BLOCKS, Scored, attack_rows, epsilon_bound, questions
from seepage.records import Candidates, Truth
from seepage.report.aggregate import hidden
from seepage.report.source import finding
from seepage.report.verdict import all_verdicts

CLASSES = 4


def federation(rng, skew, clients=3, members=60, held_out=300):
    """Owners and labels: each client has mostly its own label with a probability of ``skew``."""
    owner = rng.permutation(np.repeat([*range(clients), -1], [members] * clients + [held_out]))
    own = (owner >= 0) & (rng.random(len(owner)) < skew)
    labels = np.where(own, owner, rng.integers(0, CLASSES, len(owner)))
    return Truth(ids=np.arange(len(owner)) * 3 + 1, owner=owner), labels


def rows_of(truth, labels, clients=3, blocks=BLOCKS, **values):
    """Label rows, by attack and block, of scores given as ``(clients, n)`` arrays."""
    scored = [
        Scored(name=name, attack=ATTACKS["loss_series"], values=each, seconds=np.zeros(clients))
        for name, each in values.items()
    ]
    targets = list(range(clients))
    asked = [q for q in questions(truth, targets) if q.target == "all" and q.block in blocks]
    rows = attack_rows(scored, asked, truth.ids)
    found = label_rows(scored, [], rows, truth, targets, labels, skewed=True)
    assert found.skewed
    return {(row.name, row.block): row for row in found.rows}


def prior(truth, labels, clients=3):
    """The true log ratio of class shares, client by client: it knows all labels and no model."""

    def shares(mine):
        return np.log(np.bincount(labels[mine], minlength=CLASSES) + 1.0)

    return np.stack(
        [(shares(truth.owner == k) - shares(truth.owner == -1))[labels] for k in range(clients)]
    )


def test_an_attack_that_is_the_label_prior_is_explained_whole():
    truth, labels = federation(np.random.default_rng(0), skew=0.8)
    found = rows_of(truth, labels, prior=prior(truth, labels))
    for block in ("held_out", "mix", "others"):
        row = found["prior", block]
        assert (row.within_auc, row.explained) == (0.5, 1.0)
        assert row.auc == pytest.approx(row.label_auc, abs=0.05)
        assert row.auc > 0.8
        assert row.matched_tpr <= float(row.at)


def test_whose_record_and_anyones_are_both_compared_within_labels():
    """Clients hold two of four classes: the label alone tells that somebody holds a record."""
    rng = np.random.default_rng(3)
    owner = rng.permutation(np.repeat([0, 1, -1], [150, 150, 400]))
    labels = np.where(owner >= 0, rng.integers(0, 2, 700), rng.integers(0, CLASSES, 700))
    truth = Truth(ids=np.arange(700), owner=owner)
    knows_labels = (labels < 2) + 0.0
    leaks = knows_labels + (owner >= 0) * rng.random(700)
    everyone = [
        Scored(name=name, attack=ATTACKS["loss_series"], values=each[None], seconds=np.zeros(1))
        for name, each in (("labels", knows_labels), ("leaks", leaks))
    ]
    rows = attack_rows(everyone, ask_anyone(truth), truth.ids)
    found = label_rows([], everyone, rows, truth, [0, 1], labels, skewed=True).rows
    named = {row.name: row for row in found}
    assert {row.target for row in found} == {"any"}
    assert named["labels"].auc == pytest.approx(0.75, abs=0.03)
    assert named["labels"].label_auc == pytest.approx(0.75, abs=0.05)
    assert (named["labels"].within_auc, named["labels"].explained) == (0.5, 1.0)
    assert named["leaks"].within_auc > 0.9


def bound_of(truth, labels, values, **kwargs):
    one = Scored(name="x", attack=ATTACKS["loss_series"], values=values, seconds=np.zeros(3))
    pooled = [q for q in questions(truth, [0, 1, 2]) if q.target == "all"]
    (question,) = [q for q in pooled if q.block == "held_out"]
    return epsilon_bound(one, question, confidence=0.95, seed=0, labels=labels, **kwargs)


def test_labels_alone_refute_no_claim():
    """A score that knows each client's labels and no model bounds epsilon by nothing."""
    truth, labels = federation(np.random.default_rng(0), skew=0.8, members=200, held_out=900)
    values = prior(truth, labels)
    assert bound_of(truth, None, values) > 0.5
    assert bound_of(truth, labels, values) == 0.0


def test_a_leak_within_labels_still_refutes_a_claim():
    rng = np.random.default_rng(0)
    truth, labels = federation(rng, skew=0.8, members=200, held_out=900)
    member = truth.owner == np.arange(3)[:, None]
    values = prior(truth, labels) + 8.0 * (member & (rng.random(member.shape) < 0.5))
    assert bound_of(truth, labels, values) > 1.0


def test_records_of_labels_that_one_side_lacks_bound_nothing():
    truth, _ = federation(np.random.default_rng(0), skew=0.0)
    labels = (truth.owner >= 0).astype(int)
    assert bound_of(truth, labels, prior(truth, labels)) is None


def test_an_attack_that_does_not_know_labels_keeps_its_auc():
    rng = np.random.default_rng(1)
    truth, labels = federation(rng, skew=0.8, members=400, held_out=2_000)
    member = truth.owner == np.arange(3)[:, None]
    found = rows_of(truth, labels, plain=rng.normal(size=member.shape) + 1.0 * member)
    for row in found.values():
        assert row.within_auc == pytest.approx(row.auc, abs=0.025)
        assert row.explained < 0.1
        assert row.within_interval[0] < row.within_auc < row.within_interval[1]
        assert row.label_auc > 0.7


def test_without_a_leak_the_auc_within_labels_is_at_chance():
    """Labels say much and the model nothing. Of 40 intervals at 95 %, 7 miss once in 300."""
    areas, missed = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth, labels = federation(rng, skew=0.5)
        values = 3.0 * prior(truth, labels) + rng.normal(size=(3, len(labels)))
        found = rows_of(truth, labels, blocks=["held_out"], noisy=values)
        row = found["noisy", "held_out"]
        assert row.auc > 0.6
        areas.append(row.within_auc)
        missed += not row.within_interval[0] <= 0.5 <= row.within_interval[1]
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * np.std(areas) / np.sqrt(40))
    assert missed < 7


def test_targets_are_compared_each_with_its_own():
    """A score that follows the target alone says nothing, whatever the clients' labels."""
    truth, labels = federation(np.random.default_rng(2), skew=1.0)
    values = np.broadcast_to(np.arange(3.0)[:, None], (3, len(labels)))
    assert rows_of(truth, labels, target=values)["target", "mix"].within_auc == 0.5


def test_labels_that_no_other_holds_leave_nothing_to_compare():
    truth, labels = federation(np.random.default_rng(3), skew=1.0)
    found = rows_of(truth, labels, prior=prior(truth, labels))
    row = found["prior", "others"]
    assert (row.covered, row.within_auc, row.within_interval, row.matched_tpr) == (0, *[None] * 3)
    assert row.explained is None
    assert row.label_auc == 1.0
    assert found["prior", "held_out"].covered == 1.0


@pytest.mark.parametrize(("held_out", "told"), [(1_400, False), (2_400, True)])
def test_a_rate_of_labels_is_told_where_the_judged_half_resolves_it(held_out, told):
    """At 0.1 % the whole block resolves what half of 1,400 records does not."""
    truth, labels = federation(np.random.default_rng(5), skew=0.0, members=200, held_out=held_out)
    values = np.random.default_rng(6).normal(size=(3, len(labels)))
    row = rows_of(truth, labels, blocks=("held_out",), noise=values)["noise", "held_out"]
    assert row.at == "0.001"
    assert (row.label_tpr is not None) == told


def test_too_few_records_to_learn_labels_from():
    truth, labels = federation(np.random.default_rng(4), skew=0.5, members=8)
    row = rows_of(truth, labels, prior=prior(truth, labels))["prior", "held_out"]
    assert (row.label_auc, row.label_interval, row.label_tpr) == (None, None, None)
    assert row.within_auc == 0.5


@pytest.mark.parametrize(
    ("held_out", "skew", "at"),
    [(9, 0.0, "0.1"), (1_400, 0.0, "0.001"), (1_400, 1.0, "0.01"), (40_000, 0.0, "0.001")],
)
def test_rates_are_read_at_the_finest_point_resolved(held_out, skew, at):
    """Members of one label have a quarter of the non-members to be compared with."""
    truth, labels = federation(np.random.default_rng(5), skew=skew, held_out=held_out)
    found = rows_of(truth, labels, blocks=["held_out"], prior=prior(truth, labels))
    assert found["prior", "held_out"].at == at


def test_what_is_explained():
    assert explained(0.9, 0.7) == pytest.approx(0.5)
    assert explained(0.9, 0.95) == 0.0
    assert explained(0.6, 0.4) == 1.0
    assert explained(0.5, 0.6) is None


def checks(skewed, shift=0.0):
    """Blind rows of a federation of one label a client, whose inputs spread by label."""
    import torch

    rng = np.random.default_rng(6)
    truth, labels = federation(rng, skew=1.0, members=200, held_out=1_200)
    scale = 1.0 + 3.0 * labels[:, None]
    inputs = rng.normal(size=(len(labels), 6)) * scale
    inputs += shift * scale * (truth.owner >= 0)[:, None]
    candidates = Candidates(
        ids=truth.ids,
        inputs=torch.from_numpy(inputs.astype(np.float32)),
        labels=torch.from_numpy(labels),
    )
    scored = [
        Scored(
            name="noise",
            attack=ATTACKS["loss_series"],
            values=rng.normal(size=(3, len(labels))),
            seconds=np.zeros(3),
        )
    ]
    blind = blind_rows(scored, truth, [0, 1, 2], candidates=candidates, seed=0, skewed=skewed)
    return blind, {(row.name, row.block): row for row in blind.rows}


def test_uneven_labels_are_expected_and_spoil_nothing_else():
    """Nor are they held against the inputs, whose spread tells the label."""
    blind, rows = checks(skewed=True)
    assert blind.ok
    label = rows["blind_label", "held_out"]
    assert (label.ok, label.expected) == (False, True)
    assert not any(row.expected for row in blind.rows if row.name != "blind_label")
    unplanned, rows = checks(skewed=False)
    assert not unplanned.ok
    assert not rows["blind_label", "held_out"].expected
    assert not rows["blind_input", "held_out"].ok


def test_inputs_stay_a_check_under_skew():
    """Held-out records of another source are found out, though labels are expected to tell."""
    blind, rows = checks(skewed=True, shift=0.8)
    assert not blind.ok
    assert not rows["blind_input", "held_out"].ok


def test_nothing_but_labels_vouches_for_nothing():
    """No record held out: no placebo, no check of inputs, and labels are no check."""
    import torch

    truth, labels = federation(np.random.default_rng(7), skew=0.5, held_out=0)
    candidates = Candidates(
        ids=truth.ids, inputs=torch.zeros(len(labels), 2), labels=torch.from_numpy(labels)
    )
    blind = blind_rows([], truth, [0, 1, 2], candidates=candidates, seed=0, skewed=True)
    assert {row.name for row in blind.rows} == {"blind_label"}
    assert not blind.ok


def test_a_federation_of_disjoint_labels_is_told_by_labels(tiny):
    study = tiny(
        data={"partition": "disjoint_labels", "labels_per_client": 2},
        attacks={"names": ["loss_series", "blackbox_loss"]},
    )
    assert is_skewed(study)
    results = seepage.run(study).results
    assert results.labels.skewed
    rows = {(row.name, row.block): row for row in results.labels.rows}
    assert {name for name, _ in rows} == {"loss_series", "blackbox_loss"}
    assert {row.target for row in rows.values()} == {"all"}
    assert rows["loss_series", "others"].label_auc == 1.0
    assert rows["loss_series", "others"].covered == 0.0
    assert rows["loss_series", "held_out"].label_auc > 0.8
    assert results.blind.ok
    blind = {row.block: row for row in results.blind.rows if row.name == "blind_label"}
    assert blind["held_out"].auc == rows["loss_series", "held_out"].label_auc


def test_an_even_federation_has_the_rows_and_no_excuse(tiny):
    study = tiny(attacks={"names": ["loss_series"]}, candidates={"targets": [1]})
    assert not is_skewed(study)
    results = seepage.run(study).results
    assert not results.labels.skewed
    assert {row.target for row in results.labels.rows} == {1}
    assert not any(row.expected for row in results.blind.rows)


def test_redrawn_candidates_have_no_labels(tiny):
    study = tiny(
        attacks={"names": ["loss_series"]}, candidates={"redraw_candidates": True, "targets": [0]}
    )
    assert seepage.run(study).results.labels is None


def test_private_training_on_uneven_labels_is_not_called_broken(tmp_path):
    """One label a client: who holds a record is its label, and nothing of that is the training."""
    study = {
        "data": {
            "name": "digits",
            "clients": 5,
            "partition": "disjoint_labels",
            "labels_per_client": 1,
            "per_client": 120,
        },
        "federation": {"rounds": 3, "learning_rate": 0.5},
        "observe": {"every": 1},
        "defense": {"name": "dp_sgd", "options": {"target_epsilon": 1.0}},
    }
    results = seepage.run(study, out=tmp_path / "run").results
    assert results.claim.ok
    assert results.claim.lower_bound <= 1.0
    source = results.source
    assert source.by_label == 1.0
    said = finding(results)
    assert "naming the client with most records of the same label would give 100 %" in said.headline
    assert "may be no better" in said.detail or "worse than without" in said.detail
    (summed,) = [each for each in all_verdicts(results) if each.adversary == "aggregate"]
    assert "among records of the same label" in summed.headline
    assert hidden(results).within
