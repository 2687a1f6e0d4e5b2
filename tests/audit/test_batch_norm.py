"""Whole audits of a federation whose network has batch normalisation."""

import numpy as np
import pytest
import torch
from small_inversion import study
from torch import nn

import seepage
from seepage.audit import prepare_inversion
from seepage.protocols import Fitted
from seepage.records import UserError
from seepage.reference.bench import Bench
from seepage.signals.answers import answers
from seepage.states import state_of
from seepage.study import build_study


def network(shape, classes):
    """Passed as a factory: two layers, the first one normalised by its batch."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, classes)
    )


def convolutional(shape, classes):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, classes),
    )  # fmt: skip


OURS = {"model": {"options": {}}, "compute": {"device": "cpu"}}


def of_pixels(shape, classes):
    """Normalises pixels, some of which are the same in every record: variances fall to nothing."""
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, classes))


@pytest.mark.parametrize(("kept", "close"), [("full", 1e-4), ("half", 0.02)])
@pytest.mark.parametrize("model", [network, of_pixels])
def test_signals_taken_again_from_what_was_kept(tiny, tmp_path, model, kept, close):
    """Of every adversary's models, with the statistics that were sent."""
    many = {"rounds": 4, "local_epochs": 10, "batch_size": 10, "learning_rate": 0.05}
    asked = tiny(**OURS, observe={"weights": kept}, federation=many)
    made = seepage.run(asked, model=model, out=tmp_path / "run")
    names = list(made.signals.data_vars)
    again = seepage.measure_trace(tmp_path / "run", signals=names, model=model)
    assert {"loss", "cosine", "aggregate_loss"} <= set(names)
    for name in names:
        np.testing.assert_allclose(again[name], made.signals[name], rtol=close, atol=close)


def test_every_attack_of_a_federation_runs_and_a_leak_is_found(tiny):
    names = ["aggregate_joint", "avg_cosine", "fedmia_joint", "global_update_cosine", "loss_series"]
    long = {"rounds": 12, "local_epochs": 4, "learning_rate": 0.2, "batch_size": 10}
    asked = tiny(**OURS, federation=long, attacks={"names": names}, insider={"clients": [0]})
    rows = seepage.run(asked, model=network).results.attacks
    assert {row.name for row in rows} == set(names)
    assert max(row.auc for row in rows) > 0.7


def test_reference_models_trained_as_federations_answer_with_statistics_of_their_own(
    tiny, monkeypatch
):
    asked = tiny(
        **OURS,
        data={"per_client": None, "held_out": None},
        federation={"rounds": 2, "local_epochs": 1},
        reference={"models": 8},
        attacks={"names": ["lira_online"]},
    )
    # convolutional, as it takes a last batch of one record
    result = seepage.run(asked, model=convolutional)
    assert np.isfinite(result.results.attacks[0].auc)
    federated = Bench._federated

    def without(bench, number):
        fitted = federated(bench, number)
        return Fitted(state={n: v for n, v in fitted.state.items() if "running" not in n})

    monkeypatch.setattr(Bench, "_federated", without)
    with pytest.raises(UserError, match=r"its running statistics where it keeps any: for '1\.runn"):
        seepage.run(asked, model=convolutional)


def test_inversions_of_model_and_upload():
    settings = study(rounds=[2], attacks=["gmi"], regularizers=["none"], gradients={"steps": 2})
    results = seepage.invert(settings | {"model": {"options": {}}}, model=convolutional).results
    assert len(results.inversions) == 1
    (searched,) = [row for row in results.gradients if row.name == "gradient_inversion"]
    assert 0 <= searched.matched <= 2
    assert not [note for note in results.notes if "gradient_inversion" in note]


def test_the_target_of_an_inversion_answers_with_the_statistics_that_were_sent():
    settings = study(rounds=[2], attacks=["gmi"], regularizers=["none"])
    asked = build_study(settings | {"model": {"options": {}}})
    prepared = prepare_inversion(asked, model=convolutional)
    state = state_of(prepared.model) | {"1.running_mean": torch.full((8,), 2.0)}
    inputs = prepared.dataset.inputs[:50]
    expected = answers(prepared.model, state, inputs, respond=None)
    torch.testing.assert_close(prepared.target(state).model.eval()(inputs), expected)
    assert not torch.allclose(prepared.target().model.eval()(inputs), expected)


def test_noise_on_updates_would_not_cover_what_the_layers_noted(tiny, tmp_path):
    noisy = tiny(**OURS, defense={"name": "perturbation", "options": {"sigma": 1.0}})
    private = tiny(**OURS, defense={"name": "dp_sgd", "options": {"sigma": 1.0}})
    for asked, words in ((noisy, "sent past this defense's clipping"), (private, "single record")):
        with pytest.raises(UserError, match=f"keeps running statistics, .*{words}"):
            seepage.run(asked, model=network, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_network_that_normalises_by_who_is_asked_is_refused(tiny, tmp_path):
    def by_company(shape, classes):
        norm = nn.BatchNorm1d(64, track_running_stats=False)
        return nn.Sequential(nn.Flatten(), norm, nn.Linear(64, classes))

    with pytest.raises(UserError, match=r"'1' .BatchNorm1d. .* depends on who else is asked"):
        seepage.run(tiny(**OURS), model=by_company, out=tmp_path / "run")
