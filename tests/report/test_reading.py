import math

import pytest
from made_up_study import STUDY, blind_rows, plain_results, rate, row
from scipy.stats import beta, norm

from seepage.report import verdicts, wording
from seepage.report.reading import grade, lead, widen
from seepage.report.verdict import all_verdicts


@pytest.mark.parametrize(
    ("lower", "word"),
    [
        (0.0, "none"),
        (0.5, "none"),
        (math.nextafter(0.5, 1), "slight"),
        (math.nextafter(0.6, 0), "slight"),
        (0.6, "clear"),
        (math.nextafter(0.75, 0), "clear"),
        (0.75, "strong"),
        (math.nextafter(0.95, 0), "strong"),
        (0.95, "near-total"),
        (1.0, "near-total"),
    ],
)
def test_grade_changes_exactly_at_its_bounds(lower, word):
    assert grade(lower) == word


@pytest.mark.parametrize(
    ("lower", "words"),
    [
        (0.5, "No attack by the server beats chance:"),
        (0.501, "The server can tell client members slightly better than chance:"),
        (0.6, "The server can tell client members clearly better than chance:"),
        (0.75, "The server can tell client members far better than chance:"),
        (0.95, "The server can tell client members almost without error:"),
    ],
)
def test_the_sentence_follows_the_lower_bound_and_not_the_point(lower, words):
    (sentence,) = verdicts(plain_results([row(auc=0.99, interval=(lower, 1.0))]))
    assert sentence.startswith(words)


def test_a_verdict_says_what_was_found_and_what_chance_is():
    found = row(0.561, (0.537, 0.585), tpr_at_fpr={"0.01": rate(0.021, 0.0131, 0.0319)})
    assert verdicts(plain_results([found])) == [
        "The server can tell client members slightly better than chance: best attack loss, "
        "AUC 0.56 [0.54, 0.58]; at 1 % false alarms in this sample it finds 2.1 % of members "
        "[1.3, 3.2] (chance 1 %)."
    ]


def test_widen_is_bonferroni_for_a_normal_interval():
    for choices in (1, 2, 8):
        z = norm.isf(0.05 / 2 / choices)
        half = norm.isf(0.025) * 0.01
        expected = (0.6 - z * 0.01, 0.6 + z * 0.01)
        assert widen(0.6, (0.6 - half, 0.6 + half), choices, 0.95) == pytest.approx(expected)
    assert widen(1.0, (0.99, 1.0), 8, 0.95)[1] == 1.0
    assert widen(0.01, (0.0, 0.5), 8, 0.95)[0] == 0.0


def test_picking_the_best_of_many_costs_the_verdict():
    one = row(0.52, (0.501, 0.539))
    many = [one, *(row(0.5, (0.48, 0.52), name=f"other{i}") for i in range(7))]
    assert all_verdicts(plain_results([one]))[0].grade == "slight"
    (verdict,) = all_verdicts(plain_results(many))
    assert verdict.grade == "none"
    assert "the best of 8, loss," in verdict.detail


def test_held_out_records_lead_whatever_the_other_blocks_say():
    rows = [row(0.9, (0.88, 0.92), block=block) for block in ("mix", "others")]
    assert lead(plain_results(rows)).block == "mix"
    results = plain_results([*rows, row(0.5, (0.48, 0.52))])
    assert lead(results).block == "held_out"
    assert all_verdicts(results)[0].grade == "none"


def test_pooled_targets_lead_and_else_the_lowest_client():
    rows = [row(target=2), row(target=1)]
    assert lead(plain_results(rows)).target == 1
    assert lead(plain_results([*rows, row()])).target == "all"
    assert "members of client 1" in verdicts(plain_results(rows))[0]


def test_a_stronger_adversary_may_run_what_a_weaker_one_can():
    rows = [
        row(0.52, (0.48, 0.56), name="norm"),
        row(0.8, (0.78, 0.82), name="final", adversary="querier"),
    ]
    server, querier = all_verdicts(plain_results(rows))
    assert (server.adversary, querier.adversary) == ("server", "querier")
    assert server.best.name == querier.best.name == "final"
    rows[0] |= {"auc": 0.9, "auc_interval": (0.88, 0.92)}
    server, querier = all_verdicts(plain_results(rows))
    assert (server.best.name, querier.best.name) == ("norm", "final")


