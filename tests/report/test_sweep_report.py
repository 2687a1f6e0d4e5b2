"""The report of a sweep: points, sentences, tables, figures, the page and the CSV files."""

import io
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_sweep import (
    ABOUT,
    ATTACKS,
    SEEDS,
    SERIES,
    ablation,
    eleven,
    point,
    rate,
    series_points,
    small,
    sweep,
    undefended_points,
)
from rich.console import Console
from test_report import Page

import seepage.report.sweep_front as sweep_front
from seepage.metrics import hypervolume, pareto_front
from seepage.report import fronts_frame, sweep_frame, sweep_table, write_sweep
from seepage.report.sweep_findings import (
    extremes,
    findings,
    halved,
    labels_alone,
    off_front,
    seeds,
    unhelpful,
)
from seepage.report.sweep_front import attacks_figure, front_figure
from seepage.report.sweep_names import flat, point_name, value_name, varying
from seepage.report.sweep_page import sweep_page
from seepage.report.sweep_points import (
    STRONGEST,
    Strength,
    attack_names,
    defended,
    mean,
    strengths,
    unbeaten,
    undefended,
    undefended_volume,
)
from seepage.report.sweep_strength import ablation_figure, strength_figure
from seepage.report.sweep_style import Errors, Marks
from seepage.report.sweep_volumes import smallest, volume_columns, volume_figure, volume_rows
from seepage.report.sweep_words import alarms, alike, headline, lucky
from seepage.results import SweepPoint

POINTS = 1 + sum(len(values) for _, values in SERIES.values())


@pytest.fixture(scope="module")
def results():
    return sweep()


@pytest.fixture(scope="module")
def few():
    return small()


@pytest.fixture(scope="module")
def skewed():
    return ablation()


@pytest.fixture(scope="module")
def written(tmp_path_factory, few):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, write_sweep(folder, few, ABOUT)


@pytest.fixture(scope="module")
def parsed(written):
    return Page((written[0] / "report.html").read_text(encoding="utf-8"))


def printed(results, width=130, **over):
    console = Console(width=width, file=io.StringIO(), force_terminal=False, **over)
    console.print(sweep_table(results))
    return console.file.getvalue()


def tables(figure):
    """Every table that a figure is drawn from."""
    return [pd.DataFrame(rows) for rows in figure.spec()["datasets"].values()]


def one(name, accuracy, leak, seeds=SEEDS, **over):
    """A series of one strength."""
    return series_points(name, None, [(None, accuracy, leak)], seeds, **over)


def against(*others, **over):
    """Undefended runs, and series of one strength as ``name, accuracy, leak``."""
    points = undefended_points(**over)
    for name, accuracy, leak in others:
        points += one(name, accuracy, leak, **over)
    return sweep(points, failures=[])


# --- points -------------------------------------------------------------------------------------


def test_a_mean_reaches_as_far_as_the_wider_of_deviation_and_intervals():
    near = mean([0.4, 0.5, 0.6], [(0.39, 0.41), (0.49, 0.51), (0.59, 0.61)])
    assert near.value == pytest.approx(0.5)
    assert near.deviation == pytest.approx(np.std([0.4, 0.5, 0.6], ddof=1))
    assert (near.low, near.high) == pytest.approx((0.4, 0.6))
    wide = mean([0.5, 0.5], [(0.3, 0.6), (0.4, 0.9)])
    assert (wide.low, wide.high) == pytest.approx((0.35, 0.75))
    single = mean([0.2], [(0.1, 0.4)])
    assert (single.low, single.high, single.deviation) == (0.1, 0.4, None)
    edge = mean([0.0, 0.02])
    assert edge.low == 0.0


def test_strengths_are_means_over_seeds_in_the_order_of_the_grid(results):
    points = strengths(results)
    assert len(points) == POINTS
    assert [each.series for each in points][:2] == ["none", "perturbation"]
    mixup = strengths(results, "mixup")
    assert [each.name for each in mixup] == ["α=1e-5", "α=0.1", "α=1", "α=10", "α=1e5"]
    runs = [run for run in results.points if run.series == "mixup" and run.strength == 2]
    best = [max(row.tpr.value for row in run.attacks) for run in runs]
    assert mixup[2].tpr().value == pytest.approx(np.mean(best))
    assert mixup[2].tpr().deviation == pytest.approx(np.std(best, ddof=1))
    errors = [1.0 - run.test_accuracy for run in runs]
    assert mixup[2].error.value == pytest.approx(np.mean(errors))
    assert defended(results) == list(SERIES)


