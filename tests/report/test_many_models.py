"""The report of a black-box audit: many models, chosen attacks, a privacy claim."""

import io
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_up_models import (
    STRENGTH,
    attack_rows,
    best_rows,
    blind_rows,
    make_results,
    make_scores,
    pool,
)
from rich.console import Console
from scipy.stats import beta
from test_report import Page

import seepage.report.write as write
from seepage.report import curves, most_exposed, terminal_table, verdicts, wording, write_report
from seepage.report.models_chart import models_figure
from seepage.report.page import blind
from seepage.report.reading import chosen, lead
from seepage.report.spread import found_values, spread

MANY = STRENGTH | {f"other_{i:02d}": 0.2 - 0.01 * i for i in range(18)}

LIRA = ("lira", "held_out")


@pytest.fixture(scope="module")
def member():
    return pool()


@pytest.fixture(scope="module")
def scores(member):
    return make_scores(member)


@pytest.fixture(scope="module")
def results(scores):
    return make_results(scores)


@pytest.fixture(scope="module")
def crowd():
    return make_results(make_scores(pool(records=400), MANY))


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(write, "all_figures", lambda *args: [])


def page_of(folder, results, scores):
    write_report(folder, results, scores)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def printed(results, width=100):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal_table(results))
    return console.file.getvalue()


def changed(results, **over):
    return results.model_validate(results.model_dump(by_alias=True) | over)


def drawn(figure):
    """What a figure of one table is drawn from."""
    (table,) = figure.spec()["datasets"].values()
    return pd.DataFrame(table)


def with_best(results, value, oracle="lira", oracle_value=None, at="0.001", resolved=True):
    """The same audit, whose chosen attack reached another rate."""
    n = 1200
    low = float(beta.ppf(0.025, value * n, n - value * n + 1)) if value else 0.0
    rate = {"value": value, "interval": (low, 1.0), "joint_interval": (0.0, 1.0)}
    more = rate | {"value": oracle_value or value, "resolved": resolved}
    place = {"metric": "tpr_at_fpr", "at": at, "target": "all", "block": "held_out"}
    row = {"chosen": "lira", "rate": rate | {"resolved": resolved}, "oracle": oracle}
    return changed(results, best=[place | row | {"oracle_rate": more}])


def test_the_verdict_names_who_chosen_attack_rate_oracle_and_the_other_direction(results):
    (words,) = verdicts(results)
    tpr = chosen(results, "tpr_at_fpr", "held_out", "all")
    tnr = chosen(results, "tnr_at_fnr", "held_out", "all")
    share, cleared = (wording.rate(b.rate.value, b.rate.interval) for b in (tpr, tnr))
    assert words.startswith(
        f"Anyone who may query the model can name {share.split(' %')[0]} % of a model’s members "
        f"at 0.1 % false alarms: lira, chosen on reference models, finds {share} of members"
    )
    assert f"rmia clears {cleared} of non-members while it misses 0.1 % of members" in words
    assert "No other attack did better, even with the answer in hand." in words
    assert "widened" not in words
    assert "client" not in words


def test_the_oracle_is_told_as_one(results):
    (words,) = verdicts(with_best(results, 0.1, oracle="rmia", oracle_value=0.12))
    assert "lira, chosen on reference models, finds 10.0 %" in words
    assert "The best with the answer in hand: rmia, 12.0 %" in words


def test_no_better_than_chance_is_said_so(results):
    """1,200 non-members, of whom one may pass: Clopper and Pearson bound the rate of chance."""
    distinct = lead(results).distinct
    chance = float(beta.ppf(0.975, int(distinct * 0.001) + 1, distinct - int(distinct * 0.001)))
    n = 1200
    counts = [k for k in range(1, 60) if beta.ppf(0.025, k, n - k + 1) > chance]
    above, below = with_best(results, counts[0] / n), with_best(results, (counts[0] - 1) / n)
    assert "can name" in verdicts(above)[0]
    assert "finds no more of a model’s members than chance, at 0.1 % false" in verdicts(below)[0]


def test_the_point_is_a_tenth_of_a_percent_or_the_nearest_that_is_resolved(results):
    def at(**resolved):
        found = [
            best.model_copy(update={"rate": best.rate.model_copy(update={"resolved": known})})
            for best in results.best
            for name, known in resolved.items()
            if best.at == f"0.{name[1:]}"
        ]
        best = chosen(results.model_copy(update={"best": found}), "tpr_at_fpr", "held_out", "all")
        return best and best.at

    assert at(_1=True, _01=True, _001=True, _0001=True) == "0.001"
    assert at(_1=True, _01=True, _001=False, _0001=False) == "0.01"
    assert at(_0001=True) == "0.0001"
    assert at(_001=False) is None