def test_a_few_members_standing_out_is_not_no_leak():
    few = row(0.51, (0.49, 0.53), tpr_at_fpr={"0.01": rate(0.06, 0.047, 0.076)})
    (verdict,) = all_verdicts(plain_results([few]))
    assert verdict.grade == "few"
    assert "at 1 % false alarms loss finds 6.0 % of members" in verdict.detail
    # 10 of 1,000 non-members passed; their true rate may be as high as this, and so is no leak.
    chance = beta.ppf(0.975, 11, 990)
    below = row(0.51, (0.49, 0.53), tpr_at_fpr={"0.01": rate(0.03, chance - 1e-9, 0.05)})
    above = row(0.51, (0.49, 0.53), tpr_at_fpr={"0.01": rate(0.03, chance + 1e-9, 0.05)})
    assert all_verdicts(plain_results([below]))[0].grade == "none"
    assert all_verdicts(plain_results([above]))[0].grade == "few"


def test_pooled_records_count_once_when_chance_is_bounded():
    """3 x 300 pairs of 300 non-members: the rate of false alarms is known as 300 tell it."""
    chance = {n: beta.ppf(0.975, n // 100 + 1, n - n // 100) for n in (300, 900)}
    low = (chance[300] + chance[900]) / 2
    pooled = row(0.51, (0.49, 0.53), n_nonmembers=900, tpr_at_fpr={"0.01": rate(0.05, low, 0.07)})
    single = row(0.51, (0.49, 0.53), n_nonmembers=300, target=0)
    assert all_verdicts(plain_results([pooled]))[0].grade == "few"
    assert all_verdicts(plain_results([pooled, single]))[0].grade == "none"


def test_an_unresolved_rate_is_never_told():
    unsure = {"0.001": rate(0.3, 0.2, 0.4, resolved=False)}
    (verdict,) = all_verdicts(plain_results([row(0.51, (0.49, 0.53), tpr_at_fpr=unsure)]))
    assert verdict.grade == "none"
    (verdict,) = all_verdicts(plain_results([row(0.7, (0.65, 0.75), tpr_at_fpr=unsure)]))
    assert "false alarms" not in verdict.detail


def test_a_caveat_stands_before_the_verdict_only_where_it_belongs():
    plain = plain_results([row()])
    assert verdicts(plain)[0].startswith("The server")
    redrawn = plain_results([row()], study=STUDY | {"candidates": {"redraw_candidates": True}})
    assert verdicts(redrawn)[0].startswith("Not a valid result")
    for block, begins in (("held_out", "Not to be believed"), ("others", "The server")):
        blind = blind_rows(("all",), ("held_out", "others"), off={("blind_label", "all", block)})
        assert verdicts(plain_results([row()], blind=blind))[0].startswith(begins)


def test_no_attack_no_verdict():
    assert verdicts(plain_results([])) == []


@pytest.mark.parametrize("auc", [0.5, 1.0])
def test_the_ends_are_graded_like_the_rest(auc):
    (sentence,) = verdicts(plain_results([row(auc, (auc, auc))]))
    assert f"AUC {auc:.2f} [{auc:.2f}, {auc:.2f}]" in sentence
    assert ("without error" in sentence) == (auc == 1.0)


def test_no_number_rounds_onto_chance_or_certainty():
    assert wording.with_interval(0.52, (0.5004, 0.54)) == "0.5200 [0.5004, 0.5400]"
    assert wording.with_interval(0.5, (0.46, 1.0)) == "0.50 [0.46, 1.00]"
    assert wording.with_interval(0.998, (0.99, 1.0)) == "0.998 [0.990, 1.000]"


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0"), (0.0003, "0.03"), (0.00096, "0.1"), (0.021, "2.1"), (0.179, "17.9"), (1.0, "100")],
)
def test_percent(rate, text):
    assert wording.percent(rate) == text


def test_needed_non_members_are_exact():
    assert [wording.needed(f) for f in (0.01, 0.001, 0.0001, 0.3)] == [100, 1000, 10_000, 4]


def test_seconds():
    times = [0.42, 41.2, 185.0, 7800.0]
    assert [wording.seconds(t) for t in times] == ["0.4 s", "41 s", "3 min 5 s", "2 h 10 min"]