def test_the_strongest_is_picked_in_every_run_by_itself():
    rows = [
        [rate("a", 0.5, 1.0, "server"), rate("b", 0.4, 1.0, "server", auc=0.99)],
        [rate("a", 0.1, 1.0, "server"), rate("b", 0.3, 1.0, "server", auc=0.99)],
        [rate("a", 0.6, 1.0, "server"), rate("b", 0.3, 1.0, "server", auc=0.99)],
    ]
    made = [point("x", {}, 0, i, 0.5, 0.1, attacks=row) for i, row in enumerate(rows)]
    (each,) = strengths(sweep(made, fronts=[]))
    assert each.tpr().value == pytest.approx((0.5 + 0.3 + 0.6) / 3)
    assert each.attacks("tpr") == "a, b"
    assert each.attacks("auc") == "b"
    assert each.auc().value == pytest.approx(0.99)
    assert each.tpr("a").value == pytest.approx(0.4)
    assert each.tpr("c") is None


def test_one_unresolved_seed_leaves_the_rate_unsaid():
    made = one("x", 0.5, 0.1)
    made[1] = one("x", 0.5, 0.1, resolved=False)[1]
    (each,) = strengths(sweep(made, fronts=[]))
    assert each.tpr() is None
    assert each.auc() is not None


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, unique=True))
def test_the_front_of_all_is_the_one_of_the_metrics(costs):
    points = []
    for place, (error, leak) in enumerate(costs):
        rows = [rate("a", leak / 8, 1.0, "server")]
        made = point("x", {}, place, 0, 0.5, 0.1, test_accuracy=1 - error / 8, attacks=rows)
        runs = (SweepPoint.model_validate(made),)
        points.append(Strength(series="x", name=str(place), settings={}, runs=runs))
    own = [(each.error.value, each.tpr().value) for each in unbeaten(points)]
    assert np.array_equal(own, pareto_front([(e / 8, t / 8) for e, t in costs]))


def test_the_undefended_hypervolume_is_that_of_one_point(results):
    runs = [run for run in results.points if run.series == "none"]
    for attack in ("fedmia_loss", STRONGEST):
        alone = [
            hypervolume(
                [
                    (
                        run.error,
                        max(r.tpr.value for r in run.attacks if attack in (r.name, STRONGEST)),
                    )
                ]
            )
            for run in runs
        ]
        found = undefended_volume(results, attack)
        assert found.value == pytest.approx(np.mean(alone))
        assert found.deviation == pytest.approx(np.std(alone, ddof=1))


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0.05, "0.05"),
        (1e-5, "1e-5"),
        (1e5, "1e5"),
        (2000, "2000"),
        (100000, "1e5"),
        (123456, "123456"),
        (1.5e7, "1.5e7"),
        (float("inf"), "∞"),
        (True, "yes"),
        (None, "none"),
        ("iid", "iid"),
    ],
)
def test_values_in_few_letters(value, name):
    assert value_name(value) == name


def test_names_of_points_are_the_last_part_of_the_keys_that_vary():
    settings = {"defense.name": "x", "defense.sigma": 0.05, "a.share": 1, "b.share": 2}
    assert point_name(settings, ["defense.sigma"]) == "σ=0.05"
    assert point_name(settings, ["a.share", "b.share"]) == "a.share=1, b.share=2"
    assert flat({"parts": [{"name": "m"}, {"name": "s", "share": 0.5}]}) == {
        "parts.0.name": "m",
        "parts.1.name": "s",
        "parts.1.share": 0.5,
    }


def test_only_what_varies_is_in_a_name(results):
    assert varying(results, "augmentation+sampling") == ["defense.parts.1.share"]
    assert [e.name for e in strengths(results, "augmentation+sampling")] == [
        "share=0.8",
        "share=0.3",
    ]
    assert undefended(results).name == "undefended"
    (alone,) = strengths(against(("clip", 0.4, 0.1)), "clip")
    assert alone.name == "clip"


# --- sentences ----------------------------------------------------------------------------------


