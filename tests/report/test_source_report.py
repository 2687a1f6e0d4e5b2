"""Which client holds it: the sentence, the heat map and where the section is left out."""

import json

import pytest
from made_up_study import plain_results, row
from made_up_users import source

from seepage.report.source import cells, finding, source_figures
from seepage.report.users_section import other_figures, source_section
from seepage.results import Source


def results_of(**over):
    return plain_results([row()], source=source(**over))


def test_the_sentence_stands_beside_guessing():
    big = results_of(n=1000, interval=(0.61, 0.67), chance=0.1)
    assert finding(big).sentence == (
        "The server names the right client for 64.0 % of 1,000 records [61.0, 67.0], guessing "
        "would give 10 %: attack source_loss, among 3 clients."
    )
    assert "guessing would give 33.3 %" in finding(results_of()).headline


@pytest.mark.parametrize(("low", "sure"), [(0.3333, False), (0.34, True)])
def test_an_interval_that_holds_chance_says_so(low, sure):
    found = finding(results_of(interval=(low, 0.7)))
    assert ("may be no better" not in found.detail) == sure


def test_the_adversary_is_that_of_the_attack():
    seen = plain_results([row(name="source_loss", adversary="participant")], source=source())
    assert finding(seen).headline.startswith("A participant names")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "guessing would give 33.3 %"),
        ({"largest": 0.3334}, "guessing would give 33.3 %"),
        ({"largest": 0.5}, "always naming the client with most records would give 50 %"),
        (
            {"largest": 0.5, "by_label": 0.9},
            "naming the client with most records of the same label would give 90 %",
        ),
    ],
)
def test_the_best_answer_without_a_model_stands_beside_it(more, said):
    found = finding(results_of(**more))
    assert found.headline.endswith(said)
    worse = "worse than without a model" in found.detail
    assert worse == (more.get("by_label") == 0.9)


def test_cells_are_shares_of_each_row():
    table = cells(Source.model_validate(source(confusion=[[3, 1, 0], [0, 0, 0], [0, 2, 2]])))
    assert table.to_dict("records") == [
        {"holder": 1, "said": 1, "share": 0.75, "number": 3, "text": "75 %"},
        {"holder": 1, "said": 3, "share": 0.25, "number": 1, "text": "25 %"},
        {"holder": 1, "said": 4, "share": 0.0, "number": 0, "text": "0 %"},
        {"holder": 4, "said": 1, "share": 0.0, "number": 0, "text": "0 %"},
        {"holder": 4, "said": 3, "share": 0.5, "number": 2, "text": "50 %"},
        {"holder": 4, "said": 4, "share": 0.5, "number": 2, "text": "50 %"},
    ]


def test_the_heat_map_holds_every_cell_and_its_numbers_only_where_they_fit():
    (figure,) = source_figures(results_of())
    spec = figure.spec()
    (data,) = spec["datasets"].values()
    assert [cell["share"] for cell in data if cell["holder"] == cell["said"]] == [0.7, 0.6, 0.62]
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rect", "text"]
    assert "ties" not in figure.caption
    many = list(range(13))
    eye = [[int(i == j) for j in many] for i in many]
    (wide,) = source_figures(results_of(clients=many, confusion=eye, n=20))
    assert [layer["mark"]["type"] for layer in wide.spec()["layer"]] == ["rect"]
    assert "7 ties name nobody and count as wrong." in wide.caption
    assert not json.dumps(wide.spec()).count("https:")


def test_there_is_no_section_where_nobody_asked():
    nobody = plain_results([row()])
    assert finding(nobody) is None
    assert source_figures(nobody) == []
    assert source_section(nobody, {}) is None


def test_its_figure_stands_in_its_own_section_alone():
    (figure,) = source_figures(results_of())
    drawn = {"source": (figure, "<svg/>"), "roc": (figure, "<svg/>")}
    assert source_section(results_of(), drawn)["figures"] == [drawn["source"]]
    assert other_figures(results_of(), drawn) == [drawn["roc"]]
