"""Sweeps: grids, points checked up front, runs side by side, fronts in closed form."""

import json
from dataclasses import replace
from importlib import import_module
from statistics import mean, stdev

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepage.attacks import ATTACKS
from seepage.audit import (
    RECIPES,
    jobs_of,
    parse_grid,
    redraw_report,
    resolve,
    resolve_sweep,
    run_sweep,
    sweep_digest,
)
from seepage.audit.folder import read_results
from seepage.audit.recipes import parse_value, read_recipe
from seepage.audit.sweep import flat_grid
from seepage.audit.sweep_fronts import sweep_fronts
from seepage.audit.sweep_points import reading_of
from seepage.records import UserError
from seepage.results import Rate, SweepPoint, SweepRate, SweepResults
from seepage.training import cores, cpu_threads

TINY = {
    "data.clients": 3,
    "data.per_client": 20,
    "data.held_out": 40,
    "model.options": {"hidden": [8]},
    "federation.rounds": 2,
    "observe.rounds": [1, 2],
    "attacks.names": ["loss_series", "avg_cosine"],
}
NOISE = {"defense.name": "perturbation", "defense.options.clip": 1.0}
SWEEPS = [name for name in RECIPES if "sweep" in read_recipe(name)]


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Pages are another test's; what was asked to be drawn is kept here."""
    asked = []

    def draw(out, results, about):
        assert set(about) == set(results.grid)
        asked.append(results)
        return []

    monkeypatch.setattr(import_module("seepage.audit.sweep_run"), "write_sweep", draw)
    return asked


def small(grid=None, seeds=1, **overrides):
    return resolve_sweep(
        recipe="digits",
        grid=grid or {"defense.sigma": [0.0, 0.1]},
        seeds=seeds,
        overrides=TINY | (NOISE if grid is None else {}) | overrides,
    )


# --- grids


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("defense.options.sigma=0.01,0.05", "defense.options.sigma", [0.01, 0.05]),
        ("data.partition=iid,dirichlet", "data.partition", ["iid", "dirichlet"]),
        ("observe.rounds=[1],[1, 2]", "observe.rounds", [[1], [1, 2]]),
        ("a.b='x,y',\"z\"", "a.b", ["x,y", "z"]),
        ("a.b={c = [1, 2]},true", "a.b", [{"c": [1, 2]}, True]),
        ("a.b = 1e-5 , 3", "a.b", [1e-5, 3]),
    ],
)
def test_a_grid_is_values_between_commas(text, key, values):
    assert parse_grid(text) == (key, values)


