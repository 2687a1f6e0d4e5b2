"""Whose record is it, over a sweep: means, sentences, curves, tables, the page and the CSV file."""

import io

import numpy as np
import pandas as pd
import pytest
from made_up_sweep import ablation, point, small, sweep
from made_up_sweep_users import ATTACKS, DEALS, user, user_sweep
from rich.console import Console
from test_report import Page

from seepage.report import sweep_frame, sweep_table, users_frame, write_sweep
from seepage.report.sweep_lines import Along
from seepage.report.sweep_names import flat, joined, point_name, value_name
from seepage.report.sweep_page import sweep_page
from seepage.report.sweep_points import strengths
from seepage.report.sweep_users import (
    attack_order,
    baseline,
    cells,
    speaks,
    trend,
    user_findings,
    user_headline,
)
from seepage.report.sweep_users_figures import (
    GRID,
    labels_figure,
    mean_curve,
    roc_figure,
    rounds_figure,
    rounds_table,
)
from seepage.report.sweep_users_table import columns, users_section, users_tables
from seepage.report.sweep_words import headline
from seepage.report.wording import percent
from seepage.results import SweepUser

GAN, GLOBAL = "user_level_gan", "declared_label_global"


@pytest.fixture(scope="module")
def results():
    return user_sweep()


@pytest.fixture(scope="module")
def written(tmp_path_factory, results):
    folder = tmp_path_factory.mktemp("users")
    return folder, write_sweep(folder, results, {})


@pytest.fixture(scope="module")
def parsed(written):
    return Page((written[0] / "report.html").read_text(encoding="utf-8"))


def made(*runs, series="a", **over):
    """A sweep with one run each; a run is rows of users."""
    points = [
        point(name, {"k.k": place}, place, 0, 0.9, 0.1, users=list(rows), **over)
        for place, (name, rows) in enumerate(
            r if isinstance(r, tuple) else (series, r) for r in runs
        )
    ]
    grid = {p["series"]: {"k.k": [0, 1]} for p in points}
    return sweep(points, grid=grid, failures=[], fronts=[], seeds=[0])


def gan(*marked, labels=1, auc=0.9, false=0.1, name=GAN):
    """One victim each."""
    return [user(name, place, labels, m, false, auc) for place, m in enumerate(marked, 1)]


# --- means --------------------------------------------------------------------------------------


def test_a_cell_is_the_mean_over_victims_and_runs():
    found = made(gan(0.8, 0.6), gan(0.7) + gan(0.2, labels=5))
    one, five = cells(found)
    assert (one.labels, five.labels) == (1, 5)
    assert one.marked.value == pytest.approx(0.7)
    assert one.marked.deviation == pytest.approx(np.std([0.8, 0.6, 0.7], ddof=1))
    assert (five.marked.value, five.marked.deviation) == (pytest.approx(0.2), None)
    assert (one.auc.low, one.auc.high) == pytest.approx((0.88, 0.92))


def test_baselines_come_last_and_the_generator_speaks(results):
    assert attack_order(results)[0] == GAN
    assert attack_order(results)[-3:] == [GLOBAL, "own_data_only", "declared_label"]
    assert (speaks(results), baseline(results)) == (GAN, GLOBAL)
    without = made(
        gan(0.5, name="x", auc=0.6) + gan(0.5, name="y", auc=0.7) + gan(0.9, name=GLOBAL)
    )
    assert (speaks(without), baseline(without)) == ("y", GLOBAL)
    alone = made(gan(0.9, name=GLOBAL))
    assert (speaks(alone), baseline(alone)) == (GLOBAL, None)
    assert (speaks(small()), baseline(small())) == (None, None)


# --- sentences ----------------------------------------------------------------------------------


