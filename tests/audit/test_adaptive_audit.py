"""An audit by an adversary who knows the defense, and one who sees only the sum."""

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import seepage
from seepage import audit
from seepage.attacks import ATTACKS
from seepage.audit.remeasure import measure_trace
from seepage.audit.run import run_prepared
from seepage.audit.train import begin_store, train
from seepage.observe import AGGREGATE, SERVER, Trace
from seepage.records import UserError
from seepage.report import adaptive
from seepage.report.page import page
from seepage.report.reading import lead
from seepage.report.terminal import terminal_table
from seepage.report.verdict import all_verdicts
from seepage.signals.adaptive import ADAPTIVE, Knowledge
from seepage.study import build_study

TWINS = {name for name, attack in ATTACKS.items() if attack.adapts}
MIXUP = {"name": "mixup", "options": {"alpha": 1.0}}


@pytest.fixture(scope="module")
def prepared():
    """A federation to be trained with mixup, and kept with its parameters."""
    study = {
        "data": {"clients": 4, "per_client": 20, "held_out": 40},
        "model": {"options": {"hidden": [8]}},
        "defense": MIXUP,
        "federation": {"rounds": 2, "batch_size": 10},
        "observe": {"every": 1, "weights": "full", "draws": 2},
    }
    return audit.prepare(build_study(study))


@pytest.fixture(scope="module")
def mixed(prepared):
    return run_prepared(prepared)


@pytest.fixture(scope="module")
def folder(prepared, tmp_path_factory):
    """The same run's rounds on disk; a whole run would draw its report as well."""
    out = tmp_path_factory.mktemp("run") / "mixed"
    train(prepared, begin_store(prepared, out), lambda *told: None)
    return out


def test_a_defense_to_measure_through_brings_the_twins(mixed):
    assert {row.name for row in mixed.results.attacks} >= TWINS
    assert set(ADAPTIVE) <= set(mixed.signals)
    assert mixed.signals["adaptive_loss"].dims == mixed.signals["loss"].dims


@pytest.mark.parametrize("name", ["none", "quantization"])
def test_without_one_they_are_left_out_silently(tiny, name):
    options = {"bits": 8} if name == "quantization" else {}
    prepared = audit.prepare(tiny(defense={"name": name, "options": options}))
    assert prepared.knowledge is None
    assert not TWINS & set(prepared.attacks)
    assert not TWINS & set(prepared.left_out)
    assert not set(ADAPTIVE) & set(prepared.signals)


def test_named_ones_are_left_out_with_a_reason(tiny):
    names = {"names": ["fedmia_loss", "fedmia_loss_adaptive"]}
    prepared = audit.prepare(tiny(attacks=names))
    assert list(prepared.attacks) == ["fedmia_loss"]
    assert "changes no measure" in prepared.left_out["fedmia_loss_adaptive"]
    through = audit.prepare(tiny(attacks=names, defense=MIXUP))
    assert list(through.attacks) == names["names"]
    assert not through.left_out


def test_nothing_but_what_is_not_there_is_refused(tiny):
    with pytest.raises(UserError, match="no attack is left"):
        audit.prepare(tiny(attacks={"names": ["fedmia_loss_adaptive"]}))
    with pytest.raises(UserError, match="adaptive_loss cannot be measured"):
        audit.prepare(tiny(observe={"signals": ["adaptive_loss"]}))


def test_what_is_known_is_the_study_s(tiny):
    prepared = audit.prepare(
        tiny(defense={"name": "sparsification", "options": {"drop": 0.9}}, observe={"draws": 7})
    )
    assert prepared.knowledge == Knowledge(sparse=True, draws=7, seed=0, batch_size=10, classes=10)
    mixed = audit.prepare(tiny(defense=MIXUP))
    assert "4 draws" in audit.estimate(mixed)["signals"]
    assert "draws" not in audit.estimate(prepared)["signals"]


def test_the_trace_gives_the_same_signals_again(mixed, folder):
    """Draws are named by round, so a stored run is measured through the same ones."""
    names = ["adaptive_cosine", "adaptive_loss", "aggregate_cosine", "aggregate_loss"]
    again = measure_trace(folder, signals=names)
    for name in names:
        first = mixed.signals[name].transpose(*again[name].dims)
        xr.testing.assert_allclose(again[name], first, rtol=1e-4, atol=1e-5)