@pytest.mark.usefixtures("no_figures")
def test_unresolved_rates_are_explained(tmp_path):
    scores = make_scores(pool(records=600))
    results = make_results(scores)
    assert lead(results).chosen.at == "0.01"
    note = "Rates at 0.1 % are not resolved: that takes 1,000 distinct non-members"
    assert note in verdicts(results)[0]
    page = page_of(tmp_path, changed(results, best=[]), scores)
    assert note in page.text
    assert "can tell model members" in page.text  # by the AUC, as no rate can speak


def test_without_a_chosen_attack_the_auc_speaks(results):
    (words,) = verdicts(changed(results, best=[]))
    assert words.startswith("Anyone who may query the model can tell model members clearly better")
    assert "tried 6 attacks" in words


@pytest.mark.usefixtures("no_figures")
def test_the_page_speaks_of_models(tmp_path, results, scores):
    page = page_of(tmp_path, results, scores)
    assert "all models" in page.text
    assert "client" not in page.text.split("The study")[0]
    assert "training accuracy 97.2 % test accuracy 60.1 % ± 0.4" in page.text
    assert page.text.index("test accuracy") < page.text.index("Can these numbers")
    assert "Members against records the model was not trained on" in page.text
    assert "Members against non-members, canaries alone" in page.text
    assert re.search("lira chosen and best", page.text)
    assert "TNR at 0.1 % FNR" in page.text
    # Pooled rows alone, in both blocks, each with the band over the models where there is one.
    assert len(re.findall(r"\battack_r\b", page.text)) == 2
    assert [a.get("class") for a in page.all("i")].count("range") == 6


@pytest.mark.usefixtures("no_figures")
def test_many_attacks_are_folded_and_none_is_lost(tmp_path, crowd):
    page = page_of(tmp_path, crowd, make_scores(pool(records=400), MANY))
    assert len(page.all("details")) == 2
    assert "12 weaker attacks, records left out" in page.text
    assert "19 weaker attacks, canaries left out" in page.text
    for name in MANY:
        assert len(re.findall(rf"\b{name}\b", page.text)) >= 2


def test_the_chosen_attack_is_never_folded_away_in_the_terminal(crowd):
    last = lead(crowd).rows[-1].name
    weak = [b.model_copy(update={"chosen": last}) for b in crowd.best]
    text = printed(crowd.model_copy(update={"best": weak}))
    assert f"{last} *" in text
    assert "8 more attacks, all weaker" in text


def test_the_terminal_shows_pooled_rows_with_their_spread(results):
    text = printed(results)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("all models: 9,600 pairs of a member and a model")
    assert any(line == "accuracy: training 97.2 %, test 60.1 % ± 0.4" for line in lines)
    (head,) = [line for line in lines if line.startswith("attack ")]
    assert head == "attack TPR@0.1 % 95 % interval TNR@0.1 % AUC TPR over models"
    values = found_values(results, lead(results), "lira")
    ends = (min(values), np.median(values), max(values))
    (own,) = [line for line in lines if line.startswith("lira *")]
    assert own.endswith(" · ".join(wording.percent(x) for x in ends))
    assert "model 3" not in text
    assert "client" not in text


def test_eighty_columns_hold_every_number_whole(results):
    text = printed(results, width=80)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert re.search(r"lira \* +\S+ % +\[\S+, \S+\] +\S+ % +0\.\d{3} +\S+ · \S+ · \S+\n", text)


def test_blind_checks_of_single_models_are_counted_not_listed(results):
    off = [("blind_label", target) for target in range(8)] + [("blind_input", "all")]
    shown = blind(results, lead(results))
    assert {row.target for row in shown["near"] + shown["rest"]} == {"all"}
    assert (len(shown["hidden"]), shown["hidden_off"]) == (24, 0)
    many = changed(results, blind=blind_rows(20, off=[("placebo", t) for t in range(20)] + off))
    shown = blind(many, lead(many))
    listed = shown["near"] + shown["rest"]
    assert len(listed) + len(shown["hidden"]) == 63
    assert sum(not row.ok for row in listed) == 12
    assert shown["hidden_off"] == 29 - 12
    assert len([line for line in printed(many).splitlines() if "OFF CHANCE" in line]) == 12
    assert "17 more" in printed(many)