@pytest.mark.parametrize("text", ["a.b", "=1,2", "a.b=", "a.b=1,,2", "a.b=1,"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(UserError, match=r"expected section\.key=V1,V2"):
        parse_grid(text)


plain = st.one_of(
    st.integers(-99, 99), st.booleans(), st.floats(0.125, 8, width=16), st.text("ab,]'", min_size=1)
)


@given(st.lists(st.one_of(plain, st.lists(plain, max_size=3)), min_size=1, max_size=4))
def test_values_written_as_json_come_back(values):
    text = ",".join(json.dumps(value) for value in values)
    assert parse_grid(f"k={text}") == ("k", values)
    assert all(parse_value(json.dumps(value)) == value for value in values)


def test_a_key_of_the_defense_is_an_option_unless_it_is_the_defense_itself():
    grid = {"defense": {"sigma": [1], "name": ["a"], "options.x": [2], "sampling": {"share": [3]}}}
    assert flat_grid(grid) == {
        "defense.options.sigma": [1],
        "defense.name": ["a"],
        "defense.options.x": [2],
        "defense.options.sampling.share": [3],
    }
    for wrong in ({"a": []}, {"a": 1}, {"a": "12"}, {"a": [1, 1]}):
        with pytest.raises(UserError, match="grid of a"):
            flat_grid(wrong)


def test_several_grids_are_a_product_and_seeds_stand_side_by_side():
    sweep = small({"defense.sigma": [0.0, 0.1], "federation.rounds": [2, 3, 4]}, 2, **NOISE)
    assert len(sweep.points) == 2 * 3 * 2
    assert [point.strength for point in sweep.points] == [n // 2 for n in range(12)]
    assert [point.study.seed for point in sweep.points] == [0, 1] * 6
    assert sweep.points[2].settings == {"defense.options.sigma": 0.0, "federation.rounds": 3}
    assert sweep.points[2].study.federation.rounds == 3
    assert sweep.points[2].study.defense.options == {"clip": 1.0, "sigma": 0.0}
    assert len({point.label for point in sweep.points}) == 12
    assert sweep.grid == {"digits": {"defense.options.sigma": [0.0, 0.1],
                                     "federation.rounds": [2, 3, 4]}}  # fmt: skip
    assert sweep.seeds == [0, 1]
    assert small(None, 2, seed=5).seeds == [5, 6]


def test_a_grid_of_one_defense_is_called_by_it():
    assert set(small().grid) == {"perturbation"}
    assert set(small({"data.beta": [1.0]}).grid) == {"digits"}


def test_a_sweep_of_a_file_lays_it_over_the_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\n[federation]\nrounds = 7\n")
    alone = resolve_sweep(path, grid={"data.clients": [4, 5]})
    assert (alone.name, alone.recipe) == ("mine", None)
    assert [p.study.data.clients for p in alone.points] == [4, 5]
    both = resolve_sweep(path, recipe="overfit", grid={"data.clients": [4]}).points[0].study
    assert (both.seed, both.federation.rounds, both.federation.local_epochs) == (3, 7, 20)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "a sweep needs"),
        ({"recipe": "digits"}, "no series to sweep"),
        ({"recipe": "fedmai"}, r"did you mean fedmia"),
        ({"recipe": "digits", "grid": {"data.bta": [1.0]}}, r"did you mean data.beta\?"),
        ({"recipe": "digits", "grid": {"defense.name": ["none", "mixop"]}}, r"did you mean mixup"),
        ({"recipe": "fedmia", "dataset": "location30", "grid": {"seed": [1]}}, "no data set of"),
        ({"path": "x.toml", "dataset": "digits"}, "--dataset names a data set of a recipe"),
        (
            {"recipe": "digits", "overrides": NOISE, "grid": {"defense.sigma": [0.1, -1.0]}},
            "sigma",
        ),
        (
            {"recipe": "digits", "overrides": NOISE, "grid": {"defense.sigmo": [0.1]}},
            r"did you mean sigma\?",
        ),
        ({"recipe": "digits", "grid": {"defense.name": ["none", "selena"]}}, "in a federation"),
        ({"recipe": "digits", "grid": {"federation.rounds": [5, 0]}}, r"federation.rounds = 0"),
    ],
)
def test_a_wrong_point_is_refused_before_any_work(asked, message):
    with pytest.raises(UserError, match=message):
        resolve_sweep(asked.pop("path", None), **asked)


def test_the_data_set_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.delenv("SEEPAGE_DATA", raising=False)
    grid = {"federation.rounds": [3]}
    for name in ("digits", "mnist", "cifar10"):
        sweep = resolve_sweep(recipe="fedmia", dataset=name, grid=grid, data_root=tmp_path)
        assert (sweep.dataset, sweep.points[0].study.data.name) == (name, name)


# --- runs


def bare(results):
    """All that must not change from run to run."""
    return [
        results.model_copy(update={"seconds": 0.0}).model_dump(exclude={"points"}),
        [point.model_dump(exclude={"seconds"}) for point in results.points],
    ]


def test_any_number_of_jobs_gives_the_same_numbers(tmp_path, drawn):
    """One of the points asks for more records than there are: 1,797 digits."""
    told = []
    grid = {"data.held_out": [40, 4000, 50]}
    one = run_sweep(small(grid), out=tmp_path / "1", progress=lambda *at: told.append(at))
    two = run_sweep(small(grid), out=tmp_path / "2", jobs=2)
    assert bare(one) == bare(two)
    assert told == [("points", done, 3) for done in range(4)]
    assert drawn == [one, two]
    assert [point.settings["data.held_out"] for point in two.points] == [40, 50]
    assert [(f.defense, f.label) for f in two.failures] == [
        ("digits", "digits-held_out=4000-seed=0")
    ]
    assert "4000" in two.failures[0].reason
    read = (tmp_path / "2" / "results.json").read_bytes()
    assert SweepResults.model_validate_json(read) == two
    assert redraw_report(tmp_path / "2") == []
    assert drawn[2] == two


def test_a_point_says_what_its_own_results_say(tmp_path):
    results = run_sweep(small(), out=tmp_path)
    assert (results.target, results.block, results.at) == ("all", "held_out", "0.1")
    for point in results.points:
        own = read_results(tmp_path / point.folder)
        assert own.fingerprint == point.fingerprint
        assert own.utility.test_accuracy == point.test_accuracy == pytest.approx(1 - point.error)
        rows = {r.name: r for r in own.attacks if (r.target, r.block) == ("all", "held_out")}
        assert {rate.name for rate in point.attacks} == set(rows)
        for rate in point.attacks:
            assert rate.tpr == rows[rate.name].tpr_at_fpr["0.1"]
            assert rate.auc == rows[rate.name].auc
        assert not (tmp_path / point.folder / "report.html").exists()  # drawn when asked for
    assert len({point.fingerprint for point in results.points}) == 2