def test_a_server_under_secure_aggregation_measures_the_sum(mixed, folder):
    found = measure_trace(folder, adversary="aggregate")
    assert {"aggregate_cosine", "aggregate_loss", "squared_gradient_norm"} <= set(found)
    assert not any("client" in values.dims for values in found.values())
    xr.testing.assert_allclose(
        found["aggregate_loss"], found["loss"].rename("aggregate_loss"), rtol=1e-6
    )
    np.testing.assert_allclose(found["aggregate_cosine"], found["cosine"], rtol=1e-4, atol=1e-6)
    by_server = mixed.signals["aggregate_loss"].transpose(*found["aggregate_loss"].dims)
    xr.testing.assert_allclose(found["aggregate_loss"], by_server, rtol=1e-4)


def test_who_does_not_see_the_sum_cannot_measure_it(folder):
    with pytest.raises(UserError, match="not the mean of the uploads, and cannot measure"):
        measure_trace(folder, adversary="participant", signals=["aggregate_loss"])
    assert "aggregate_loss" not in measure_trace(folder, adversary="participant")
    views = {
        who: next(Trace(folder).seen_by(who))
        for who in ("server", "aggregate", "participant", "querier")
    }
    assert {who for who, view in views.items() if view.aggregate is not None} == {
        SERVER.name,
        AGGREGATE.name,
    }


def test_a_defended_report_shows_plain_beside_adaptive(mixed):
    known = adaptive.known(mixed.results)
    rows = {row.name: row for row in lead(mixed.results).rows}
    assert {pair.adaptive.name for pair in known.pairs} == TWINS
    for pair in known.pairs:
        assert pair.plain == rows[pair.adaptive.name.removesuffix("_adaptive")]
        assert float(pair.gain.replace("−", "-")) == pytest.approx(
            pair.adaptive.auc - pair.plain.auc, abs=1.1e-3
        )
    html = " ".join(page(mixed.results, mixed.scores, {}, None, None).split())
    assert "What is knowing the defense worth?" in html
    assert html.count("<code>fedmia_joint</code>") > 1
    printed = io.StringIO()
    Console(file=printed, width=200).print(terminal_table(mixed.results))
    assert "Who knows the defense mixup and measures through it reaches AUC" in printed.getvalue()


def test_the_verdict_takes_the_strongest_of_all_and_widens_for_all(mixed):
    results = mixed.results
    rows = [
        row.model_copy(update={"auc": 0.99, "auc_interval": (0.98, 1.0)})
        if row.name == "avg_cosine_adaptive"
        else row
        for row in results.attacks
    ]
    verdict = all_verdicts(results.model_copy(update={"attacks": rows}))[0]
    assert verdict.best.name == "avg_cosine_adaptive"
    tried = len(lead(results).rows)
    assert tried > len(TWINS)
    assert f"having tried {tried} attacks" in verdict.detail


def test_words_of_a_report_follow_the_numbers(mixed):
    def words(shift):
        rows = [
            row.model_copy(
                update={
                    "auc": 0.7 + shift * (row.name in TWINS),
                    "auc_interval": (0.68 + shift * (row.name in TWINS),) * 2,
                }
            )
            for row in mixed.results.attacks
        ]
        return adaptive.known(mixed.results.model_copy(update={"attacks": rows})).words

    assert "knowing helps" in words(0.1)
    assert "knowing does not help" in words(-0.1)
    assert "overlap" in words(0.0)


def test_a_defense_with_nothing_to_measure_through_says_so(mixed):
    plain = [row for row in mixed.results.attacks if row.name not in TWINS]
    known = adaptive.known(mixed.results.model_copy(update={"attacks": plain}))
    assert not known.pairs
    assert "No attack was run that measures through the defense mixup" in known.words
    study = mixed.results.study | {"defense": {"name": "none"}}
    assert adaptive.known(mixed.results.model_copy(update={"study": study})) is None


def test_no_training_is_no_leak_through_the_defense(tiny):
    """With a step size of next to nothing the losses of twins are at chance, too."""
    seeds, areas = 4, []
    for seed in range(seeds):
        study = tiny(
            seed=seed,
            data={"clients": 3, "per_client": 30, "held_out": 80},
            defense=MIXUP,
            federation={"rounds": 1, "local_epochs": 1, "learning_rate": 1e-12},
            observe={"every": 1, "draws": 2},
            attacks={"names": ["loss_series_adaptive"]},
        )
        rows = seepage.run(study).results.attacks
        areas += [r.auc for r in rows if (r.target, r.block) == ("all", "held_out")]
    error = np.sqrt((1 / 90 + 1 / 80) / 12 / seeds)
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * error)
