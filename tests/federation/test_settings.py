"""From the flat keys of a study's federation section to the settings of a federation."""

import pytest

from seepage.federation import settings_of
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