def test_the_finding_of_one_series():
    rows = gan(0.8, 0.6) + gan(0.3, 0.3, labels=5, auc=0.7)
    rows += gan(0.9, 0.9, name=GLOBAL, auc=0.95, false=0.02)
    rows += gan(0.85, 0.85, name=GLOBAL, labels=5, auc=0.94, false=0.03)
    (found,) = user_findings(made(rows))
    assert found.headline == (
        "user_level_gan marks 70.0 % ± 14.1 of a one-label victim’s records as the victim’s, and "
        "30.0 % ± 0.0 of a five-label victim’s"
    )
    assert found.detail == (
        "False alarms 10.0 % and 10.0 %, AUC 0.900 and 0.700; over all runs, 2 victims each. "
        "Accuracy falls from one label to five, by more than the spread over victims and seeds. "
        "The global model alone (declared_label_global) marks 90.0 % ± 0.0 and 85.0 % ± 0.0; false "
        "alarms 2.0 % and 3.0 %, AUC 0.950 and 0.940. The generator adds nothing to whose record "
        "it is."
    )
    assert user_headline(made(rows)) == (
        "Of a one-label victim’s records, user_level_gan marks 70.0 %; the global model alone "
        "90.0 %"
    )


def test_one_victim_and_no_baseline():
    (found,) = user_findings(made(gan(0.5, labels=12)))
    assert found.headline == (
        "user_level_gan marks 50.0 % of a 12-label victim’s records as the victim’s"
    )
    assert found.detail == "False alarms 10.0 %, AUC 0.900; over all runs, 1 victim."


SPREAD = "by more than the spread over victims and seeds"
FALLS = "Accuracy falls from one label to five"
SAME = "Accuracy cannot be told to fall or to rise from one label to five"
WITHIN = "the difference lies within the spread over victims and seeds"
ALONE = "one victim with five labels"


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({1: [0.8, 0.7], 2: [0.6, 0.6], 5: [0.3, 0.4]}, f"{FALLS}, at every step, {SPREAD}."),
        ({1: [0.8, 0.7], 2: [0.9, 0.9], 5: [0.3, 0.4]}, f"{FALLS}, not at every step, {SPREAD}."),
        ({1: [0.8, 0.8], 2: [0.8, 0.8], 5: [0.3, 0.4]}, f"{FALLS}, not at every step, {SPREAD}."),
        ({1: [0.2, 0.3], 5: [0.6, 0.7]}, f"{FALLS.replace('falls', 'rises')}, {SPREAD}."),
        ({1: [0.9, 0.3], 5: [0.4, 0.5]}, f"{SAME}: {WITHIN}."),
        ({1: [0.9, 0.3], 5: [0.5]}, f"{SAME}: {WITHIN}, and there is only {ALONE}."),
        ({1: [0.9, 0.8], 5: [0.5]}, f"{FALLS}, as far as {ALONE} can tell."),
        ({1: [0.5], 5: [0.5]}, f"{SAME}: it is the same."),
        ({1: [0.5, 0.6]}, ""),
    ],
)
def test_whether_accuracy_falls_is_as_the_numbers_have_it(shares, words):
    rows = [row for labels, marked in shares.items() for row in gan(*marked, labels=labels)]
    assert trend(cells(made(rows))) == words


@pytest.mark.parametrize(
    ("marked", "auc", "words"),
    [
        ((0.9, 0.9), (0.9, 0.9), "The generator adds nothing to whose record it is."),
        ((0.2, 0.9), (0.9, 0.9), "The generator tells more than that of victims with one label."),
        ((0.9, 0.9), (0.9, 0.6), "The generator tells more than that of victims with five labels."),
        ((0.2, 0.2), (0.9, 0.9), "The generator tells more than that."),
    ],
)
def test_whether_the_generator_adds_anything(marked, auc, words):
    rows = gan(0.8, 0.8) + gan(0.8, 0.8, labels=5)
    for labels, m, a in zip((1, 5), marked, auc, strict=True):
        rows += gan(m, m, name=GLOBAL, labels=labels, auc=a)
    (found,) = user_findings(made(rows))
    assert found.detail.endswith(words)


def test_series_are_named_where_there_are_several():
    rows = gan(0.7) + gan(0.9, name=GLOBAL)
    more = gan(0.8) + gan(0.9, name=GLOBAL)
    both = made(("listening", rows), ("injecting", more))
    assert headline(both) == (
        "Of a one-label victim’s records, user_level_gan marks 70.0 % (listening) and 80.0 % "
        "(injecting); the global model alone 90.0 %"
    )
    assert [f.headline.partition(":")[0] for f in user_findings(both)] == ["listening", "injecting"]
    many = made(*((name, gan(0.1 * (place + 1))) for place, name in enumerate("abcd")))
    assert user_headline(many) == (
        "Of a one-label victim’s records, user_level_gan marks 10.0 % (a) to 40.0 % (d)"
    )
    apart = made(("a", gan(0.5)), ("b", gan(0.5, labels=5)))
    assert user_headline(apart) is None