def test_a_killed_sweep_runs_only_the_rest(tmp_path, monkeypatch):
    stage = import_module("seepage.audit.sweep_run")
    whole = run_sweep(small(seeds=2), out=tmp_path / "whole")
    work, trained = stage.run_prepared, []

    def killed(prepared, **places):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(prepared.fingerprint)
        return work(prepared, **places)

    monkeypatch.setattr(stage, "run_prepared", killed)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(small(seeds=2), out=tmp_path / "parts")
    assert not (tmp_path / "parts" / "results.json").exists()

    module = import_module("seepage.audit.run")
    train, again = module.train, []
    monkeypatch.setattr(stage, "run_prepared", work)
    monkeypatch.setattr(
        module, "train", lambda p, *rest: again.append(p.fingerprint) or train(p, *rest)
    )
    parts = run_sweep(small(seeds=2), out=tmp_path / "parts")
    assert len(again) == 3
    assert trained[0] not in again
    assert bare(parts) == bare(whole)


def test_a_point_computes_on_one_core_and_draws_nothing(tmp_path, monkeypatch):
    stage, found = import_module("seepage.audit.sweep_run"), []
    work = stage.run_prepared

    def seen(prepared, **how):
        found.append((cores(), torch.get_num_threads(), prepared.plan.workers, how["draw"]))
        return work(prepared, **how)

    monkeypatch.setattr(stage, "run_prepared", seen)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    with cpu_threads(2):
        run_sweep(small(), out=tmp_path)
        assert (cores(), torch.get_num_threads()) == (8, 2)
    assert found == [(1, 1, 1, False)] * 2


def test_a_folder_of_another_sweep_is_refused(tmp_path):
    run_sweep(small(), out=tmp_path)
    with pytest.raises(UserError, match="holds another sweep"):
        run_sweep(small(seeds=2), out=tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "suite.json").write_text("{}")
    with pytest.raises(UserError, match="holds another audit"):
        run_sweep(small(), out=tmp_path / "other")


def test_the_digest_changes_with_every_point():
    digests = [sweep_digest(s) for s in (small(), small(seeds=2), small(seed=1))]
    assert len(set(digests)) == 3
    assert sweep_digest(small()) == digests[0]


def test_a_sweep_without_one_point_is_no_result(tmp_path):
    with pytest.raises(UserError, match=r"no point of digits could be run.*4000"):
        run_sweep(small({"data.held_out": [4000]}), out=tmp_path)
    assert not (tmp_path / "results.json").exists()


