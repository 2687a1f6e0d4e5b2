"""Whose record it is, in a sweep: rows and curves read off a point, and settings that are lists."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage import metrics
from seepage.audit import resolve_sweep, run_sweep
from seepage.audit.folder import read_results, read_scores
from seepage.audit.sweep_users import POINTS, point_users, thinned, users_of
from seepage.records import UserError
from seepage.report.curves import part, two_sides
from seepage.results import Results

STUDY = """
[data]
name = "digits"
clients = 3
partition = "disjoint_labels"
per_label = 30
held_out = 60
[model]
name = "mlp"
options = { hidden = [8] }
[federation]
rounds = 3
[observe]
rounds = [1, 3]
[insider]
clients = [0]
[attacks]
names = ["declared_label", "declared_label_global", "loss_series"]
"""
ASKED = ("declared_label", "declared_label_global")
DEALS = [[1, 1, 3], [1, 2, 5]]


# --- curves -------------------------------------------------------------------------------------


def curve(members, nonmembers):
    fpr, tpr, _ = metrics.roc_curve(members, nonmembers)
    return fpr, tpr


def area(fpr, tpr):
    return np.trapezoid(tpr, fpr)


@pytest.mark.parametrize("seed", range(12))
def test_a_thinned_curve_keeps_its_area_and_its_ends(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(20, 700, 2)
    members = rng.normal(size=m) + rng.choice([0.0, 0.5, 2.0, 5.0])
    nonmembers = rng.normal(size=n)
    if seed % 3 == 0:
        members, nonmembers = members.round(1), nonmembers.round(1)  # many ties
    fpr, tpr = curve(members, nonmembers)
    x, y = thinned(fpr, tpr)
    assert len(x) <= POINTS
    assert area(x, y) == pytest.approx(metrics.auc(members, nonmembers), abs=1e-3)
    assert (x[0], y[0]) == (0.0, tpr[fpr == 0.0].max())
    assert (x[-1], y[-1]) == (1.0, 1.0)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert set(zip(x, y, strict=True)) <= set(zip(fpr, tpr, strict=True))
    inner = np.linspace(0.02, 1.0, 200)
    apart = np.abs(np.interp(inner, x, y) - np.interp(inner, fpr, tpr))
    assert apart.max() < 0.06
    assert apart.mean() < 0.01


scores = st.lists(st.integers(0, 12), min_size=1, max_size=30)


@settings(max_examples=80)
@given(scores, scores)
def test_a_short_curve_loses_only_points_on_straight_lines(members, nonmembers):
    fpr, tpr = curve(members, nonmembers)
    x, y = thinned(fpr, tpr)
    assert area(x, y) == pytest.approx(metrics.auc(members, nonmembers), abs=1e-9)
    for left, here, right in zip(range(len(x)), range(1, len(x)), range(2, len(x)), strict=False):
        turn = (x[right] - x[left]) * (y[here] - y[left])
        assert abs(turn - (x[here] - x[left]) * (y[right] - y[left])) > 1e-12


def test_a_curve_of_no_errors_and_one_of_guesses_need_two_points():
    for members, nonmembers, first in (([2.0, 3.0], [0.0, 1.0], 1.0), ([1.0], [1.0, 1.0], 0.0)):
        x, y = thinned(*curve(members, nonmembers))
        assert (x.tolist(), y.tolist()) == ([0.0, 1.0], [first, 1.0])


def test_few_points_are_the_ones_that_show():
    """A square corner among many small steps stays."""
    steps = np.linspace(0.0, 1.0, 101)
    fpr = np.concatenate([0.1 * steps, 0.1 + 0.9 * steps])
    tpr = np.concatenate([0.8 * steps, 0.8 + 0.2 * steps])
    x, y = thinned(fpr, tpr, most=3)
    assert x.tolist() == pytest.approx([0.0, 0.1, 1.0])
    assert y.tolist() == pytest.approx([0.0, 0.8, 1.0])


# --- rows ---------------------------------------------------------------------------------------


def row(name, target, block="others", **over):
    plain = {
        "name": name,
        "adversary": "participant",
        "target": target,
        "block": block,
        "n_members": 2,
        "n_nonmembers": 2,
        "auc": 0.75,
        "auc_interval": (0.2, 1.0),
        "balanced_accuracy": 0.75,
        "tpr_at_fpr": {},
        "tnr_at_fnr": {},
        "epsilon_lower_bound": None,
        "seconds": 0.0,
    }
    if isinstance(target, int):
        decided = {"victim": target, "victim_labels": [3, 4]}
        plain |= decided
    return plain | {"paper_accuracy": 0.5, "false_alarms": 0.25} | over


USERS = {"clients": [0], "federation": 3, "declared": [[], [3, 4], []], "attendance": False}


def results(*rows, users=USERS):
    return Results.model_validate(
        {
            "users": users,
            "schema": 1,
            "seepage": "0",
            "fingerprint": "0" * 12,
            "study": {},
            "utility": None,
            "attacks": rows,
            "blind": {"ok": True, "rows": []},
            "seconds": dict.fromkeys(("data", "training", "signals", "attacks", "report"), 1.0),
        }
    )


def test_a_row_is_read_with_the_curve_against_the_others_alone():
    table = pd.DataFrame(
        {  # client 1's two, client 2's two, one held out with the highest score
            "sample": range(5),
            "attack": "a",
            "target": 1,
            "score": [4.0, 2.0, 3.0, 1.0, 9.0],
            "owner": [1, 1, 2, 2, -1],
        }
    )
    undeclared = row("a", 1, victim_labels=None)
    plain = row("a", 1, victim=None, victim_labels=None, paper_accuracy=None, false_alarms=None)
    found = users_of(
        results(row("a", "all"), row("a", 1, "held_out"), undeclared, plain, row("a", 1)), table
    )
    (user,) = found
    assert (user.name, user.victim, user.labels) == ("a", 1, 2)
    assert (user.paper_accuracy, user.false_alarms, user.auc) == (0.5, 0.25, 0.75)
    assert user.auc_interval == (0.2, 1.0)
    # By hand: 4 member, 3 not, 2 member, 1 not.
    assert user.curve == [(0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]


def test_what_a_server_finds_is_no_participants_doing():
    assert users_of(results(row("a", 1, adversary="server")), pd.DataFrame()) == []


def test_without_an_insider_no_scores_are_read(tmp_path):
    assert point_users(tmp_path, results(row("a", 1), users=None), {}) == []
    with pytest.raises(UserError, match=r"scores\.parquet: cannot be read"):
        point_users(tmp_path, results(row("a", 1)), {"data.labels_per_client": [1, 2, 2]})


def test_runs_that_differ_in_more_than_labels_are_no_repetitions(tmp_path):
    settings = {"data.labels_per_client": [1, 2, 2], "data.overlap": 0.5}
    assert point_users(tmp_path, results(row("a", 1)), settings) == []


# --- a sweep ------------------------------------------------------------------------------------


def small(folder):
    path = folder / "users.toml"
    path.write_text(STUDY, encoding="utf-8")
    return resolve_sweep(path, grid={"data.labels_per_client": DEALS})


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("seepage.audit.sweep_run"), "write_sweep", lambda *_, **__: [])
        return folder / "out", run_sweep(small(folder), out=folder / "out")


def test_folders_of_lists_are_readable(tmp_path):
    labels = [point.label for point in small(tmp_path).points]
    assert labels == [
        "users-labels_per_client=1_1_3-seed=0",
        "users-labels_per_client=1_2_5-seed=0",
    ]


def test_every_point_tells_whose_records_are_whose(swept):
    folder, found = swept
    assert [point.settings for point in found.points] == [
        {"data.labels_per_client": deal} for deal in DEALS
    ]
    for point, deal in zip(found.points, DEALS, strict=True):
        own = read_results(folder / point.folder)
        table = read_scores(folder / point.folder / "scores.parquet")
        assert point.rounds == own.utility.per_round
        assert [each.round for each in point.rounds] == [1, 3]
        assert {(u.name, u.victim) for u in point.users} == {
            (name, victim) for name in ASKED for victim in (1, 2)
        }
        for user in point.users:
            assert user.labels == deal[user.victim]
            (line,) = [
                r
                for r in own.attacks
                if (r.name, r.target, r.block) == (user.name, user.victim, "others")
            ]
            assert user.paper_accuracy == line.paper_accuracy
            assert user.auc == line.auc
            sides = two_sides(part(table, user.name, user.victim), "others")
            assert metrics.auc(*sides) == pytest.approx(user.auc, abs=1e-12)
            x, y = np.array(user.curve).T
            assert area(x, y) == pytest.approx(user.auc, abs=1e-3)


def test_labels_alone_know_whose_record_it_is_where_nobody_shares_them(swept):
    for point in swept[1].points:
        for user in point.users:
            if user.name == "declared_label":
                assert (user.paper_accuracy, user.false_alarms, user.auc) == (1.0, 0.0, 1.0)
                assert user.curve == [(0.0, 1.0), (1.0, 1.0)]


def test_a_sweep_without_an_insider_has_neither(tmp_path, monkeypatch):
    stage = import_module("seepage.audit.sweep_run")
    monkeypatch.setattr(stage, "write_sweep", lambda *_, **__: [])
    overrides = {"data.clients": 3, "data.per_client": 20, "data.held_out": 40}
    overrides |= {"model.options": {"hidden": [8]}, "federation.rounds": 2}
    overrides |= {"observe.rounds": [2], "attacks.names": ["loss_series"]}
    plain = resolve_sweep(recipe="digits", grid={"seed": [3]}, overrides=overrides)
    (point,) = run_sweep(plain, out=tmp_path).points
    assert (point.users, point.rounds) == ([], [])
