import pytest
from made_up_bench import make_bench


@pytest.fixture
def bench():
    return make_bench()
