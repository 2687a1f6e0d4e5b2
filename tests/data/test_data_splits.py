import numpy as np
import pytest
import torch

from seepage.data import deal_out, declared, split
from seepage.records import Dataset, UserError

N, TRAIN = 200, 150


def dataset(n_train=None):
    return Dataset(
        name="x", inputs=torch.zeros(N, 2), labels=torch.arange(N) % 10, classes=10,
        n_train=n_train, mean=(0.0,), std=(1.0,), checksum="",
    )  # fmt: skip


SETTINGS = {
    "iid": {},
    "iid of a size": {"per_client": 20},
    "dirichlet": {"partition": "dirichlet", "beta": 1.0, "min_size": 3},
    "dirichlet of a size": {"partition": "dirichlet", "beta": 0.3, "per_client": 20},
    "disjoint_labels": {"partition": "disjoint_labels"},
    "disjoint_labels of a size": {"partition": "disjoint_labels", "per_client": 20},
    "labels of each": {"partition": "disjoint_labels", "labels_per_client": [1, 3, 1, 2, 1]},
    "disjoint_labels a label": {"partition": "disjoint_labels", "per_label": 10},
    "overlapping labels": {
        "partition": "disjoint_labels", "per_label": 2, "labels_per_client": 3, "overlap": 0.5
    },
    "labels in common": {"partition": "disjoint_labels", "labels_per_client": 4, "overlap": 1.0},
    "sizes": {"partition": "sizes", "sizes": [5, 10, 15, 20, 25]},
}  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("held_out", [None, 17])
@pytest.mark.parametrize("n_train", [None, TRAIN])
def test_split_disjoint_and_published(setting, held_out, n_train):
    made = split(dataset(n_train), clients=5, held_out=held_out, seed=3, **setting)
    together = np.concatenate([*made.clients, made.held_out])
    assert len(np.unique(together)) == len(together)
    assert together.min() >= 0
    assert together.max() < N
    assert len(made.clients) == 5
    assert all(len(part) and np.all(np.diff(part) > 0) for part in (*made.clients, made.held_out))
    if held_out is not None:
        assert len(made.held_out) == held_out
    if n_train is not None:
        assert all(part.max() < TRAIN for part in made.clients)
        assert made.held_out.min() >= TRAIN
        assert held_out is not None or len(made.held_out) == N - TRAIN
    if "per_client" in setting:
        assert [len(part) for part in made.clients] == [20] * 5
    if "sizes" in setting:
        assert [len(part) for part in made.clients] == setting["sizes"]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_split_repeatable(setting):
    def drawn(seed):
        made = split(dataset(), clients=5, seed=seed, **setting)
        return [part.tolist() for part in (*made.clients, made.held_out)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_what_is_left_over_is_held_out():
    made = split(dataset(), clients=5, per_client=20, seed=0)
    assert len(made.held_out) == N - 100
    sized = split(dataset(), clients=2, partition="sizes", sizes=[150, 49], seed=0)
    assert len(sized.held_out) == 1


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "disjoint_labels"])
def test_a_fifth_is_held_out_where_nothing_says_how_much(partition):
    made = split(dataset(), clients=5, partition=partition, min_size=1, seed=0)
    assert len(made.held_out) == N // 5
    dealt = np.concatenate(made.clients)
    assert len(dealt) == N - N // 5


def test_the_partition_does_not_move_what_is_held_out():
    """The draw of the held-out samples has a generator of its own."""
    first = split(dataset(), clients=5, held_out=30, seed=0)
    second = split(dataset(), clients=3, partition="dirichlet", held_out=30, min_size=1, seed=0)
    assert first.held_out.tolist() == second.held_out.tolist()


