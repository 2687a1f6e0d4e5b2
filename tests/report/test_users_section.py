"""The page's section on whose record it is: tables, figures, pictures, and where it is absent."""

import re
from html import unescape

import numpy as np
import pytest
from made_up_users import (
    DECLARED,
    STUDY,
    generated,
    source,
    user_results,
    user_rows,
    user_scores,
    users,
)

import seepage.report.write as write
from seepage.report import write_report
from seepage.report.curves import placed_sides
from seepage.report.figures import all_figures
from seepage.report.users import decided
from seepage.report.users_figures import (
    MARKED,
    WRONGLY,
    by_labels,
    roc_by_labels,
    users_figures,
)
from seepage.report.users_section import other_figures, section
from seepage.results import AttackRow


@pytest.fixture(scope="module")
def scores():
    return user_scores()


@pytest.fixture(scope="module")
def results(scores):
    return user_results(user_rows(scores), source=source())


def few_figures(*args):
    """Drawing takes seconds: of the other figures, one that the section takes and one it leaves."""
    return [figure for figure in all_figures(*args) if figure.name in ("utility", "clients")]


@pytest.fixture(scope="module")
def written(tmp_path_factory, results, scores):
    folder = tmp_path_factory.mktemp("users")
    rng = np.random.default_rng(0)
    kept = {number: rng.random((10, 2, 8, 8)) for number in (10, 150)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "all_figures", few_figures)
        files = write_report(folder, results, scores, reconstructions=kept)
    return files, (folder / "report.html").read_text(encoding="utf-8")


def words_of(html):
    body = re.sub(r"<(style|script)>.*?</\1>", " ", html, flags=re.S)
    text = re.sub(r"<[^>]+>", " ", unescape(body)).replace("\xa0", " ").replace("\u200b", "")
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def words(written):
    return words_of(written[1])


def test_the_figures_are_written_beside_the_page(written):
    names = {file.name for file in written[0]}
    assert {"users_labels.svg", "users_roc.pdf", "source.svg", "reconstructions.png"} <= names


def test_the_section_says_the_verdict_before_the_numbers(words, results):
    opening = words[: words.index("Whose record is it?")]
    assert "Client 0 marks " in opening  # it opens the page, and the section that tells the rest
    words = words[len(opening) :]
    assert words.index("Client 0 marks ") < words.index("The global model alone does better")
    assert words.index("The global model alone") < words.index("All victims, pooled")
    assert "The generator adds nothing to whose record it is." in words
    assert "Which client holds it?" in words
    assert "What the global model gave away" in words


def test_each_finding_that_opens_the_page_is_a_sentence_with_its_signs_unbroken(written):
    html = written[1]
    part = html[html.index('<section class="verdict"') :]
    found = re.findall(r"<h([12])>(.*?)</h[12]>\n<p>(.*?)</p>", part[: part.index("</section>")])
    assert {level for level, *_ in found} == {"1", "2"}
    for level, headline, detail in found:
        assert " %" not in headline + detail
        assert level == "1" or not detail[0].islower()
    assert any("\xa0%" in headline for _, headline, _ in found)


def test_the_table_gives_every_victim_every_attack(words, results):
    for row in decided(results, "others"):
        auc = f"{row.auc:.3f}"
        line = f"{100 * row.paper_accuracy:.1f} % {100 * row.false_alarms:.1f} %"
        assert line.replace("100.0 %", "100 %").replace(" 0.0 %", " 0 %") in words, row
        assert auc in words
    assert "Client 3: 3 labels, three, four and five 150 of its records, 450 others" in words
    assert "Client 1: 1 label, zero" in words
    assert "All victims, pooled 600 of their records, 1,800 pairs of another record" in words


def test_the_compact_table_is_on_records_of_nobody(words, results):
    part = words[words.index("Did anyone train on it?") :]
    for row in decided(results, "held_out"):
        assert f"{100 * row.false_alarms:.1f} % marked" in part


def test_pictures_stand_under_the_words(written):
    html = written[1]
    assert html.count('alt="round 10, ') == 10
    assert html.count('alt="round 150, ') == 10
    assert html.count(', image 1">') == 10
    assert html.count('<th scope="col" class="held">') == 2
    assert html.count("held by the insider") == 2
    assert "image-rendering: pixelated" in html


def test_each_figure_stands_once(written):
    for name in ("users_labels", "users_roc", "utility", "source", "clients"):
        assert written[1].count(f'id="chart-{name}"') == 1
    section_ = written[1][written[1].index("Whose record is it?") :]
    assert section_.index("chart-utility") < section_.index("Which client holds it?")


def test_every_table_head_says_what_it_heads(written):
    heads = re.findall(r"<th [^>]*>|<th>", written[1])
    assert heads
    assert all("scope=" in head for head in heads)


