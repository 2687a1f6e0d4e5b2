import pytest
import torch

from seepage.records import Round


@pytest.fixture
def make_round():
    def make(number=1, clients=3, seed=0):
        rng = torch.Generator().manual_seed(seed + number)

        def state():
            return {"w": torch.randn(2, 3, generator=rng), "b": torch.randn(3, generator=rng)}

        start = state()
        uploads = {k: {n: v + 0.1 * state()[n] for n, v in start.items()} for k in range(clients)}
        after = {n: sum(u[n] for u in uploads.values()) / clients for n in start}
        return Round(
            number=number,
            start=start,
            uploads=uploads,
            weights=dict.fromkeys(range(clients), 1 / clients),
            after=after,
            learning_rate=0.1,
            raw_uploads={k: {n: v + 1 for n, v in u.items()} for k, u in uploads.items()},
            aggregate={n: v - 0.5 for n, v in after.items()},
        )

    return make