def test_sweeps_without_users_say_none_of_it(tmp_path):
    plain = ablation()
    assert (user_headline(plain), user_findings(plain), users_tables(plain)) == (None, [], [])
    assert users_section(plain, {}) is None
    assert (labels_figure(plain), roc_figure(plain), rounds_figure(plain)) == (None, None, None)
    assert headline(plain).startswith("From β=0.1 to β=∞")
    files = write_sweep(tmp_path, sweep([], grid={}))
    assert "users.csv" not in {file.name for file in files}
    assert "Whose record is it?" not in Page(sweep_page(small(), {}, {})).text


# --- curves -------------------------------------------------------------------------------------


def curve_of(*points):
    return SweepUser.model_validate(user("a", 1, 1, 0.5, 0.1) | {"curve": list(points)})


def test_curves_are_averaged_at_each_rate_of_false_alarms():
    straight = curve_of((0.0, 0.0), (1.0, 1.0))
    square = curve_of((0.0, 0.4), (0.5, 0.4), (0.5, 0.8), (1.0, 1.0))
    found = dict(zip(GRID.tolist(), mean_curve([straight, square]), strict=True))
    for rate, by_hand in ((0.0, 0.2), (0.25, 0.325), (0.5, 0.65), (0.75, 0.825), (1.0, 1.0)):
        assert found[rate] == pytest.approx(by_hand)
    assert mean_curve([straight]) == pytest.approx(GRID)


def test_there_is_a_panel_of_curves_for_each_series_and_attack(results):
    figure = roc_figure(results)
    assert len(figure.chart.concat) == 4
    tables = [pd.DataFrame(rows) for rows in figure.spec()["datasets"].values()]
    drawn = [table for table in tables if "labels" in table]
    assert len(drawn) == 3  # the baseline's, the same on both series, are stored once
    first = cells(results, GAN, "listening")[0]
    curve = mean_curve(first.users)
    assert any(np.allclose(t[t["labels"] == "1 label"]["tpr"], curve) for t in drawn)


def test_accuracy_by_round_is_the_mean_over_runs_that_share_the_round():
    def accuracy(**by_round):
        return [
            {"round": int(k[1:]), "train_accuracy": 1.0, "test_accuracy": v}
            for k, v in by_round.items()
        ]

    points = [
        point("a", {}, 0, seed, 0.9, 0.1, users=gan(0.5), rounds=rounds)
        for seed, rounds in enumerate((accuracy(r1=0.2, r5=0.6), accuracy(r1=0.4, r5=0.9, r9=1.0)))
    ]
    table = rounds_table(sweep(points, fronts=[]))
    assert table["round"].tolist() == [1, 5]
    assert table["value"].tolist() == pytest.approx([0.3, 0.75])
    assert table[["low", "high"]].to_numpy().tolist() == [[0.2, 0.4], [0.6, 0.9]]
    assert rounds_figure(made(gan(0.5))) is None  # nothing was recorded by round


def test_the_figure_of_labels_draws_every_mean(results):
    figure = labels_figure(results)
    tables = [pd.DataFrame(rows) for rows in figure.spec()["datasets"].values()]
    for series, table in zip(("listening", "injecting"), tables, strict=True):
        for cell in cells(results, GAN, series):
            own = table[(table["attack"] == GAN) & (table["labels"] == cell.labels)]
            assert own["value"].tolist() == pytest.approx([cell.marked.value, cell.alarms.value])
    assert "1 further attack is left to the table" in figure.caption


# --- tables -------------------------------------------------------------------------------------


