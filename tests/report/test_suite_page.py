"""The report of a suite: the table, the figure, the page and the CSV."""

import io
import re
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from made_up_models import claim
from made_up_suite import ABOUT, RUNS, best, suite, suite_row
from rich.console import Console
from test_report import Page

import seepage.report.write as write
from seepage.metrics import pareto_front
from seepage.report import suite_frame, suite_table, write_suite
from seepage.report.labels import HEIGHT, LETTER, PLACES, along, place_labels
from seepage.report.suite_chart import tradeoff_figure
from seepage.report.suite_words import front, headline, paragraph, stopping_curve

EARLY = ["early stopping 10", "early stopping 20", "early stopping 40", "none"]


@pytest.fixture(scope="module")
def results():
    return suite()


@pytest.fixture(scope="module")
def written(tmp_path_factory, results):
    folder = tmp_path_factory.mktemp("suite")
    return folder, write_suite(folder, results, ABOUT)


@pytest.fixture(scope="module")
def parsed(written):
    return Page((written[0] / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def no_figure(monkeypatch):
    monkeypatch.setattr(write, "tradeoff_figure", lambda results: None)


def page_of(folder, results, about=None):
    write_suite(folder, results, about)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def printed(results, width=130):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(suite_table(results))
    return console.file.getvalue()


def runs(*chosen, **over):
    return suite([suite_row(*run) for run in RUNS if run[0] in chosen], **over)


def tables(figure):
    """Every table that a figure is drawn from."""
    return [pd.DataFrame(rows) for rows in figure.spec()["datasets"].values()]


def test_the_files(written):
    folder, files = written
    names = ["suite.csv", "figures/tradeoff.pdf", "figures/tradeoff.svg", "report.html"]
    assert files == [folder / name for name in names]
    assert (folder / "figures/tradeoff.pdf").read_bytes()[:5] == b"%PDF-"
    assert sorted(p.name for p in folder.iterdir()) == ["figures", "report.html", "suite.csv"]


def test_the_csv_holds_every_row_and_every_failure(written, results):
    table = pd.read_csv(written[0] / "suite.csv")
    assert table["label"].tolist() == [run[0] for run in RUNS] + ["memguard"]
    hamp = table.set_index("label").loc["hamp"]
    row = next(row for row in results.rows if row.label == "hamp")
    assert (hamp["tpr"], hamp["tpr_low"], hamp["tpr_high"]) == pytest.approx(
        (row.tpr.rate.value, *row.tpr.rate.interval)
    )
    assert (hamp["tpr_attack"], hamp["tpr_oracle_attack"]) == ("lira", "rmia")
    assert hamp["tpr_oracle"] == pytest.approx(1.3 * 0.0121)
    assert hamp["tnr_attack"] == "label_only"
    assert hamp["options"] == '{"entropy": 0.95, "weight": 0.001}'
    assert (hamp["at"], hamp["models"]) == (0.001, 16)
    private = table.set_index("label").loc["dp-sgd ε=8"]
    assert (private["claimed_epsilon"], private["epsilon_lower_bound"]) == (8.0, 0.6)
    basis = private[["claimed_by", "claimed_sampling", "claimed_noise", "claimed_steps"]]
    assert basis.tolist() == ["rdp", "poisson", 1.1, 3000]
    failed = table.iloc[-1]
    assert failed["failure"] == "memguard needs 200 records."
    assert failed[["tpr", "test_accuracy", "options"]].isna().all()
    assert table["failure"].isna().sum() == len(RUNS)


def test_a_suite_of_failures_alone_is_still_a_table(tmp_path):
    nothing = suite([])
    assert suite_frame(nothing)["failure"].tolist() == ["memguard needs 200 records."]
    files = write_suite(tmp_path, nothing)
    assert [f.name for f in files] == ["suite.csv", "report.html"]
    assert "memguard could not be run" in printed(nothing)
    assert list(suite_frame(suite([], failures=[]))) == []


def test_the_page_loads_nothing_and_has_the_table(parsed, results):
    for tag, attrs in parsed.tags:
        for key in ("src", "href", "srcset"):
            assert tag == "a" or (attrs.get(key) or "data:").startswith("data:")
    links = [attrs["href"] for tag, attrs in parsed.tags if tag == "a" and "href" in attrs]
    assert links == [f"{quote(row.label)}/report.html" for row in results.rows]
    (policy,) = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    words = parsed.text
    assert "none front 60.1 % ± 0.5 training 90.1 % 21.4 % [18.1, 24.7] lira" in words
    assert re.search(r"hamp front 59\.7 % .*?1\.2 % \[1\.0, 1\.5\] lira in hand 1\.6 % rmia", words)
    assert "8.00 found 0.60" in words
    assert words.count("rdp; sampling: poisson; effective noise 1.1; 3,000 steps") == 1
    assert "memguard could not be run memguard needs 200 records." in words
    for row in results.rows:
        assert words.count(row.label) >= 1
    assert len(parsed.all("figure")) == 1
    heads = parsed.all("th")
    assert all(head.get("scope") in ("row", "col") for head in heads)


def test_the_page_says_what_each_defense_is_and_how_it_was_set(parsed):
    assert "Trains on soft labels of high entropy" in parsed.text
    assert "Overconfidence is a dangerous thing" in parsed.text
    assert "hamp: entropy = 0.95, weight = 0.001" in parsed.text
    assert "early stopping 20: epochs = 20" in parsed.text


@pytest.mark.usefixtures("no_figure")
def test_what_users_write_is_text_and_never_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    row = suite_row(evil, evil, {"path": evil}, 0.5, 0.1, 0.6)
    page = page_of(tmp_path, suite([row], recipe=evil), {evil: (evil, evil)})
    assert not page.all("script")
    assert page.text.count(evil) >= 6


def test_the_terminal_shows_rate_interval_and_attack(results):
    lines = [" ".join(line.split()) for line in printed(results).splitlines()]
    assert lines[0] == "defense test accuracy TPR@0.1 % TNR@0.1 % AUC claimed ε"
    assert lines[1] == "none 60.1 % ± 0.5 21.4 % [18.1, 24.7] 7.1 % [6.0, 8.3] 0.79 [0.78, 0.80] –"
    assert lines[2] == "lira label_only lira"
    assert any(line.startswith("dp-sgd ε=8 41.2 %") and line.endswith("8.00") for line in lines)
    claim_line = "dp-sgd ε=8: claim: ε = 8.00 at δ = 1e-05 (rdp; sampling: poisson;"
    assert any(line.startswith(claim_line) for line in lines)
    assert "memguard could not be run: memguard needs 200 records." in lines
    assert "claimed" not in printed(runs("none", "hamp"))


def test_eighty_columns_hold_every_number_whole(results):
    text = printed(results, width=80)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    for interval in ("[18.1, 24.7]", "[0.17, 0.35]", "[0.78, 0.80]", "60.1 % ± 0.5"):
        assert interval in text


def test_the_finding(results):
    assert headline(results) == (
        "Undefended, anyone who may query the model can name 21.4 % of its members at 0.1 % "
        "false alarms"
    )
    assert paragraph(results) == (
        "Of 9 defenses, dmp leaks least: 0 % [0, 0.06], for 5.6 points of test accuracy. Of those "
        "within one point of the undefended test accuracy, hamp leaks least: 1.2 % [1.0, 1.5]."
    )
    assert paragraph(results) in " ".join(printed(results, width=10_000).split("\n"))


def test_a_finding_that_the_intervals_do_not_carry_says_so():
    rows = [suite_row(*run) for run in RUNS[:1]]
    rows += [suite_row(name, name, {}, 0.5, x, 0.6) for name, x in (("a", 0.01), ("b", 0.0101))]
    assert "a leaks least: 1.0 %" in paragraph(suite(rows))
    assert "By their intervals it cannot be told from b." in paragraph(suite(rows))
    assert "None stays within one point of the undefended" in paragraph(suite(rows))


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        (0.601, "at no cost in test accuracy"),
        (0.58, "for 2.1 points of"),
        (0.62, "and gains 1.9 points"),
    ],
)
def test_the_cost_in_words(accuracy, words):
    rows = [suite_row(*RUNS[0]), suite_row("a", "a", {}, accuracy, 0.01, 0.6)]
    assert words in paragraph(suite(rows))


