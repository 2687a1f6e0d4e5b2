import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_study import STUDY, blind_rows, make_results, make_scores, plain_results, rate, row
from PIL import Image
from rich.console import Console

import seepage.report.write as write
from seepage.records import UserError
from seepage.report import most_exposed, terminal_table, write_report
from seepage.report.pictures import png, standing

PLACES = ("all",), ("held_out", "others")


class Page(HTMLParser):
    """Tags with their attributes, and the text that is read (no styles, no scripts)."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.inside = [], [], None
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words).replace("\xa0", " "))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "script"):
            self.inside = tag

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data):
        if self.inside is None:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory, scores, results, signals):
    folder = tmp_path_factory.mktemp("run")
    ids = most_exposed(results, scores)
    rng = np.random.default_rng(0)
    pictures = {i: rng.random((8, 8, 3)) for i in ids[:-1]}
    labels = {ids[0]: "maple & oak"}
    files = write_report(folder, results, scores, signals=signals, pictures=pictures, labels=labels)
    return folder, files, ids, pictures


@pytest.fixture(scope="module")
def html(written):
    return (written[0] / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(html):
    return Page(html)


def page_of(folder, results, scores):
    write_report(folder, results, scores)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def no_figures(monkeypatch):
    """Pages whose words are under test need no charts."""
    monkeypatch.setattr(write, "all_figures", lambda *args: [])


def test_every_figure_is_written_as_svg_and_pdf(written):
    folder, files, _, _ = written
    names = ["clients", "losses", "roc", "scores", "utility"]
    expected = [folder / "figures" / f"{name}.{end}" for name in names for end in ("pdf", "svg")]
    assert files == [*expected, folder / "report.html"]
    for file in expected:
        begin = file.read_bytes()[:5]
        assert begin == (b"%PDF-" if file.suffix == ".pdf" else b"<svg ")
    assert sorted(p.name for p in folder.iterdir()) == ["figures", "report.html"]


def test_the_page_loads_nothing(html, parsed):
    for _, attrs in parsed.tags:
        for key in ("src", "href", "srcset", "data", "action"):
            assert (attrs.get(key) or "data:").startswith("data:")
    assert not parsed.all("link")
    assert "@import" not in html
    assert not re.search(
        r"url\(\s*['\"]?(?!data:|#)", re.search("<style>(.*?)</style>", html, re.S)[1]
    )
    (policy,) = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:", policy)


def test_vega_is_in_the_page_once_and_the_charts_are_its_data(html, parsed):
    assert len(parsed.all("script")) == 1
    assert html.count("window.vegaEmbed=") == 1
    specs = json.loads(re.search(r"^const charts = (.*);$", html, re.M)[1])
    assert {f"chart-{name}" for name in specs} == {
        a["id"] for a in parsed.all("div") if a.get("class") == "chart"
    }
    assert not re.search("https?:", json.dumps(specs))


def test_the_page_reads_without_scripts(parsed, results):
    for row_ in results.attacks:
        if row_.target == "all":
            assert f"{row_.auc:.3f}" in parsed.text
    assert "17.9 %" in parsed.text  # what the verdict's attack finds at 1 % false alarms
    backups = [i for i in parsed.all("img") if i["src"].startswith("data:image/svg+xml")]
    assert len(backups) == 5
    assert all(i["alt"] for i in parsed.all("img"))
    svg = base64.b64decode(backups[0]["src"].split(",")[1])
    assert svg.startswith(b"<svg ")


def test_every_table_head_says_what_it_heads(parsed):
    heads = parsed.all("th")
    assert heads
    assert all(head.get("scope") in ("row", "col", "rowgroup") for head in heads)


def test_the_verdict_comes_first_when_all_is_well(parsed):
    first = next(i for i, (tag, _) in enumerate(parsed.tags) if tag in ("h1", "h2"))
    assert parsed.tags[first][0] == "h1"
    assert not any(a.get("role") == "alert" for _, a in parsed.tags)
    assert "all 16 are at chance" not in parsed.text
    assert "all 32 are at chance" in parsed.text


def test_pictures_are_the_most_exposed_in_order(parsed, written, scores):
    _, _, ids, pictures = written
    shown = [i for i in parsed.all("img") if i["src"].startswith("data:image/png")]
    assert [int(re.search(r"record (\d+)", i["alt"])[1]) for i in shown] == ids[:-1]
    data = base64.b64decode(shown[0]["src"].split(",")[1])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(pixels, np.round(pictures[ids[0]] * 255))
    assert "maple & oak" in parsed.text
    assert f"record {ids[-1]}" in parsed.text  # no picture of it was given


@pytest.mark.parametrize(
    ("above", "words"),
    [
        (0, "above all 600 non-members"),
        (1, "1 of 600 non-members scores as high"),
        (12, "12 of 600 non-members score as high"),
    ],
)
def test_standing(above, words):
    assert standing(above, 600) == words


@pytest.mark.parametrize(
    "image", [np.zeros((3, 4, 4)), np.full((4, 4), 1.1), np.full((4, 4), np.nan)]
)
def test_a_picture_that_is_none_is_refused(image):
    with pytest.raises(UserError, match="a picture must be"):
        png(image)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("block", ["held_out", "others"])
def test_a_failed_blind_check_stands_above_everything(tmp_path, scores, block):
    blind = blind_rows(*PLACES, off={("blind_label", "all", block)})
    page = page_of(tmp_path, plain_results([row()], blind=blind), scores)
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2")]
    assert headings[0] == "h2"
    words = page.text
    assert words.index("1 of 6 blind checks is off chance") < words.index("better than chance")
    assert ("where every check is at chance" in words) == (block == "others")
    assert ("Not to be believed while" in words) == (block == "held_out")


@pytest.mark.usefixtures("no_figures")
def test_redrawn_candidates_are_not_valid_and_the_page_says_so_first(tmp_path, scores):
    study = STUDY | {"candidates": {"redraw_candidates": True}}
    words = page_of(tmp_path, plain_results([row()], study=study), scores).text
    assert words.index("These results are not valid.") < words.index("better than chance")


@pytest.mark.usefixtures("no_figures")
def test_an_unresolved_cell_says_what_it_takes(tmp_path, scores):
    rates = {"0.01": rate(0.05, 0.04, 0.06), "0.001": rate(0.987, 0.9, 1.0, resolved=False)}
    page = page_of(tmp_path, plain_results([row(tpr_at_fpr=rates)]), scores)
    assert "needs 1,000 non-members" in page.text
    assert "5.0 %" in page.text
    assert "98.7" not in page.text
    assert sum("rowspan" in cell for cell in page.all("td")) == 1  # no row can fill the column


@pytest.mark.usefixtures("no_figures")
def test_rows_that_differ_in_what_they_resolve_each_speak_for_themselves(tmp_path, scores):
    rows = [
        row(0.7, tpr_at_fpr={"0.001": rate(0.123, 0.1, 0.2)}),
        row(0.6, name="norm", tpr_at_fpr={"0.001": rate(0.987, 0.9, 1.0, resolved=False)}),
    ]
    page = page_of(tmp_path, plain_results(rows), scores)
    assert page.text.index("12.3 %") < page.text.index("needs 1,000 non-members")
    assert not any("rowspan" in cell for cell in page.all("td"))
    assert "98.7" not in page.text


@pytest.mark.usefixtures("no_figures")
def test_what_users_write_is_text_and_never_markup(tmp_path, scores):
    evil = "<script>alert(1)</script>"
    study = STUDY | {"name": evil, "data": {"name": evil, "options": {"path": evil}}}
    page = page_of(tmp_path, plain_results([row(name=evil)], study=study), scores)
    assert not page.all("script")
    assert page.text.count(evil) >= 4


def test_a_name_cannot_close_the_script(tmp_path):
    evil = "</script><b>"
    scores = make_scores(clients=1, members=20, held_out=20, attacks={evil: ("server", 1.0, 0.0)})
    page = page_of(tmp_path, plain_results([row(name=evil, target=0)]), scores)
    assert len(page.all("script")) == 1
    assert "getElementById" not in page.text


@pytest.mark.usefixtures("no_figures")
def test_results_and_scores_are_enough(tmp_path, scores):
    bare = plain_results([row(1.0, (1.0, 1.0)), row(0.5, (0.5, 0.5), name="norm")], study={})
    page = page_of(tmp_path, bare, scores)
    assert "No blind check was run" in page.text
    assert "The study" not in page.text
    assert "No attack was run." in page_of(tmp_path, plain_results([]), scores).text


@pytest.mark.parametrize("constant", [True, False])
def test_one_target_at_either_end_is_drawn(tmp_path, constant):
    scores = make_scores(clients=1, members=20, held_out=20)
    member = scores["owner"] == 0
    scores["score"] = 1.0 if constant else np.where(member, 5.0, 1.0)
    results = make_results(scores, targets=(0,), blocks=("held_out",), utility=None)
    assert {each.auc for each in results.attacks} == {0.5 if constant else 1.0}
    files = write_report(tmp_path, results, scores)
    assert [f.name for f in files] == [
        "roc.pdf",
        "roc.svg",
        "scores.pdf",
        "scores.svg",
        "report.html",
    ]


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("before", [None, "the old page"])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, monkeypatch, scores, before):
    if before:
        (tmp_path / "report.html").write_text(before)

    def fail(*args):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(write, "page", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_report(tmp_path, plain_results([row()]), scores)
    left = {p.name: p.read_text() for p in tmp_path.iterdir()}
    assert left == ({"report.html": before} if before else {})


def printed(results, width=130):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal_table(results))
    return console.file.getvalue()


def test_the_terminal_shows_attacks_chance_blind_rows_and_verdict():
    rates = {"0.01": rate(0.05, 0.04, 0.06), "0.001": rate(0.987, 0.9, 1.0, resolved=False)}
    rows = [row(0.6123, (0.577, 0.647), tpr_at_fpr=rates), row(0.5, (0.48, 0.52), name="norm")]
    text = printed(plain_results(rows, blind=blind_rows(*PLACES)))
    lines = text.splitlines()
    assert lines[0] == (
        "all clients: 1,000 members, 1,000 pairs of a non-member and a client (held-out records)"
    )
    assert [" ".join(line.split()) for line in lines[2:6]] == [
        "attack AUC 95 % interval TPR@1 % TPR@0.1 %",
        "loss 0.612 [0.577, 0.647] 5.0 % needs 1,000 non-members",
        "norm 0.500 [0.480, 0.520] – –",
        "chance 0.500 1 % 0.1 %",
    ]
    assert "blind checks: 6 of 6 at chance (" in text
    assert "The server can tell client members slightly better than chance:" in text


def test_the_terminal_warns_before_it_shows_a_number():
    blind = blind_rows(*PLACES, off={("blind_input", "all", "others")})
    study = STUDY | {"candidates": {"redraw_candidates": True}}
    text = printed(plain_results([row()], blind=blind, study=study))
    assert text.index("NOT VALID") < text.index("1 of 6 blind checks") < text.index("attack ")
    assert text.count("OFF CHANCE") == 1
    assert printed(plain_results([])).strip() == "No attack was run."


def test_eighty_columns_hold_every_number_whole():
    rates = {"0.01": rate(0.05, 0.04, 0.06), "0.001": rate(0.3, 0.2, 0.4, resolved=False)}
    plain = row(0.6123, (0.577, 0.647), name="gradient_difference", tpr_at_fpr=rates)
    text = printed(plain_results([plain], blind=blind_rows(*PLACES)), width=80)
    assert "…" not in text
    assert "6 of 6 at chance" in text
