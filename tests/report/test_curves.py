import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepage.records import UserError
from seepage.report import curves

small = st.lists(st.integers(0, 12), min_size=1, max_size=40).map(lambda x: np.array(x, float))


def naive_point(members, nonmembers, fpr):
    """The highest rate of members passing some threshold that at most ``fpr`` of others pass."""
    best = 0.0
    for tau in [*np.unique(np.concatenate([members, nonmembers])), np.inf]:
        if np.mean(nonmembers >= tau) <= fpr:
            best = max(best, float(np.mean(members >= tau)))
    return best


@given(small, small)
def test_kept_points_are_points_of_the_curve(members, nonmembers):
    whole = curves.roc_steps(members, nonmembers)
    kept = curves.thin(*whole, points=7)
    for fpr, tpr in (whole, kept):
        assert np.all(np.diff(fpr) > 0)
        assert np.all(np.diff(tpr) >= 0)
        assert (fpr[-1], tpr[-1]) == (1.0, 1.0)
        for x, y in zip(fpr, tpr, strict=True):
            assert y == naive_point(members, nonmembers, x)


@given(small, small)
def test_a_curve_holds_every_rate_some_threshold_reaches(members, nonmembers):
    fpr, _ = curves.roc_steps(members, nonmembers)
    cuts = [*np.unique(np.concatenate([members, nonmembers])), np.inf]
    assert set(fpr) == {float(np.mean(nonmembers >= tau)) for tau in cuts}


def test_thinning_a_long_curve_never_rises_above_it():
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0.5, 1, 20_000), rng.normal(0, 1, 20_000)
    fpr, tpr = curves.roc_steps(members, nonmembers)
    x, y = curves.thin(fpr, tpr)
    assert len(x) <= 101
    assert len(fpr) > 5_000
    under = y[np.searchsorted(x, fpr[1:], side="right") - 1]
    assert np.all(under[fpr[1:] >= x[0]] <= tpr[1:][fpr[1:] >= x[0]])
    assert x[0] <= curves.FLOOR  # the curve begins where the axis does


def test_tied_scores_pass_together():
    fpr, tpr = curves.roc_steps(np.ones(5), np.ones(3))
    assert fpr.tolist() == [0.0, 1.0]
    assert tpr.tolist() == [0.0, 1.0]


@given(small, st.floats(0.001, 0.2))
def test_histogram_counts_everyone_once(values, beyond):
    groups = np.where(np.arange(len(values)) % 2 == 0, curves.MEMBERS, curves.OUTSIDE)
    cells = curves.histogram(values, groups, beyond=beyond, bins=7)
    for name, part in cells.groupby("group"):
        assert part["count"].sum() == np.sum(groups == name)
        assert part["share"].sum() == pytest.approx(1.0)


def test_histogram_of_infinite_scores_stays_finite():
    values = np.array([-np.inf, 0.0, 1.0, np.inf])
    cells = curves.histogram(values, np.full(4, curves.MEMBERS), beyond=0.002, bins=2)
    assert cells["count"].tolist() == [2, 2]
    assert np.isfinite(cells[["start", "end"]].to_numpy()).all()


def exposure_by_hand(scores, attack):
    rows = []
    of = scores[scores["attack"] == attack]
    for _, row in of[of["owner"] == of["target"]].iterrows():
        others = of[(of["target"] == row["target"]) & (of["owner"] == -1)]["score"]
        above = int((others >= row["score"]).sum())
        excess = (row["score"] - others.mean()) / others.std(ddof=0)
        rows.append((above / len(others), -excess, row["sample"], above, len(others)))
    return sorted(rows)


def test_the_most_exposed_come_first_ranked_against_their_own_clients_non_members(scores):
    some = scores[(scores["sample"] % 5 == 0)].round(1)  # with ties
    table = curves.exposure(some, "fedmia_loss", "all", "held_out")
    expected = exposure_by_hand(some, "fedmia_loss")
    assert table["sample"].tolist() == [row[2] for row in expected]
    assert table["above"].tolist() == [row[3] for row in expected]
    assert table["nonmembers"].tolist() == [row[4] for row in expected]


def test_exposure_of_one_target_names_its_members_only(scores):
    table = curves.exposure(scores, "fedmia_loss", 1, "held_out")
    assert set(table["owner"]) == {1}
    assert len(table) == 300


def test_losses_are_those_under_the_targets_models_in_the_last_round(scores, signals):
    owners = scores.drop_duplicates("sample").set_index("sample")["owner"]
    values, groups = curves.losses(signals, scores, 2)
    last = signals["loss"].sel(round=300, client=2).to_series()
    for name, mine in ((curves.MEMBERS, owners == 2), (curves.OUTSIDE, owners == -1)):
        assert np.sort(values[groups == name]).tolist() == np.sort(last[mine]).tolist()


def test_losses_join_by_id_and_leave_out_clients_that_were_not_drawn(scores, signals):
    owners = scores.drop_duplicates("sample").set_index("sample")["owner"]
    loss = signals["loss"].copy()
    loss.loc[{"round": 300, "client": 0}] = np.nan
    shuffled = loss.isel(sample=np.random.default_rng(0).permutation(loss.sizes["sample"]))
    values, groups = curves.losses(shuffled.to_dataset(), scores, "all")
    assert np.sum(groups == curves.MEMBERS) == 600
    member = loss.sel(round=300, client=1).to_series()[owners == 1]
    assert set(member) < set(values[groups == curves.MEMBERS])


def test_no_loss_no_histogram(scores, signals):
    assert curves.losses(signals.rename(loss="margin"), scores, "all") is None


def test_scores_that_cannot_be_drawn_are_refused(scores):
    with pytest.raises(UserError, match="missing here: owner"):
        curves.check_scores(scores.drop(columns="owner"))
    broken = scores.head(3).assign(score=[1.0, np.nan, 2.0])
    with pytest.raises(UserError, match=r"sample 10 has none for attack fedmia_cosine"):
        curves.check_scores(pd.DataFrame(broken))
