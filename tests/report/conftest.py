import pytest
from made_up_study import make_results, make_scores, make_signals


@pytest.fixture(scope="session")
def scores():
    return make_scores()


@pytest.fixture(scope="session")
def results(scores):
    return make_results(scores)


@pytest.fixture(scope="session")
def signals(scores):
    return make_signals(scores)