def printed(results, width):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(sweep_table(results))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 130])
def test_the_terminal_has_every_share_whole(results, width):
    text = printed(results, width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for cell in cells(results):
        assert f"{percent(cell.marked.value)} %" in text
        assert f"({percent(cell.alarms.value)} %)" in text
    words = " ".join(text.split())
    assert f"{user_headline(results)}." in words
    for found in user_findings(results):
        assert f"{found.headline}. {found.detail}" in words


def test_the_terminal_has_no_hypervolumes_of_an_ablation():
    front = {"series": "a", "attack": "strongest", "hypervolume": 0.5, "deviation": None}
    points = [point("a", {"k.k": place}, place, 0, 0.9, 0.1) for place in (0, 1)]
    grid = {"a": {"k.k": [0, 1]}}
    assert "hypervolume" not in printed(
        sweep(points, grid=grid, fronts=[front | {"points": []}]), 80
    )


def test_a_cell_of_the_terminal_has_false_alarms_in_brackets():
    text = printed(made(gan(0.8, 0.6) + gan(0.9, 0.9, labels=3, name=GLOBAL)), 130)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "attack 1 label 3 labels" in lines
    assert "user_level_gan 70.0 % ± 14.1 (10.0 %) –" in lines
    assert "declared_label_global – 90.0 % ± 0.0 (10.0 %)" in lines


def test_the_csv_holds_every_victim_of_every_run(written, results):
    table = pd.read_csv(written[0] / "users.csv")
    rows = [(run, row) for run in results.points for row in run.users]
    assert len(table) == len(rows) == len(ATTACKS) * 4 * len(results.points)
    for (run, row), (_, line) in zip(rows, table.iterrows(), strict=True):
        assert (line["series"], line["seed"], line["victim"]) == (run.series, run.seed, row.victim)
        assert (line["attack"], line["labels"]) == (row.name, row.labels)
        assert line["paper_accuracy"] == pytest.approx(row.paper_accuracy)
        assert line["false_alarms"] == pytest.approx(row.false_alarms)
        assert line["auc_low"] == pytest.approx(row.auc_interval[0])
    assert set(table["name"]) == {f"labels_per_client={', '.join(map(str, d))}" for d in DEALS}
    assert users_frame(small()).empty


# --- page ---------------------------------------------------------------------------------------


def test_the_files(written):
    figures = [
        f"figures/{name}.{kind}"
        for name in ("ablation", "accuracy_by_round", "victims_labels", "victims_roc")
        for kind in ("pdf", "svg")
    ]
    names = ["fronts.csv", "sweep.csv", "users.csv", *figures, "report.html"]
    assert written[1] == [written[0] / name for name in names]


def test_the_page_has_the_verdict_and_every_mean(parsed, results):
    assert f"{user_headline(results)}." in parsed.text
    for found in user_findings(results):
        assert found.headline in parsed.text
        assert found.detail in parsed.text
    for cell in cells(results):
        assert f"{100 * cell.marked.deviation:.1f}" in parsed.text
        assert f"AUC {cell.auc.value:.3f}" in parsed.text
    assert columns(results) == [1, 2, 3, 5]
    assert "attack 1 label 2 labels 3 labels 5 labels" in " ".join(parsed.text.split())
    assert len(parsed.all("figure")) == 4
    assert parsed.text.index("Whose record is it?") < parsed.text.index("Every point")


# --- settings that are lists --------------------------------------------------------------------


def test_a_list_is_one_value():
    assert value_name([1, 1, 2]) == "1, 1, 2"
    assert value_name([]) == "none"
    settings = {"data.labels_per_client": [1, 2], "a.b": 0.5}
    assert flat(settings) == settings
    assert point_name(settings, ["data.labels_per_client"]) == "labels_per_client=1, 2"
    assert point_name(settings, list(settings)) == "labels_per_client=1, 2; b=0.5"
    assert joined(["a", "b"]) == "a, b"


def test_points_of_lists_have_readable_names(results, parsed):
    names = ["labels_per_client=1, 1, 2, 3, 3", "labels_per_client=1, 5, 1, 1, 2"]
    assert [each.name for each in strengths(results)] == names * 2
    assert sweep_frame(results)["data.labels_per_client"].iloc[0] == "[1, 1, 2, 3, 3]"
    assert "data.labels_per_client : 1, 1, 2, 3, 3; 1, 5, 1, 1, 2" in parsed.text
    ticks = Along(results, strengths(results), 300).ticks
    assert ticks[0] == "listening: 1, 1, 2, 3, 3"
    assert len(set(ticks)) == 4
    one = Along(results, strengths(results, "listening"), 300)
    assert (one.ticks[0], one.joined) == ("1, 1, 2, 3, 3", True)
    assert "found at listening labels_per_client=" in parsed.text
