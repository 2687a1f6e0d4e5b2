import pytest

from seepage.study import build_study

TINY = {
    "name": "tiny",
    "data": {"clients": 4, "per_client": 30, "held_out": 80},
    "model": {"options": {"hidden": [16]}},
    "federation": {"rounds": 4, "local_epochs": 2, "batch_size": 10, "learning_rate": 0.1},
    "observe": {"every": 2},
}


@pytest.fixture
def tiny():
    """A study that takes well under a second, with changes laid over it."""

    def make(**sections):
        raw = {
            key: dict(value) if isinstance(value, dict) else value for key, value in TINY.items()
        }
        for name, settings in sections.items():
            raw[name] = (
                {**raw.get(name, {}), **settings} if isinstance(settings, dict) else settings
            )
        return build_study(raw)

    return make