def test_the_page_is_silent_where_no_insider_was(tmp_path, scores, results, monkeypatch):
    monkeypatch.setattr(write, "all_figures", lambda *args: [])
    plain = results.model_copy(update={"users": None, "source": None})
    files = write_report(tmp_path, plain, scores, reconstructions={10: np.zeros((10, 1, 4, 4))})
    names = {file.name for file in files}
    assert "reconstructions.png" not in names
    assert not any(name.startswith(("users", "source")) for name in names)
    page = words_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    for said in ("Whose record is it?", "Which client holds it?", "gave away", "baseline"):
        assert said not in page
    assert section(plain, {}, None) is None
    assert users_figures(plain, scores) == []


def test_a_run_that_drew_nothing_says_so(results):
    none = generated(began=None, kept=0, classes=[], rounds=[])
    quiet = user_results([], study=STUDY, users=users(generated=none))
    found = section(quiet, {}, {})
    assert "never reached 93 %" in found["drawn"].detail
    assert found["gallery"] is None
    assert found["groups"] == []
    silent = user_results([], users=users(generated=None))
    assert section(silent, {}, {})["drawn"] is None


def test_more_than_four_victims_are_folded_away(results):
    rows = [row for row in results.attacks if row.block == "others"]
    more = [
        row.model_copy(update={"target": k, "victim": k})
        for row in rows
        for k in (5, 6)
        if row.target == 1
    ]
    found = section(results.model_copy(update={"attacks": [*rows, *more]}), {}, None)
    assert [len(found["groups"]), len(found["rest"])] == [5, 2]
    assert found["groups"][0].head == "All victims, pooled"
    assert found["anyone"] is None


def test_figures_of_the_section_stand_nowhere_else(results):
    drawn = dict.fromkeys(("roc", "users_labels", "users_roc", "utility", "source"), (None, ""))
    assert other_figures(results, drawn) == [drawn["roc"]]
    plain = results.model_copy(update={"users": None})
    assert other_figures(plain, drawn) == [drawn["roc"], drawn["utility"]]


def victims(results, block="others"):
    return [row for row in decided(results, block) if row.victim_labels is not None]


def test_shares_by_labels_are_means_over_victims(results):
    rows = victims(results)
    table = by_labels(rows)
    gan = {row.victim: row for row in rows if row.name == "user_level_gan"}
    assert len(DECLARED[2]) == len(DECLARED[4]) == 2

    def at(place, kind):
        one = (table["attack"] == "user_level_gan") & (table["place"] == place)
        return table[one & (table["kind"] == kind)]["share"].item()

    assert at(2, MARKED) == pytest.approx((gan[2].paper_accuracy + gan[4].paper_accuracy) / 2)
    assert at(2, WRONGLY) == pytest.approx((gan[2].false_alarms + gan[4].false_alarms) / 2)
    assert at(3, MARKED) == pytest.approx(gan[3].paper_accuracy)
    assert set(table["place"]) == {1, 2, 3}


def test_victims_with_as_many_labels_stand_by_name(results, scores):
    rows = [row for row in victims(results) if row.victim in (2, 4)]
    assert set(by_labels(rows)["place"]) == {"client 2", "client 4"}
    both = results.model_copy(update={"attacks": rows})
    first, second = users_figures(both, scores)
    assert "by number of labels" not in first.title
    assert "pools all victims" in second.caption
    assert [layer["mark"]["type"] for layer in first.spec()["layer"]] == ["point", "point"]


def test_curves_pool_the_victims_with_as_many_labels(results, scores):
    table = roc_by_labels(victims(results), scores, "others")
    assert list(dict.fromkeys(table["attack"])) == ["user_level_gan", "declared_label_global"]
    assert list(dict.fromkeys(table["labels"])) == ["1 label", "2 labels", "3 labels"]
    curve = table[(table["attack"] == "user_level_gan") & (table["labels"] == "2 labels")]
    rows = scores[(scores["attack"] == "user_level_gan") & scores["target"].isin([2, 4])]
    members, others = placed_sides(rows, "others")
    assert len(members) == 300
    for fpr, tpr in zip(curve["fpr"], curve["tpr"], strict=True):
        best = max(np.mean(members >= t) for t in [*others, 2.0] if np.mean(others >= t) <= fpr)
        assert tpr >= best - 1e-12
        assert any(
            np.isclose(np.mean(members >= t), tpr) and np.isclose(np.mean(others >= t), fpr)
            for t in [*members, *others, 2.0]
        )


def test_the_drawn_axis_begins_where_the_records_resolve(results, scores):
    spec = users_figures(results, scores)[1].spec()
    domain = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert domain == pytest.approx([0.001, 1.0])  # 450 others: finer than 1 in 450 is not resolved


def test_the_attack_that_speaks_and_its_baselines_have_room_first(results):
    rows = victims(results)
    more = [
        AttackRow.model_validate(row.model_dump() | {"name": f"other_{k}"})
        for k in range(4)
        for row in rows[:1]
    ]
    names = set(by_labels([*more, *rows])["attack"])
    assert {"user_level_gan", "declared_label_global", "own_data_only", "declared_label"} < names
    assert len(names) == 5
