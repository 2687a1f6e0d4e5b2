"""What secure aggregation hides, in the page, the terminal and the verdict, from made-up rows."""

import io

import numpy as np
import pandas as pd
import pytest
from made_up_study import STUDY, auc_span, plain_results
from rich.console import Console

from seepage.report import terminal_table, verdicts, write_report
from seepage.report.aggregate import hidden, sentence
from seepage.report.curves import exposure, group, roc_table
from seepage.report.reading import lead, lead_on_anyone
from seepage.report.wording import target_name
from seepage.results import AttackRow

RATES = {"0.1": True, "0.01": True, "0.001": True, "0.0001": False}


def row(name, adversary, auc, *, rate=0.05, resolved=None, target="any", members=900, others=2000):
    found = {
        at: {
            "value": rate,
            "interval": (0.6 * rate, min(1.0, 1.4 * rate)),
            "joint_interval": (0.6 * rate, min(1.0, 1.4 * rate)),
            "resolved": known if resolved is None else float(at) >= resolved,
        }
        for at, known in RATES.items()
    }
    return {
        "name": name,
        "adversary": adversary,
        "target": target,
        "block": "held_out",
        "n_members": members,
        "n_nonmembers": others,
        "auc": auc,
        "auc_interval": auc_span(auc, members, others),
        "balanced_accuracy": 0.5,
        "tpr_at_fpr": found,
        "tnr_at_fnr": {},
        "epsilon_lower_bound": None,
        "seconds": 0.1,
    }


BOTH = [
    row("fedmia_joint", "server", 0.70, rate=0.20),
    row("loss_series", "server", 0.66),
    row("aggregate_joint", "aggregate", 0.62, rate=0.05),
    row("grad_norm", "aggregate", 0.55),
]


def printed(results):
    stream = io.StringIO()
    Console(file=stream, width=400, force_terminal=False).print(terminal_table(results))
    return stream.getvalue()


def test_each_view_stands_with_its_best_attack():
    found = hidden(plain_results(BOTH))
    assert [side.row.name for side in found.sides] == ["fedmia_joint", "aggregate_joint"]
    assert found.at == "0.1 %"
    assert found.uploads.found == "20.0 % [12.0, 28.0]"
    assert found.sums.auc.startswith("0.620 [")
    assert found.sizes == "900 records that a client holds, 2,000 that nobody does"


def test_the_cost_is_the_difference_in_numbers():
    cost = hidden(plain_results(BOTH)).cost
    assert cost == (
        "The view costs the adversary 0.080 of AUC and 15.0 points of the members found."
    )
    near = [BOTH[0], row("aggregate_joint", "aggregate", 0.695, rate=0.23)]
    assert hidden(plain_results(near)).cost == (
        "The view costs the adversary 0.005 of AUC, and gains her 3.0 points of the members found; "
        "the intervals of the two AUCs overlap."
    )


def test_a_sum_that_tells_more_costs_nothing():
    rows = [row("fedmia_joint", "server", 0.6), row("aggregate_joint", "aggregate", 0.7, rate=0.04)]
    cost = hidden(plain_results(rows)).cost
    assert "costs the adversary nothing: the sum gives 0.100 of AUC more, but 1.0 points" in cost
    assert "a server who sees every upload can add them up" in cost


@pytest.mark.parametrize(("finest", "said"), [(0.001, "0.1 %"), (0.01, "1 %"), (0.1, None)])
def test_rates_stand_at_the_finest_point_that_both_resolve(finest, said):
    rows = [row("a", "server", 0.7, rate=0.1), row("b", "aggregate", 0.6, resolved=finest)]
    found = hidden(plain_results(rows))
    assert found.at == said
    assert (found.uploads.rate is None) == (said is None)
    assert ("5.0 points of the members found" in found.cost) == (said is not None)


@pytest.mark.parametrize("rows", [BOTH[:2], BOTH[2:], [{**BOTH[0], "target": "all"}, BOTH[2]]])
def test_one_view_alone_is_no_comparison(rows):
    results = plain_results(rows)
    assert hidden(results) is None
    assert "anyone’s record" not in printed(results)