def test_checks_of_one_model_alone_are_listed_beside_the_verdict(results):
    one = [row for row in results.blind.rows if row.target == "all"]
    alone = [row.model_copy(update={"target": 3}) for row in one]
    shown = blind(
        changed(results, blind=results.blind.model_copy(update={"rows": alone})), lead(results)
    )
    assert {row.of for row in shown["near"]} <= {None, lead(results).best.name}
    assert shown["near"]
    assert len(shown["near"]) + len(shown["rest"]) + len(shown["hidden"]) == len(alone)


def test_a_record_stands_with_the_mean_over_the_models_that_trained_on_it(scores, member):
    table = curves.exposure(scores, "lira", "all", "held_out").set_index("sample")
    assert len(table) == member.shape[1]
    assert table["percentile"].is_monotonic_decreasing
    sample = int(table.index[700])
    above = []
    for _, rows in scores[scores["attack"] == "lira"].groupby("target"):
        own = rows[(rows["sample"] == sample) & (rows["owner"] != -1)]["score"]
        others = rows[rows["owner"] == -1]["score"]
        above += [int((others >= value).sum()) for value in own]
    assert len(set(above)) > 1
    assert len(above) == table.loc[sample, "targets"] == 4
    assert table.loc[sample, "above"] == pytest.approx(np.mean(above))


def test_the_most_exposed_are_different_records(results, scores):
    ids = most_exposed(results, scores)
    assert len(set(ids)) == len(ids) == 12


def test_losses_are_those_under_each_target_of_the_record_itself(scores, member):
    loss = np.random.default_rng(0).random((8, member.shape[1], 2))
    coords = {"model": np.arange(8), "sample": np.arange(member.shape[1]) * 3}
    signals = xr.Dataset({"loss": (("model", "sample", "query"), loss)}, coords=coords)
    values, groups = curves.losses(signals, scores, "all")
    inside = np.sort(values[groups == curves.MEMBERS])
    assert inside.tolist() == np.sort(loss[..., 0][member]).tolist()
    assert np.sum(groups == curves.OUTSIDE) == np.sum(~member)
    values, groups = curves.losses(signals, scores, 5)
    assert (
        np.sort(values[groups == curves.MEMBERS]).tolist()
        == np.sort(loss[5, member[5], 0]).tolist()
    )


def test_figures_show_every_model_in_each_line(results, crowd, tmp_path, scores):
    figure = models_figure(results, lead(results))
    data = drawn(figure)
    assert list(data["attack"].unique()) == [row.name for row in lead(results).rows]
    assert set(data.groupby("attack")["target"].count()) == {8}
    assert data[data["attack"] == "lira"]["value"].tolist() == found_values(
        results, lead(results), "lira"
    )
    assert drawn(models_figure(crowd, lead(crowd)))["attack"].nunique() == 10
    files = write_report(tmp_path, results, scores)
    assert [f.stem for f in files if f.suffix == ".svg"] == ["models", "roc", "scores"]
    assert "Every model on its own" in (tmp_path / "report.html").read_text()


def test_aucs_are_drawn_where_a_model_does_not_resolve_the_point(results):
    rows = [row.model_dump() for row in results.attacks]
    for row in rows:
        if row["target"] == 2:
            row["tpr_at_fpr"]["0.001"]["resolved"] = False
    results = changed(results, attacks=rows)
    assert found_values(results, lead(results), "lira") == []
    data = drawn(models_figure(results, lead(results)))
    lira = data[data["attack"] == "lira"]
    pooled_too = {r.target: r.auc for r in results.attacks if (r.name, r.block) == LIRA}
    assert dict(zip(lira["target"], lira["value"], strict=True)) == {
        target: auc for target, auc in pooled_too.items() if target != "all"
    }


def test_spread_needs_two():
    assert spread([0.5]) is None
    found = spread([0.9, 0.1, 0.4])
    assert (found.low, found.middle, found.high) == (0.1, 0.4, 0.9)


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (0.123, (0.119, 0.128), "12.3 % [11.9, 12.8]"),
        (0.0025, (0.0017, 0.0035), "0.25 % [0.17, 0.35]"),
        (0.0, (0.0, 0.0006), "0 % [0, 0.06]"),
        (0.00004, (0.0, 0.001), "0.004 % [0, 0.100]"),
        (0.01, (0.008, 0.02), "1.0 % [0.8, 2.0]"),
    ],
)
def test_a_rate_and_its_interval_have_the_same_decimals(value, interval, text):
    assert wording.rate(value, interval) == text


def test_one_target_alone_is_named(scores):
    rows = [row for row in attack_rows(scores) if row["target"] == 3]
    best = [b | {"target": 3} for b in best_rows([r | {"target": "all"} for r in rows])]
    (words,) = verdicts(make_results(scores, attacks=rows, best=best))
    assert "of the members of model 3 at 0.1 % false alarms" in words