def test_the_finding(results):
    assert headline(results) == (
        "Of 6 defenses, augmentation+sampling has the best trade-off against the strongest attack"
    )
    volumes = {f.series: f.hypervolume for f in results.fronts if f.attack == STRONGEST}
    assert max(volumes, key=volumes.get) == "augmentation+sampling"
    said = {finding.about: finding.words for finding in findings(results)}
    start = undefended(results).tpr()
    assert f"finds {100 * start.value:.1f} % ± {100 * start.deviation:.1f} of" in said["undefended"]
    assert f"augmentation+sampling’s: {max(volumes.values()):.3f} ±" in said["trade-off"]
    assert f"next is augmentation with {volumes['augmentation']:.3f}" in said["trade-off"]


def test_trade_offs_within_their_deviations_are_not_told_apart():
    tied = against(("a", 0.45, 0.05), ("bb", 0.4505, 0.0505), ("ccc", 0.3, 0.3))
    assert {front.series for front in alike(tied)} == {"a", "bb"}
    assert headline(tied) in [
        f"Against the strongest attack, {names} have the best trade-offs, and cannot be told apart"
        for names in ("a and bb", "bb and a")
    ]
    assert "cannot be told from" in {f.about: f.words for f in findings(tied)}["trade-off"]


def test_many_that_cannot_be_told_apart_are_counted():
    tied = against(*((name, 0.45, 0.05) for name in "abcd"))
    words = "Against the strongest attack, 4 of 4 defenses have the best trade-offs, and cannot be"
    assert headline(tied) == f"{words} told apart"


def test_a_series_that_adds_nothing_is_not_praised():
    worse = against(("a", 0.4, 0.6), ("b", 0.3, 0.7))
    assert headline(worse) == (
        "Against the strongest attack no defense has a better trade-off than none at all"
    )


def test_one_seed_is_said():
    single = against(("a", 0.41, 0.1), ("b", 0.3, 0.5), seeds=(0,))
    assert headline(single) == (
        "Of 2 defenses, a has the best trade-off against the strongest attack, as far as one seed "
        "can tell"
    )
    assert seeds(single).startswith("One seed: differences within the intervals are luck.")
    assert "answer in hand" in seeds(single)
    assert seeds(against(("a", 0.41, 0.1))).startswith("Means over 3 seeds,")
    uneven = sweep(undefended_points() + one("a", 0.4, 0.1, (0,)))
    assert seeds(uneven).startswith("Means over 1–3 seeds,")
    assert seeds(sweep([], fronts=[])) == ""


def test_half_the_leak_at_the_least_cost(results):
    start = undefended(results)
    enough = [
        each
        for each in strengths(results)
        if each.tpr().value <= start.tpr().value / 2 and each.tpr().high < start.tpr().low
    ]
    cheap = min(enough, key=lambda each: each.error.value)
    assert (cheap.series, cheap.name) == ("augmentation", "strength=1")
    gain = 100 * (start.error.value - cheap.error.value)
    assert halved(results).startswith("Half the leak is gone at the least cost with augmentation")
    assert halved(results).endswith(f", and test accuracy gains {gain:.1f} points.")


def test_the_cost_of_half_the_leak():
    cost = 100 * np.mean([r.test_accuracy for r in against().points])
    some = against(("a", 0.40, 0.2), ("b", 0.30, 0.1))
    less = [run.test_accuracy for run in some.points if run.series == "a"]
    assert f"for {cost - 100 * np.mean(less):.1f} points of test accuracy." in halved(some)
    assert " with a: " in halved(some)
    none = against(("a", 0.40, 0.35))
    assert halved(none) == "No strength of any defense halves what the strongest attack finds."


def test_a_rate_that_is_half_by_luck_does_not_count():
    made = undefended_points(seeds=(0,)) + one("a", 0.4, 0.2, seeds=(0,))
    for row in made[1]["attacks"]:
        row["tpr"]["interval"] = (0.0, 0.9)
    assert halved(sweep(made)).startswith("No strength")
    assert unhelpful(sweep(made)).startswith("No strength of a can be told to leak less than")


def test_what_does_not_help(results):
    assert unhelpful(results) == (
        "No strength of sparsification can be told to leak less than the undefended training: "
        "their intervals or deviations overlap."
    )
    assert off_front(results) == (
        "No strength of perturbation, sparsification or mixup is on the front of all: other points "
        "have no more test error and leak no more."
    )
    assert unhelpful(against(("a", 0.4, 0.1))) == ""
    assert off_front(against(("a", 0.4, 0.1))) == ""


