"""Labels beside the attacks: the verdict where labels are dealt out unevenly, and the tables."""

import io
import re
from html import unescape

import pytest
from made_up_study import STUDY, make_scores, plain_results, rate, row
from rich.console import Console

import seepage.report.write as write
from seepage.report import terminal_table, verdicts, write_report
from seepage.report.reading import failing, lead
from seepage.report.verdict import all_verdicts

RATES = {"0.01": rate(0.3, 0.27, 0.33)}


def beside(name="loss", **over):
    plain = {
        "name": name,
        "target": "all",
        "block": "held_out",
        "auc": 0.93,
        "within_auc": 0.71,
        "within_interval": (0.68, 0.74),
        "label_auc": 0.88,
        "label_interval": (0.86, 0.9),
        "at": "0.01",
        "tpr": 0.3,
        "matched_tpr": 0.081,
        "label_tpr": 0.02,
        "explained": 0.51,
        "covered": 1.0,
    }
    return plain | over


def blind(**over):
    plain = {
        "name": "blind_label",
        "target": "all",
        "block": "held_out",
        "n_members": 500,
        "n_nonmembers": 500,
        "auc": 0.88,
        "auc_interval": (0.84, 0.91),
        "ok": False,
        "expected": True,
    }
    return plain | over


def results_of(rows, labels, skewed=True, **over):
    placebo = blind(name="placebo", of="loss", auc=0.5, auc_interval=(0.4, 0.6), ok=True)
    rows_ = [blind(expected=skewed, ok=not skewed), placebo | {"expected": False}]
    return plain_results(
        rows,
        labels={"skewed": skewed, "rows": labels},
        blind={"ok": True, "rows": rows_},
        **over,
    )


def strong(**over):
    return row(0.93, (0.92, 0.94), tpr_at_fpr=RATES, **over)


def test_the_sentence_gives_both_and_the_grade_follows_the_one_within():
    (verdict,) = all_verdicts(results_of([strong()], [beside()]))
    assert verdict.grade == "clear"  # 0.68, not 0.92
    assert verdict.sentence == (
        "The server can tell client members clearly better than chance among records of the same "
        "label: best attack loss, AUC 0.71 [0.68, 0.74] there, and 0.93 among all records, "
        "where labels alone, without the model, reach 0.88; at 1 % false alarms in this sample it "
        "finds 30.0 % of members, or 8.1 % with non-members weighted to have the members’ labels "
        "(chance 1 %)."
    )


@pytest.mark.parametrize(
    ("lower", "grade"),
    [(0.5, "none"), (0.501, "slight"), (0.6, "clear"), (0.75, "strong"), (0.95, "near-total")],
)
def test_words_are_by_the_lower_bound_within_labels(lower, grade):
    labels = [beside(within_auc=0.97, within_interval=(lower, 0.99))]
    assert all_verdicts(results_of([strong()], labels))[0].grade == grade


def test_the_attack_that_speaks_is_the_best_within_labels():
    rows = [strong(), row(0.8, (0.78, 0.82), name="cosine"), row(0.6, (0.58, 0.62), name="norm")]
    labels = [
        beside(within_auc=0.5, within_interval=(0.47, 0.53)),
        beside("cosine", auc=0.8, within_auc=0.7, within_interval=(0.67, 0.73)),
        beside("norm", auc=0.6, within_auc=0.6, within_interval=(0.57, 0.63)),
    ]
    (verdict,) = all_verdicts(results_of(rows, labels))
    assert verdict.best.name == "cosine"
    assert verdict.grade == "clear"
    assert "[0.66, 0.74]" in verdict.detail  # 0.03 · z(1 - 0.05 / 6) / z(0.975) = 0.037
    assert "widened for having tried 3 attacks" in verdict.detail


def test_a_leak_of_labels_alone_is_no_leak_of_records():
    labels = [beside(within_auc=0.51, within_interval=(0.48, 0.54))]
    (verdict,) = all_verdicts(results_of([strong()], labels))
    assert verdict.grade == "none"
    assert verdict.sentence.startswith(
        "No attack by the server beats chance among records of the same label: loss has AUC 0.51 "
        "[0.48, 0.54] there, and 0.93 among all records, where labels alone, without the "
        "model, reach 0.88. Within labels an AUC above 0.54 is ruled out"
    )


def test_each_adversary_has_her_own():
    rows = [strong(name="norm"), strong(name="final", adversary="querier")]
    labels = [beside("norm"), beside("final", within_auc=0.6, within_interval=(0.57, 0.63))]
    server, querier = all_verdicts(results_of(rows, labels))
    assert (server.best.name, querier.best.name) == ("norm", "final")
    assert (server.grade, querier.grade) == ("clear", "slight")