def test_held_out_labels_are_like_the_pools_under_skew():
    """With labels of their own for a few clients, what is held out still has every label."""
    made = split(dataset(), clients=2, partition="disjoint_labels", per_client=10, seed=0)
    assert len({int(i) % 10 for i in made.held_out}) == 10
    assert len({int(i) % 10 for part in made.clients for i in part}) == 4


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"partition": "even"}, "data.partition = 'even': expected one of iid"),
        ({"clients": 0}, "data.clients = 0"),
        ({"clients": 161}, "161 clients cannot share 160 samples"),
        ({"per_client": 41}, "205 samples together, but 200"),
        ({"per_client": 40}, "take all 200 samples and none is held out"),
        ({"held_out": 200}, "5 clients cannot share 0 samples"),
        ({"held_out": 201}, "data.held_out = 201: expected 1 to 200"),
        ({"held_out": 0}, "data.held_out = 0"),
        ({"sizes": [1] * 5}, "data.sizes goes with"),
        ({"partition": "sizes"}, "data.sizes goes with"),
        ({"partition": "sizes", "sizes": [1, 2]}, "needs 5 data.sizes.*got 2 sizes"),
        ({"partition": "sizes", "sizes": [1] * 5, "per_client": 1}, "and no data.per_client"),
        ({"partition": "sizes", "sizes": [100] * 5}, "500 samples together"),
        ({"partition": "dirichlet", "min_size": 100}, "need 500, but 160"),
        ({"partition": "dirichlet", "per_client": 50}, "need 250, but 160"),
        ({"partition": "disjoint_labels", "labels_per_client": 3}, "need 15 labels"),
        ({"partition": "disjoint_labels", "per_client": 5}, "multiple of data.labels_per_client"),
        ({"partition": "disjoint_labels", "labels_per_client": 0}, "labels_per_client"),
        ({"partition": "disjoint_labels", "per_label": 18}, "Use .* a smaller data.per_label"),
        (
            {"partition": "disjoint_labels", "per_label": 1, "per_client": 2},
            "data.per_client = 2 and data.per_label = 1 each say",
        ),
        (
            {"partition": "disjoint_labels", "per_client": 2, "labels_per_client": [2] * 5},
            "expected data.per_label",
        ),
        (
            {"partition": "disjoint_labels", "labels_per_client": 5, "overlap": 0.4},
            "2 in common need 17 labels.*smaller data.labels_per_client or a larger data.overlap",
        ),
        ({"per_label": 2}, "data.per_label and data.overlap go with .*'iid'"),
        ({"partition": "dirichlet", "overlap": 0.5}, "data.per_label and data.overlap go with"),
    ],
)
def test_what_cannot_be_met_names_the_setting(setting, said):
    with pytest.raises(UserError, match=said):
        split(dataset(), **({"clients": 5, "seed": 0} | setting))


def test_more_held_out_than_the_test_part_is_named():
    with pytest.raises(UserError, match=r"expected 1 to 50, .* in the test part"):
        split(dataset(TRAIN), clients=5, held_out=51, seed=0)


def test_a_size_a_label_is_a_size_a_client_over_its_labels():
    """The same draw by either name, where every client has as many labels."""
    settings = {"clients": 3, "partition": "disjoint_labels", "labels_per_client": 3, "seed": 5}
    by_client = split(dataset(), per_client=12, **settings)
    by_label = split(dataset(), per_label=4, **settings)
    for one, other in zip(by_client.clients, by_label.clients, strict=True):
        assert one.tolist() == other.tolist()


def test_what_clients_of_a_split_declare():
    data = dataset()
    settings = {"partition": "disjoint_labels", "labels_per_client": 5, "overlap": 0.4}
    made = split(data, clients=2, per_label=3, seed=1, **settings)
    told = declared(data.labels.numpy(), made.clients, data.classes)
    assert told.sum(1).tolist() == [5, 5]
    assert told.all(0).sum() == 2  # 0.4 of 5 are common
    assert (~told.any(0)).sum() == 2


def test_dealing_out_takes_every_setting_of_a_split():
    """A black-box study deals each model's records out by what a federation deals its pool by."""
    dealt = deal_out(
        np.arange(N), np.arange(N) % 10, np.random.default_rng(0), clients=2, beta=1.0,
        partition="disjoint_labels", per_client=None, per_label=None, overlap=1.0, min_size=1,
        labels_per_client=[10, 10], sizes=None,
    )  # fmt: skip
    assert [len(part) for part in dealt] == [N // 2, N // 2]