def test_without_an_undefended_run_there_is_no_cost_to_tell():
    some = runs("hamp", "selena")
    assert headline(some) == "2 defenses on cifar100"
    assert paragraph(some).startswith(
        "Of 2 defenses, selena leaks least: 0.43 % [0.33, 0.55], with test accuracy 56.1 %."
    )


def test_the_front_is_the_one_of_the_metrics(results):
    points = [(1 - row.test_accuracy, row.tpr.rate.value) for row in results.rows]
    expected = pareto_front(points)
    own = [(1 - row.test_accuracy, row.tpr.rate.value) for row in front(results)]
    assert np.array_equal(np.array(own), expected)
    assert [row.label for row in front(results)] == [
        "label smoothing",
        "none",
        "hamp",
        "selena",
        "dmp",
    ]


def test_of_two_that_leak_or_cost_the_same_the_better_is_on_the_front():
    runs = [("a", 0.6, 0.1), ("b", 0.5, 0.1), ("c", 0.6, 0.2), ("d", 0.4, 0.01), ("e", 0.4, 0.01)]
    tied = suite([suite_row(name, name, {}, x, y, 0.6) for name, x, y in runs])
    assert [row.label for row in front(tied)] == ["a", "d", "e"]


def test_early_stopping_is_a_curve_by_epochs_that_ends_undefended(results):
    assert [row.label for row in stopping_curve(results)] == EARLY
    assert stopping_curve(runs("none", "hamp")) == []
    assert [row.label for row in stopping_curve(runs(*EARLY[:3]))] == EARLY[:3]
    found = [table for table in tables(tradeoff_figure(results)) if len(table) == 4]
    assert [table["label"].tolist() for table in found] == [EARLY]
    assert found[0]["order"].tolist() == [0, 1, 2, 3]