def test_members_that_cannot_be_compared_are_told():
    nobody = beside(within_auc=None, within_interval=None, matched_tpr=None, covered=0.0)
    (verdict,) = all_verdicts(results_of([strong()], [nobody | {"explained": None}]))
    assert verdict.grade == "none"
    assert verdict.sentence.startswith("Whether the server sees more than labels cannot be told: ")
    (verdict,) = all_verdicts(results_of([strong()], [beside(covered=0.75)]))
    assert "25.0 % of members have no non-member of their label" in verdict.detail


def test_even_labels_change_no_verdict():
    plain = verdicts(plain_results([strong()]))
    assert verdicts(results_of([strong()], [beside()], skewed=False)) == plain
    assert "far better than chance: best attack loss, AUC 0.93" in plain[0]


def test_an_expected_row_is_no_alarm():
    results = results_of([strong()], [beside()])
    assert failing(results) == []
    assert verdicts(results)[0].startswith("The server")
    unplanned = blind(expected=False)
    results = plain_results([strong()], blind={"ok": False, "rows": [unplanned]})
    assert [each.name for each in failing(results)] == ["blind_label"]
    assert verdicts(results)[0].startswith("Not to be believed")


def test_other_targets_and_blocks_do_not_speak():
    labels = [beside(block="mix"), beside(target=0)]
    results = results_of([strong()], labels)
    assert lead(results).within == {}
    assert all_verdicts(results)[0].grade == "strong"


def printed(results, width=100):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal_table(results))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_terminal_sets_every_attack_beside_the_labels():
    rows = [strong(), row(0.49, (0.46, 0.52), name="norm")]
    norm = beside("norm", auc=0.49, within_auc=0.5, within_interval=(0.47, 0.53), explained=None)
    lines = printed(results_of(rows, [beside(), norm]))
    assert "blind checks: 1 of 1 at chance (placebo)" in lines
    first = lines.index("beside labels AUC same label explained matched TPR@1 %")
    assert lines[first + 1 : first + 4] == [
        "loss 0.930 0.710 [0.680, 0.740] 51 % 8.1 %",
        "norm 0.490 0.500 [0.470, 0.530] – 8.1 %",
        "labels alone 0.880 0.500 100 % 1 %",
    ]


def test_the_terminal_has_one_line_where_labels_are_even():
    labels = [beside(within_auc=0.92, within_interval=(0.9, 0.94), label_auc=0.501)]
    labels[0]["label_interval"] = (0.48, 0.52)
    lines = printed(results_of([strong()], labels, skewed=False), width=140)
    assert (
        "labels alone: AUC 0.501 [0.480, 0.520]; loss among records of the same label: "
        "0.92 [0.90, 0.94]"
    ) in lines
    assert not any("beside labels" in line for line in lines)


def test_eighty_columns_hold_the_whole_table():
    long = beside("gradient_difference", at="0.001", within_interval=(0.0004, 0.74))
    lines = printed(results_of([strong(name="gradient_difference")], [long]), width=80)
    assert "gradient_difference 0.930 0.7100 [0.0004, 0.7400] 51 % 8.1 %" in lines


def test_what_may_be_chance_is_not_explained():
    lines = printed(results_of([row(0.51, (0.49, 0.53))], [beside(auc=0.51, explained=1.0)]))
    assert any(line.startswith("loss") and "–" in line and "100 %" not in line for line in lines)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "all_figures", lambda *args: [])

    def read(results):
        write_report(tmp_path, results, make_scores())
        html = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "href" not in html
        body = re.sub(r"<(style|script)>.*?</\1>", " ", html, flags=re.S)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(body)).replace("\xa0", " "))

    return read


def test_the_page_has_the_table_for_every_block(page):
    rows = [strong(), strong(block="others")]
    labels = [beside(), beside(block="others", label_auc=0.99, label_interval=(0.98, 1.0))]
    words = page(results_of(rows, labels))
    assert "What labels alone tell" in words
    assert "This study deals labels out unevenly" in words
    assert "The verdict rests on it." in words
    assert "0.710 [0.680, 0.740] 51 % 30.0 % 8.1 %" in words
    assert "labels alone 0.880 [0.860, 0.900] 0.500 100 % 2.0 % 1 %" in words
    assert "labels alone 0.990 [0.980, 1.000]" in words
    assert "as expected" in words
    assert "all 1 are at chance" in words
    assert "is no check here" in words


def test_the_page_of_even_labels_explains_nothing_away(page):
    words = page(results_of([strong()], [beside()], skewed=False, study=STUDY))
    assert "Labels are dealt out evenly" in words
    assert "The verdict rests on it." not in words
    assert "is no check here" not in words
    assert "What labels alone tell" not in page(plain_results([strong()]))
