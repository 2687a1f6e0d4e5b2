"""Whole audits of a federation whose network has batch normalisation."""

import numpy as np
import pytest
from small_inversion import study
from torch import nn

import seepage
from seepage.records import UserError


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


@pytest.mark.parametrize(("kept", "close"), [("full", 1e-4), ("half", 0.02)])
def test_signals_taken_again_from_what_was_kept(tiny, tmp_path, kept, close):
    """Of every adversary's models, with the statistics that were sent."""
    made = seepage.run(tiny(**OURS, observe={"weights": kept}), model=network, out=tmp_path / "run")
    names = list(made.signals.data_vars)
    again = seepage.measure_trace(tmp_path / "run", signals=names, model=network)
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


def test_reference_models_trained_as_federations_have_statistics_of_their_own(tiny):
    reference = {"models": 8}
    result = seepage.run(
        tiny(
            **OURS,
            data={"per_client": None, "held_out": None},
            federation={"rounds": 2, "local_epochs": 1},
            reference=reference,
            attacks={"names": ["lira_online"]},
        ),
        model=convolutional,  # takes a last batch of one record
    )
    assert np.isfinite(result.results.attacks[0].auc)


def test_inversions_of_model_and_upload(tmp_path):
    settings = study(rounds=[2], attacks=["gmi"], regularizers=["none"], gradients={"steps": 2})
    result = seepage.invert(settings | {"model": {"options": {}}}, model=convolutional)
    assert len(result.results.inversions) == 1


def test_noise_on_updates_would_not_cover_what_the_layers_noted(tiny, tmp_path):
    noisy = tiny(**OURS, defense={"name": "perturbation", "options": {"sigma": 1.0}})
    with pytest.raises(UserError, match="keeps running statistics"):
        seepage.run(noisy, model=network, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