def test_an_ablation_says_how_the_leak_goes(skewed):
    assert re.fullmatch(
        r"From β=0.1 to β=∞ the members found fall from 98.0 % to 65.6 %, at 0.1 % false alarms",
        headline(skewed),
    )
    up = sweep(
        [p for s, leak in enumerate((0.1, 0.5)) for p in series_at("k", "k.k", s, leak)], fronts=[]
    )
    assert headline(up).startswith("From k=0 to k=1 the members found rise from")
    same = sweep(
        [p for s, leak in enumerate((0.1, 0.1)) for p in series_at("k", "k.k", s, leak)], fronts=[]
    )
    assert headline(same).startswith("From k=0 to k=1 the members found cannot be told to change")
    assert extremes(skewed).startswith("Most members are found at β=0.1: 98.0 %")
    assert "fewest at β=∞: 65.6 %" in extremes(skewed)


def series_at(name, key, strength, leak):
    return [point(name, {key: strength}, strength, seed, 0.4, leak) for seed in SEEDS]


def test_labels_that_go_as_far_as_the_attack_are_told(skewed):
    words = labels_alone(skewed)
    assert words.startswith("Labels alone explain most of the leak at β=0.1: ")
    best = strengths(skewed)[0]
    assert f"AUC 0.97, the best attack {best.auc().value:.2f}; within one label" in words
    assert f"has {best.within_auc().value:.2f}." in words


@pytest.mark.parametrize(("label", "told"), [(0.739, False), (0.741, True)])
def test_labels_explain_most_from_eight_tenths_on(label, told):
    made = [
        point(
            "x", {}, 0, s, 0.4, 0.1, attacks=[rate("a", 0.1, 1, "server", auc=0.8)], label_auc=label
        )
        for s in SEEDS
    ]
    assert bool(labels_alone(sweep(made, fronts=[]))) is told


def test_where_nothing_leaks_labels_explain_nothing():
    made = [
        point(
            "x", {}, 0, s, 0.4, 0.1, attacks=[rate("a", 0.1, 1, "server", auc=0.505)], label_auc=0.6
        )
        for s in SEEDS
    ]
    assert labels_alone(sweep(made, fronts=[])) == ""


def test_unresolved_rates_are_told_and_not_used():
    unsure = sweep(
        undefended_points(resolved=False) + one("a", 0.4, 0.1, resolved=False), fronts=[]
    )
    assert headline(unsure) == "6 runs on cifar100"
    assert "too few records to say what is found at 0.1 % false alarms" in findings(unsure)[0].words
    assert (halved(unsure), unhelpful(unsure), off_front(unsure)) == ("", "", "")
    assert (front_figure(unsure), attacks_figure(unsure)) == (None, None)
    assert "needs 1,000 non-members" in printed(unsure)
    assert "unresolved" in printed(unsure, width=80)
    assert len(strength_figure(unsure).chart.concat[0].vconcat) == 2


# --- terminal -----------------------------------------------------------------------------------


def test_the_terminal_has_a_line_a_strength(results):
    lines = [" ".join(line.split()) for line in printed(results).splitlines()]
    assert lines[0] == "point test accuracy best TPR@0.1 % by best AUC by seeds"
    found = strengths(results, "perturbation")[2]
    line = (
        f"σ=0.05 {100 * found.accuracy.value:.1f} % ± {100 * found.accuracy.deviation:.1f} "
        f"{100 * found.tpr().value:.1f} % ± {100 * found.tpr().deviation:.1f} fedmia_cosine "
        f"{found.auc().value:.3f} ± {found.auc().deviation:.3f} fedmia_cosine 3"
    )
    assert line in lines
    assert lines.index("perturbation") < lines.index(line) < lines.index("sparsification")
    assert "instahide k=4 could not be run: batch of 3 is too small." in lines
    assert f"{headline(results)}." in " ".join(lines)


