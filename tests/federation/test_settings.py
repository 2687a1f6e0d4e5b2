"""From the flat keys of a study's federation section to the settings of a federation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from seepage.federation import run, settings_of
from seepage.records import UserError
from seepage.sections import FederationSection
from seepage.training import LocalTraining


def test_every_local_key_reaches_local_training():
    section = FederationSection(
        local_epochs=5,
        batch_size=16,
        shuffle=False,
        optimizer="adam",
        weight_decay=0.25,
        local_schedule="milestones",
        local_milestones=[2, 4],
        restart_each_epoch=True,
        keep="best",
        schedule="milestones",
        milestones=[7],
    )
    settings = settings_of(**section.model_dump())
    assert settings.local == LocalTraining(
        epochs=5,
        batch_size=16,
        shuffle=False,
        optimizer="adam",
        weight_decay=0.25,
        schedule="milestones",
        milestones=(2, 4),
        decay=0.1,
        restart_each_epoch=True,
        keep="best",
    )
    assert [settings.rate(number) for number in (7, 8)] == pytest.approx([0.1, 0.01])


def test_the_defaults_of_the_section_are_those_of_local_training():
    assert settings_of(**FederationSection().model_dump()).local == LocalTraining()


def test_a_federation_of_any_size_refuses_running_statistics():
    dataset = SimpleNamespace(inputs=torch.zeros(4, 2), labels=torch.zeros(4).long(), classes=2)
    for clients in ((np.arange(4),), (np.arange(2), np.arange(2, 4))):
        split = SimpleNamespace(clients=clients)
        with pytest.raises(UserError, match="not sent in a federation"):
            run(
                nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
                dataset,
                split,
                settings_of(rounds=1),
                seed=0,
            )