def test_missing_data_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr("seepage.audit.sweep_run.is_found", lambda name, root: name != "mnist")

    def absent(*_):
        raise UserError("no files of mnist")

    monkeypatch.setattr("seepage.audit.sweep_run.load_data", absent)
    with pytest.raises(UserError, match="no files of mnist"):
        run_sweep(small({"data.name": ["digits", "mnist"]}), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_there_are_never_more_workers_than_points(monkeypatch):
    monkeypatch.setattr("seepage.audit.sweep_run.cores", lambda: 64)
    monkeypatch.setattr("seepage.audit.sweep_run.find_device", lambda name: "cpu")
    assert (jobs_of(small(), None), jobs_of(small(), 7), jobs_of(small(), 1)) == (2, 2, 1)
    monkeypatch.setattr("seepage.audit.sweep_run.find_device", lambda name: "cuda")
    assert jobs_of(small(), None) == 1


def test_points_are_read_at_the_finest_rate_that_all_resolve(tmp_path):
    run = run_sweep(small({"metrics.fpr": [[0.1], [0.05, 0.1]]}), out=tmp_path)
    assert run.at == "0.1"
    both = [read_results(tmp_path / point.folder) for point in run.points]
    assert reading_of(both[1:]).at == "0.05"
    fine = both[1].model_copy(
        update={
            "attacks": [
                row.model_copy(update={"tpr_at_fpr": {"0.0001": rate(0.2), "0.001": rate(0.3)}})
                for row in both[1].attacks
            ]
        }
    )
    assert reading_of([fine]).at == "0.001"  # the one that speaks, though a finer is resolved
    with pytest.raises(UserError, match="no false positive rate in common"):
        reading_of([fine, both[0]])


# --- fronts


def rate(value):
    return Rate(value=value, interval=(0, 1), joint_interval=(0, 1), resolved=True)


def made(series, strength, error, seed=0, **tprs):
    return SweepPoint(
        series=series,
        settings={} if series == "none" else {"k": strength},
        strength=strength,
        seed=seed,
        fingerprint="0" * 12,
        folder="points/x",
        train_accuracy=1.0,
        test_accuracy=1 - error,
        attacks=[
            SweepRate(name=name, adversary="server", auc=0.5, auc_interval=(0, 1), tpr=rate(tpr))
            for name, tpr in tprs.items()
        ],
        blind_ok=True,
        seconds=1.0,
    )


def front(points, series, attack):
    found = [f for f in sweep_fronts(points) if (f.series, f.attack) == (series, attack)]
    return found[0] if found else None


def test_the_published_hypervolume():
    """(0.65, 0), (0.62, 0.3), (0.60, 0.67) against (1, 1): 0.3776; the last alone: 0.132."""
    points = [
        made("none", 0, 0.60, a=0.67),
        made("noise", 0, 0.62, a=0.3),
        made("noise", 1, 0.65, a=0.0),
        made("noise", 2, 0.70, a=0.1),  # beaten
    ]
    noise = front(points, "noise", "a")
    assert noise.hypervolume == pytest.approx(0.3776, abs=1e-12)
    assert noise.deviation is None
    assert [(p.settings, p.error, p.tpr) for p in noise.points] == [
        ({}, pytest.approx(0.60), 0.67),
        ({"k": 0}, pytest.approx(0.62), 0.3),
        ({"k": 1}, pytest.approx(0.65), 0.0),
    ]
    assert front(points, "none", "a").hypervolume == pytest.approx(0.132, abs=1e-12)


def test_volumes_are_a_seeds_own_and_points_are_means():
    points = [
        made("noise", 0, 0.6, seed=0, a=0.2),
        made("noise", 0, 0.4, seed=1, a=0.4),
        made("noise", 1, 0.7, seed=0, a=0.1),
        made("noise", 1, 0.7, seed=1, a=0.3),
    ]
    by_hand = [0.4 * 0.8 + 0.3 * 0.1, 0.6 * 0.6 + 0.3 * 0.1]
    noise = front(points, "noise", "a")
    assert noise.hypervolume == pytest.approx(mean(by_hand), abs=1e-12)
    assert noise.deviation == pytest.approx(stdev(by_hand), abs=1e-12)
    assert [(p.error, p.tpr) for p in noise.points] == [
        (pytest.approx(0.5), pytest.approx(0.3)),
        (pytest.approx(0.7), pytest.approx(0.2)),
    ]


def test_a_strength_that_failed_with_one_seed_counts_for_none():
    whole = [made("noise", 0, 0.5, seed=s, a=0.5) for s in (0, 1)]
    torn = [*whole, made("noise", 1, 0.6, seed=0, a=0.0)]
    assert front(torn, "noise", "a") == front(whole, "noise", "a")
    gone = [*whole, made("none", 0, 0.1, seed=2, a=0.9)]
    assert front(gone, "noise", "a") == front(whole, "noise", "a")


def test_the_strongest_is_chosen_at_every_point():
    points = [made("noise", 0, 0.5, a=0.9, b=0.2), made("noise", 1, 0.6, a=0.1, b=0.3)]
    assert [(p.error, p.tpr) for p in front(points, "noise", "strongest").points] == [
        (0.5, 0.9),
        (0.6, 0.3),
    ]
    assert {f.attack for f in sweep_fronts(points)} == {"a", "b", "strongest"}


def test_an_adaptive_attack_stands_undefended_with_what_it_is_made_from(monkeypatch):
    monkeypatch.setitem(ATTACKS, "b", replace(ATTACKS["avg_cosine"], adapts="a"))
    points = [made("none", 0, 0.5, a=0.9), made("mix", 0, 0.6, a=0.1, b=0.3)]
    assert [p.tpr for p in front(points, "mix", "b").points] == [0.9, 0.3]
    assert [p.tpr for p in front(points, "mix", "a").points] == [0.9, 0.1]
    assert front(points, "none", "b") is None
    neutral = [made("mix", 0, 0.5, a=0.9), made("mix", 1, 0.6, a=0.1, b=0.3)]  # nothing to know
    assert [p.tpr for p in front(neutral, "mix", "b").points] == [0.9, 0.3]


def test_a_point_that_runs_out_of_memory_is_a_failure():
    def fails():
        raise MemoryError("too large")

    found = import_module("seepage.audit.sweep_run")._folder_of(fails)
    assert isinstance(found, UserError)
    assert "too large" in str(found)


# --- recipes


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_every_sweep_of_a_recipe_resolves_and_has_an_undefended_study(name, scale, tmp_path):
    sweep = resolve_sweep(recipe=name, scale=scale, data_root=tmp_path)
    assert len({point.label for point in sweep.points}) == len(sweep.points) > 1
    base = resolve(recipe=name, scale=scale, data_root=tmp_path)
    assert base.defense.name == "none"
    assert sweep.recipe == name