def test_hypervolumes_by_attack_and_series(results):
    lines = [line.split() for line in printed(results).splitlines()]
    volumes = {(f.attack, f.series): f for f in results.fronts}
    row = next(line for line in lines if line[:1] == ["grad_diff"])
    for name in SERIES:
        front = volumes["grad_diff", name]
        assert f"{front.hypervolume:.3f} ± {front.deviation:.3f}" in " ".join(row)
    assert [line[0] for line in lines if line[:1] and line[0] in ATTACKS] == attack_names(results)
    assert smallest(results, "mixup") == "fedmia_cosine"


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("make", [sweep, eleven, ablation])
def test_every_number_stands_whole_in_narrow_terminals(make, width):
    made = make()
    text = printed(made, width=width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for each in strengths(made):
        assert f"{100 * each.accuracy.value:.1f} % ± {100 * each.accuracy.deviation:.1f}" in text
    for front in made.fronts:
        assert f"{front.hypervolume:.3f}" in text


@pytest.mark.parametrize("width", [80, 120, 140, 200])
def test_columns_leave_where_there_is_no_room(width):
    points = undefended_points((0,)) + one("clip", 0.4, 0.1, (0,), claimed_epsilon=6014900.0)
    for each in points:
        each["attacks"][0]["name"] = "fedmia_cosine_adaptive_to_a_defense"
        each["label_auc"] = 0.7
    text = printed(sweep(points), width=width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert text.count("0.700") == 2
    assert ("6,014,900" in text, text.count(" by ")) == {
        80: (False, 0),
        120: (False, 0),
        140: (True, 1),
        200: (True, 2),
    }[width]


def test_labels_that_tell_nothing_take_no_column():
    made = against(("a", 0.4, 0.1), label_auc=0.51)
    assert "labels" not in printed(made).splitlines()[0]
    assert "labels alone" in printed(against(("a", 0.4, 0.1), label_auc=0.6)).splitlines()[0]


def test_failures_and_blind_checks_are_red():
    broken = undefended_points() + one("a", 0.4, 0.1, blind_ok=False)
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system="standard")
    made = sweep(broken)
    console.print(sweep_table(made))
    lines = console.file.getvalue().splitlines()
    assert alarms(made) == [
        "Blind checks are off chance for a: the numbers of this point are not to be believed."
    ]
    assert any("ERROR: Blind" in line and "\x1b[1;31m" in line for line in lines)
    assert any("instahide" in line and "\x1b[31m" in line for line in lines)
    assert any(re.search(r"\x1b\[1;31ma +", line) for line in lines)


def test_as_many_blind_checks_off_chance_as_luck_gives_are_no_alarm():
    def blind(*off):
        """Four defenses, three seeds: runs off chance by defense and seed, or by seed alone."""
        made = undefended_points()
        for name in "abcd":
            made += one(name, 0.4, 0.1)
        rows = [p | {"blind_ok": not {(p["series"], p["seed"]), p["seed"]} & {*off}} for p in made]
        return sweep(rows, failures=[])

    few = blind(("a", 0), ("b", 2))
    assert alarms(few) == []
    assert lucky(few).startswith("2 of 15 runs have blind checks off chance")
    assert lucky(few) in " ".join(printed(few).split())
    for many in (blind(("a", 0), ("a", 1), ("a", 2)), blind(1)):  # all of a point; 5 of 15
        assert len(alarms(many)) == 1
        assert lucky(many) == ""
    assert lucky(blind()) == ""


def test_settings_that_are_no_defenses_are_one_course():
    made = ablation()
    first = [p.model_dump() | {"series": "iid", "settings": {}} for p in made.points][-3:]
    rest = [p.model_dump() for p in made.points][:-3]
    grid = {"iid": {}, "beta": {"data.beta": [0.1, 1, 10]}}
    parts = sweep(first + rest, grid=grid, failures=[], fronts=[], seeds=made.seeds)
    assert headline(parts).startswith("From iid to β=10 the members found")
    assert ablation_figure(parts) is not None
    assert front_figure(parts) is None
    assert off_front(parts) == ""


def test_luck_on_the_front_is_no_improvement():
    made = against(("useless", 0.4205, 0.59), seeds=(0,))
    words = "no defense can be told to leak less"
    assert words in headline(made) or "no defense has a better trade-off" in headline(made)
    assert "improves" in headline(against(("useful", 0.40, 0.01), seeds=(0,)))


def test_a_sweep_of_failures_alone(tmp_path):
    nothing = sweep([], grid={})
    assert "instahide k=4 could not be run" in printed(nothing)
    files = write_sweep(tmp_path, nothing)
    assert [f.name for f in files] == ["fronts.csv", "sweep.csv", "report.html"]
    assert sweep_frame(nothing)["failure"].tolist() == ["batch of 3 is too small."]
    assert list(fronts_frame(nothing)) == ["series", "attack", "hypervolume", "deviation", "points"]


# --- files --------------------------------------------------------------------------------------


def test_the_files(written):
    folder, files = written
    figures = [
        f"figures/{name}.{kind}"
        for name in ("front", "front_by_attack", "hypervolume", "strength")
        for kind in ("pdf", "svg")
    ]
    assert files == [folder / f for f in ["fronts.csv", "sweep.csv", *figures, "report.html"]]
    assert (folder / "figures/front.pdf").read_bytes()[:5] == b"%PDF-"


def test_the_csv_holds_every_run(written, few):
    table = pd.read_csv(written[0] / "sweep.csv")
    assert len(table) == len(few.points) + 1
    for run, (_, row) in zip(few.points, table.iterrows(), strict=False):
        assert (row["series"], row["seed"], row["strength"]) == (run.series, run.seed, run.strength)
        assert json.loads(row["settings"]) == run.settings
        assert row["test_error"] == pytest.approx(1 - run.test_accuracy)
        for found in run.attacks:
            assert row[f"{found.name}_tpr"] == pytest.approx(found.tpr.value)
            assert row[f"{found.name}_auc_low"] == pytest.approx(found.auc_interval[0])
    mixup = table[table["series"] == "mixup"]
    assert mixup["defense.alpha"].tolist() == [a for a in (1e-5, 0.1, 1, 10, 1e5) for _ in SEEDS]
    assert mixup["defense.drop"].isna().all()
    assert mixup["name"].iloc[0] == "α=1e-5"
    assert table.iloc[-1]["failure"] == "batch of 3 is too small."
    assert table["failure"].isna().sum() == len(few.points)


def test_labels_are_in_the_csv(skewed):
    table = sweep_frame(skewed)
    assert table["label_auc"].tolist()[:3] == [0.97] * 3
    run = skewed.points[0].attacks[0]
    assert table["fedmia_cosine_within_auc"].iloc[0] == pytest.approx(run.within_auc)
    assert table["fedmia_cosine_matched_tpr"].iloc[0] == pytest.approx(run.matched_tpr)


def test_the_fronts_csv(written, few):
    table = pd.read_csv(written[0] / "fronts.csv")
    assert len(table) == len(few.fronts)
    for front, (_, row) in zip(few.fronts, table.iterrows(), strict=True):
        assert (row["series"], row["attack"]) == (front.series, front.attack)
        assert row["hypervolume"] == pytest.approx(front.hypervolume)
        found = [(p["error"], p["tpr"]) for p in json.loads(row["points"])]
        assert found == [(p.error, p.tpr) for p in front.points]


# --- page ---------------------------------------------------------------------------------------


def test_the_page_loads_nothing(parsed):
    for _, attrs in parsed.tags:
        for key in ("src", "href", "srcset"):
            assert (attrs.get(key) or "data:").startswith("data:")
    (policy,) = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert len(parsed.all("figure")) == 4
    assert all(head.get("scope") in ("row", "col", "rowgroup") for head in parsed.all("th"))


def test_the_page_has_every_number(parsed, few):
    for each in strengths(few):
        words = f"{100 * each.accuracy.value:.1f} % ± {100 * each.accuracy.deviation:.1f}"
        assert words in parsed.text
    for front in few.fronts:
        assert f"{front.hypervolume:.3f} ± {front.deviation:.3f}" in parsed.text
    for words in (headline(few), halved(few), unhelpful(few), off_front(few)):
        assert words in parsed.text
    assert "a choice with the answer in hand, which no adversary could have made" in parsed.text
    assert "Trains on mixtures of two records" in parsed.text
    assert "defense.alpha : 1e-5, 0.1, 1, 10, 1e5" in parsed.text
    assert "instahide k=4 could not be run batch of 3 is too small." in parsed.text


def test_the_front_is_tagged(parsed, few):
    costs = [(each.error.value, each.tpr().value) for each in strengths(few)]
    tags = [attrs for attrs in parsed.all("small") if attrs.get("class") == "tag"]
    assert len(tags) == len(pareto_front(costs)) == len(unbeaten(strengths(few)))


def test_the_strongest_attack_of_each_column_is_marked(parsed, few):
    marked = [attrs for attrs in parsed.all("b") if attrs.get("class") == "least"]
    assert len(marked) == len(volume_columns(few))
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(sweep_table(few))
    bold = [line for line in console.file.getvalue().splitlines() if "\x1b[1m0." in line]
    assert [line.split()[0] for line in bold] == ["fedmia_cosine"]
    assert len(re.findall(r"\x1b\[1m *0\.", bold[0])) == len(volume_columns(few))


def test_labels_stand_beside_the_attacks(skewed):
    page = Page(sweep_page(skewed, {}, {}))
    best = strengths(skewed)[0]
    words = f"0.970 ± 0.000 best within labels {best.within_auc().value:.3f}"
    assert words in page.text
    assert "Labels alone explain most of the leak at β=0.1" in page.text
    assert "Hypervolume" not in page.text


def test_claims_and_blind_checks_are_on_the_page():
    made = undefended_points() + one("a", 0.4, 0.1, claimed_epsilon=8.0, blind_ok=False)
    page = Page(sweep_page(sweep(made), {}, {}))
    assert any(attrs.get("role") == "alert" for _, attrs in page.tags)
    assert "Blind checks are off chance for a:" in page.text
    assert "a front blind check off chance" in page.text
    assert "8.00" in page.text
    assert "claimed ε" in page.text
    assert "claimed ε" in printed(sweep(made))
    assert "claimed ε" not in Page(sweep_page(against(), {}, {})).text


def test_what_users_write_is_text_and_never_markup():
    evil = "<script>alert(1)</script>"
    made = undefended_points() + one(evil, 0.4, 0.1)
    results = sweep(made, name=evil, recipe=evil, grid={evil: {evil: [evil]}})
    page = Page(sweep_page(results, {}, {evil: (evil, evil)}))
    assert not page.all("script")
    assert page.text.count(evil) >= 8


# --- figures ------------------------------------------------------------------------------------


def test_the_front_draws_every_point_with_its_reach(results):
    (table,) = [t for t in tables(front_figure(results)) if len(t) == POINTS]
    for each, (_, row) in zip(strengths(results), table.iterrows(), strict=True):
        found = each.tpr()
        assert (row["rate"], row["low"], row["high"]) == (found.value, found.low, found.high)
        assert (row["less"], row["more"]) == (each.error.low, each.error.high)
    pale = table[~table["kept"]]
    corners = {
        (f.series, json.dumps(p.settings))
        for f in results.fronts
        if f.attack == STRONGEST
        for p in f.points
    }
    kept = sum((e.series, json.dumps(e.settings)) in corners for e in strengths(results))
    assert len(pale) == POINTS - kept - 1  # the undefended point is never pale
    assert table["series"].iloc[0] == "undefended"


def test_the_steps_are_the_fronts_of_the_results(results):
    drawn = [t for t in tables(front_figure(results)) if {"order", "series"} <= set(t)]
    steps = pd.concat([t for t in drawn if set(t["series"]) != {"all"}])
    for front in results.fronts:
        if front.attack == STRONGEST and len(front.points) > 1:
            own = steps[steps["series"] == front.series].sort_values("order")
            assert own["error"].tolist() == [p.error for p in front.points]
            assert own["rate"].tolist() == [p.tpr for p in front.points]
    (band,) = [t for t in drawn if set(t["series"]) == {"all"}]
    assert len(band) == len(unbeaten(strengths(results)))


def test_a_beaten_point_with_the_settings_of_the_undefended_one_is_pale():
    made = against(("a", 0.3, 0.7))
    (front,) = [f for f in made.fronts if (f.series, f.attack) == ("a", STRONGEST)]
    assert [corner.settings for corner in front.points] == [{}]
    (table,) = [t for t in tables(front_figure(made)) if "kept" in t]
    assert table.set_index("series")["kept"].to_dict() == {"undefended": True, "a": False}


def test_a_point_that_lacks_a_seed_is_not_on_the_front_of_all():
    made = sweep(undefended_points() + one("a", 0.5, 0.01, (0,)) + one("b", 0.45, 0.2))
    assert "No strength of a is on the front of all" in off_front(made)
    assert " with b: " in halved(made)


def test_fronts_of_unresolved_rates_are_not_shown():
    unsure = sweep(undefended_points(resolved=False) + one("a", 0.4, 0.1, resolved=False))
    assert unsure.fronts
    assert "hypervolume" not in printed(unsure)
    assert headline(unsure) == "6 runs on cifar100"
    assert volume_figure(unsure) is None


def test_names_stand_at_the_front_of_all_and_at_few_points_everywhere(results):
    def names(figure):
        (table,) = [t for t in tables(figure) if "align" in t]
        return table["name"].tolist()

    best = [each.name for each in strengths(results) if each in unbeaten(strengths(results))]
    assert names(front_figure(results)) == ["undefended", *best]
    short = sweep(undefended_points() + series_points("mixup", *SERIES["mixup"]))
    assert names(front_figure(short)) == [each.name for each in strengths(short)]


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_axis_of_errors_holds_them_all_in_order(a, b):
    errors = Errors.of([mean([a]), mean([b])])
    low, high = sorted((a, b))
    assert 0.0 <= errors.place(low) <= errors.place(high) <= 1.0
    assert errors.axis("error", None).to_dict()["scale"]["domain"] == [errors.low, errors.high]


def test_a_useless_model_does_not_press_the_others_into_a_corner():
    wide = Errors.of([mean([x]) for x in (0.05, 0.06, 0.9)])
    assert wide.logarithmic
    assert wide.place(0.2) - wide.place(0.1) == pytest.approx(wide.place(0.8) - wide.place(0.4))
    assert not Errors.of([mean([x]) for x in (0.56, 0.72)]).logarithmic


def test_panels_by_attack_have_widths_of_their_own(few, monkeypatch):
    monkeypatch.setattr(sweep_front, "PANELS", 2)
    figure = attacks_figure(few)
    spec = figure.spec()
    assert "width" not in spec
    assert [panel["title"]["text"] for panel in spec["concat"]] == attack_names(few)[:2]
    assert "1 weaker attack is left to the tables." in figure.caption
    assert front_figure(few).spec()["width"] == "container"


def test_eleven_series_differ_in_color_and_shape():
    marks = Marks(defended(eleven()), "undefended")
    pairs = list(zip(marks.colors, marks.shapes, strict=True))
    assert len(pairs) == 12 == len(set(pairs))
    lines = list(zip(marks.colors, map(str, marks.dashes), strict=True))
    assert len(set(lines)) == 12
    for a, b in itertools.pairwise(pairs):
        assert a[0] != b[0]
        assert a[1] != b[1]


def test_along_the_strengths_of_each_series(few):
    spec = strength_figure(few).spec()
    assert [panel["title"]["text"] for panel in spec["concat"]] == defended(few)
    drawn = [pd.DataFrame(rows) for rows in spec["datasets"].values()]
    found = [t for t in drawn if "tick" in t and set(t["series"]) == {"sampling"}]
    assert [t["tick"].tolist() for t in found] == [["0.8", "0.5", "0.1"]] * 3
    rates = [each.tpr().value for each in strengths(few, "sampling")]
    assert rates in [t["value"].tolist() for t in found]
    level = undefended(few).error.value
    assert any(t["value"].tolist() == [level] for t in drawn if set(t) == {"value"})


def test_an_ablation_draws_attacks_labels_and_error(skewed):
    assert front_figure(skewed) is attacks_figure(skewed) is strength_figure(skewed) is None
    assert volume_figure(skewed) is None
    figure = ablation_figure(skewed)
    lines = {}
    for table in tables(figure):
        for name, own in table.groupby("series"):
            lines.setdefault(name, []).append(own["value"].tolist())
    assert lines["labels alone"][0] == pytest.approx([0.97, 0.8, 0.55, 0.5])
    within = [each.within_auc().value for each in strengths(skewed)]
    assert within in lines["within labels"]
    rates = [each.tpr("fedmia_loss").value for each in strengths(skewed)]
    assert rates in lines["fedmia_loss"]
    assert [each.error.value for each in strengths(skewed)] in lines["test error"]
    area = next(panel for panel in figure.spec()["concat"] if "AUC" in str(panel["layer"][-1]))
    low, high = area["layer"][-1]["encoding"]["y"]["scale"]["domain"]
    assert all(low <= value <= high for value in [*within, *lines["labels alone"][0]])
    assert "4 weaker attacks are left to the table." in figure.caption
    assert len(figure.chart.concat) == 3


def test_a_trade_off_has_no_figure_of_an_ablation(results):
    assert ablation_figure(results) is None
    assert ablation_figure(sweep(one("x", 0.4, 0.1), fronts=[])) is None


def test_the_hypervolumes_drawn_are_those_of_the_results(results):
    assert volume_rows(results) == [*attack_names(results), STRONGEST]
    assert volume_columns(results) == ["undefended", *SERIES]
    (table,) = tables(volume_figure(results))
    assert len(table) == len(volume_rows(results)) * len(volume_columns(results))
    table = table.set_index(["attack", "series"])
    for front in results.fronts:
        name = "best in hand" if front.attack == STRONGEST else front.attack
        row = table.loc[name, front.series]
        assert row["volume"] == front.hypervolume
        assert row["high"] - row["low"] == pytest.approx(2 * front.deviation)


def test_a_strength_is_a_plain_value():
    each = Strength(series="x", name="x", settings={}, runs=())
    assert each.attacks("tpr") == ""
    assert each.tpr() is None