def test_the_figure_draws_every_run_with_its_interval_and_the_oracle(results):
    (table,) = [t for t in tables(tradeoff_figure(results)) if len(t) == len(RUNS)]
    table = table.set_index("label")
    for row in results.rows:
        drawn = table.loc[row.label]
        assert (drawn["accuracy"], drawn["found"]) == (row.test_accuracy, row.tpr.rate.value)
        assert (drawn["low"], drawn["high"]) == row.tpr.rate.interval
        assert drawn["oracle"] == row.tpr.oracle_rate.value
    assert table.index[table["ring"]].tolist() == ["hamp", "selena"]
    assert table.loc["none", "kind"] == "no defense"
    assert set(table.loc[EARLY[:3], "kind"]) == {"early stopping"}


def test_unresolved_rates_are_told_and_not_drawn():
    unsure = best("tpr_at_fpr", 0.987, resolved=False)
    rows = [suite_row(*run) for run in RUNS[:1]]
    rows.append(suite_row("few", "few", {}, 0.5, 0.1, 0.6) | {"tpr": unsure})
    figure = tradeoff_figure(suite(rows))
    assert "1 run whose rate is not resolved is not drawn." in figure.caption
    assert "few" not in {name for t in tables(figure) for name in t.get("label", [])}
    assert "needs 1,000 non-members" in printed(suite(rows))
    assert "98.7" not in printed(suite(rows))
    assert tradeoff_figure(suite(rows[1:])) is None


def test_the_caption_names_the_lines_that_are_drawn(results):
    lines = ("Dashed: the front", "Green line", "Dotted: chance")
    for shown, expected in ((results, lines), (runs("label smoothing", "dmp"), lines[::2])):
        caption = tradeoff_figure(shown).caption
        assert tuple(each for each in lines if each in caption) == expected
    alone = tradeoff_figure(runs("none"))
    assert [each for each in lines if each in alone.caption] == ["Dotted: chance"]
    marks = [layer["mark"] for layer in alone.spec()["layer"]]
    assert [mark["strokeDash"] for mark in marks if "strokeDash" in mark] == [[2, 3]]


@pytest.mark.usefixtures("no_figure")
def test_errors_stand_above_everything(tmp_path):
    rows = [suite_row(*run) for run in RUNS]
    rows[-1] |= {"claim": claim(4.0, 5.1)}
    rows[4] |= {"blind_ok": False}
    broken = suite(rows)
    words = "lower bound 5.10 is above the claimed ε = 4.00: the implementation or the claim"
    page = page_of(tmp_path, broken)
    assert any(attrs.get("role") == "alert" for _, attrs in page.tags)
    assert page.text.index(words) < page.text.index("Undefended")
    assert "Blind checks are off chance for hamp" in page.text
    assert sum(attrs.get("class") == "off" for attrs in page.all("tr")) == 3  # and the failure
    text = " ".join(printed(broken).split())
    assert text.startswith(f"ERROR: dp-sgd ε=8: {words}")


def test_names_are_placed_beside_each_other_where_there_is_room():
    points = [(100.0, 100.0), (104.0, 100.0)]
    places = place_labels(points, ["one", "two"], [], (0.0, 0.0, 560.0, 440.0))
    boxes = []
    for (x, y), place in zip(points, places, strict=True):
        wide = 3 * LETTER
        shift = {"left": 0, "center": wide / 2, "right": wide}[place.align]
        boxes.append((x + place.dx - shift, y + place.dy - HEIGHT / 2, wide, HEIGHT))
    (ax, ay, aw, ah), (bx, by, bw, bh) = boxes
    assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


def test_a_name_stays_inside_and_off_what_is_drawn():
    size = (0.0, 0.0, 560.0, 440.0)
    (right,) = place_labels([(550.0, 200.0)], ["a long name"], [], size)
    assert right.align == "right"
    (free,) = place_labels([(200.0, 200.0)], ["name"], [], size)
    assert free == PLACES[0]
    (off,) = place_labels([(200.0, 200.0)], ["name"], along((200.0, 200.0), (300.0, 200.0)), size)
    assert off == PLACES[1]