def test_whose_record_it_is_stays_hidden():
    found = hidden(plain_results(BOTH))
    assert "Whose record it is, the sum does not say" in found.whose
    assert "takes part" not in found.whose
    some = {**STUDY, "federation": {"participation": 0.5}}
    assert "no attack makes use of it" in hidden(plain_results(BOTH, study=some)).whose


def test_a_server_under_secure_aggregation_is_judged_on_anyone():
    pooled = [
        row("fedmia_joint", "server", 0.8, target="all", members=900),
        row("grad_norm", "aggregate", 0.56, target="all", members=900),
    ]
    server, aggregate = verdicts(plain_results([*pooled, *BOTH]))
    assert server.startswith("The server can tell client members far better than chance")
    assert "best attack fedmia_joint, AUC 0.80" in server
    assert aggregate.startswith(
        "A server under secure aggregation can tell whether anyone trained on a record slightly "
        "better than chance: best attack aggregate_joint, AUC 0.62"
    )
    assert "having tried 4 attacks" in aggregate


def test_no_leak_of_the_sum_is_said_of_that_question():
    rows = [row("fedmia_joint", "server", 0.7), row("aggregate_joint", "aggregate", 0.5, rate=0.0)]
    (aggregate,) = verdicts(plain_results(rows))[1:]
    assert aggregate.startswith(
        "No attack by a server under secure aggregation beats chance at telling whether anyone "
        "trained on a record: "
    )
    few = [row("x", "server", 0.7), row("aggregate_joint", "aggregate", 0.5, rate=0.3)]
    (aggregate,) = verdicts(plain_results(few))[1:]
    assert "at telling whether anyone trained on a record, but some members stand out" in aggregate


def test_rows_on_anyone_do_not_lead_where_clients_were_asked():
    pooled = row("fedmia_joint", "server", 0.6, target="all")
    one = row("fedmia_joint", "server", 0.6, target=2)
    assert lead(plain_results([*BOTH, pooled])).target == "all"
    assert lead(plain_results([*BOTH, one])).target == 2
    assert lead(plain_results(BOTH)).target == "any"
    assert [each.target for each in lead_on_anyone(plain_results([*BOTH, pooled])).rows] == [
        "any"
    ] * 4
    assert target_name("any", "client") == "anyone"


@pytest.fixture(scope="module")
def summed(scores):
    """The scores of the whole study, and those of an attack on the sum."""
    first = scores[(scores["attack"] == "loss_series") & (scores["target"] == 0)]
    rng = np.random.default_rng(4)
    value = rng.normal(size=len(first)) + (first["owner"].to_numpy() >= 0)
    extra = first.assign(attack="aggregate_joint", target=-1, score=value)
    return pd.concat([scores, extra], ignore_index=True)


def test_members_of_anyone_are_all_that_a_client_holds(summed):
    rows = summed[summed["attack"] == "aggregate_joint"]
    members = group(rows) == "members"
    np.testing.assert_array_equal(members, rows["owner"] >= 0)
    table = exposure(summed, "aggregate_joint", "any", "held_out")
    assert set(table["sample"]) == set(rows["sample"][members])
    assert table["owner"].min() == 0
    curve = roc_table(summed, ["aggregate_joint"], "any", "held_out")
    assert curve["tpr"].max() == 1
    values, member = rows["score"].to_numpy(), members
    half = np.interp(0.5, curve["fpr"], curve["tpr"])
    assert half == pytest.approx(np.mean(values[member] > np.median(values[~member])), abs=0.02)


def test_the_page_holds_the_section(results, summed, tmp_path):
    rows = [*results.attacks, *map(AttackRow.model_validate, BOTH)]
    results = results.model_copy(update={"attacks": rows})
    write_report(tmp_path, results, summed)
    page = (tmp_path / "report.html").read_text()
    assert "What secure aggregation hides" in page
    assert "Whose record it is, the sum does not say" in page
    assert page.count("<code>aggregate_joint</code>") == 1
    found = hidden(results)
    assert sentence(found) in printed(results)
    assert "the sum alone aggregate_joint AUC 0.620" in sentence(found)


def test_a_page_of_the_sum_alone_can_be_drawn(summed, tmp_path):
    alone = summed[summed["target"] == -1]
    write_report(tmp_path, plain_results(BOTH[2:3]), alone)
    page = (tmp_path / "report.html").read_text()
    assert "Against anyone" in page
    assert "all in one ranking" in page
