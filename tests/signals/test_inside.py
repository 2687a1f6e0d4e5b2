"""What a client sees of a round from the inside, against the plain way and against the server."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gradients.oracle import plain_gradients
from seepage.records import Candidates, UserError
from seepage.signals import SIGNALS, gradient_products
from seepage.signals.inside import INSIDE, dealt_loss, inside
from seepage.signals.measure import measure
from seepage.states import state_of

WEIGHTS = {2: 0.1, 4: 0.25, 7: 0.45, 8: 0.2}


def make(seed):
    """A network that has seen batches of its own."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    model(3 * torch.randn(8, 1, 6, 6) + seed)
    return model.eval()


def flat(state):
    """The parameters alone, one after the other."""
    return torch.cat([state[name].flatten() for name, _ in make(0).named_parameters()]).double()


def mean_of(uploads, weights):
    """The plain weighted mean, as a server without a hook makes it."""
    names = next(iter(uploads.values()))
    return {name: sum(weights[k] * uploads[k][name] for k in uploads) for name in names}


CANDIDATES = Candidates(
    ids=np.array([3, 8, 9, 20, 31]),
    inputs=torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(0)),
    labels=torch.tensor([0, 1, 2, 1, 0]),
)
UPLOADS = {k: state_of(make(k)) for k in WEIGHTS}


@pytest.fixture
def round_():
    """What the insider holds of one round as clients 4 and 8, with a template of its own."""
    return {
        "model": make(99),
        "start": state_of(make(0)),
        "after": mean_of(UPLOADS, WEIGHTS),
        "own": {k: UPLOADS[k] for k in (8, 4)},
        "weights": {4: 0.25, 8: 0.2},
        "candidates": CANDIDATES,
    }


@pytest.mark.parametrize("batch_size", [None, 2])
def test_every_signal_by_one_backward_pass_a_sample(round_, batch_size):
    found = inside(**round_, names=INSIDE, batch_size=batch_size)
    x, y = CANDIDATES.inputs, CANDIDATES.labels
    gradients = plain_gradients(make(0), x, y)
    start = flat(round_["start"])
    others = sum(WEIGHTS[k] * (start - flat(UPLOADS[k])) for k in (2, 7))

    def loss(state):
        model = make(0)
        model.load_state_dict(state, strict=False)
        return functional.cross_entropy(model(x), y, reduction="none").detach().numpy()

    expected = {
        "global_loss": loss(round_["after"]),
        "others_cosine": functional.cosine_similarity(gradients, others[None]).numpy(),
        "others_projection": (gradients @ others / gradients.norm(dim=1)).numpy(),
        "start_loss": loss(round_["start"]),
    }
    assert expected.keys() == set(INSIDE)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("insider", [(), (4,), (8, 4), (2, 7, 8)])
def test_a_projection_is_the_weighted_sum_of_what_the_server_projects(round_, insider):
    """Σ over k outside of w_k ⟨g, u_k⟩ / ‖g‖, from the server's own signals of each upload."""
    own = {k: UPLOADS[k] for k in insider}
    given = round_ | {"own": own, "weights": {k: WEIGHTS[k] for k in insider}}
    found = inside(**given, names=["others_projection"])["others_projection"]
    server = measure(
        round_["model"], start=round_["start"], uploads=UPLOADS, candidates=CANDIDATES,
        names=["inner_product", "squared_gradient_norm"],
    )  # fmt: skip
    each = server["inner_product"] / np.sqrt(server["squared_gradient_norm"])
    expected = sum(WEIGHTS[k] * each.sel(client=k) for k in WEIGHTS if k not in insider)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(found, sum(WEIGHTS[k] * each.sel(client=k) for k in (7,)), atol=1e-3)


@pytest.mark.parametrize("victim", WEIGHTS)
def test_all_others_in_collusion_see_a_client_as_the_server_does(round_, victim):
    own = {k: UPLOADS[k] for k in WEIGHTS if k != victim}
    found = inside(**round_ | {"own": own, "weights": WEIGHTS}, names=["others_cosine"])
    server = measure(
        round_["model"], start=round_["start"], uploads=UPLOADS, candidates=CANDIDATES,
        names=["cosine"],
    )  # fmt: skip
    np.testing.assert_allclose(
        found["others_cosine"], server["cosine"].sel(client=victim), atol=1e-5
    )
    for other in own:
        assert not np.allclose(found["others_cosine"], server["cosine"].sel(client=other), 1e-2)


def test_what_the_insider_sends_itself_does_not_move_what_it_sees_of_others(round_):
    """However odd its upload: its own share of the mean is taken out again."""
    names = ["others_cosine", "others_projection"]
    honest = inside(**round_, names=names)
    odd = {4: {n: 50 * v + 3 for n, v in UPLOADS[4].items()}, 8: round_["start"]}
    after = mean_of({**UPLOADS, **odd}, WEIGHTS)
    active = inside(**round_ | {"own": odd, "after": after}, names=names)
    for name in names:
        np.testing.assert_allclose(active[name], honest[name], rtol=1e-3, atol=1e-4)


def test_a_round_without_the_insider_is_all_the_others(round_):
    found = inside(**round_ | {"own": {}, "weights": {}}, names=INSIDE)
    whole = measure(
        round_["model"], start=round_["start"], uploads={0: round_["after"]},
        candidates=CANDIDATES, names=["cosine", "loss"],
    ).isel(client=0)  # fmt: skip
    np.testing.assert_allclose(found["others_cosine"], whole["cosine"], rtol=1e-5)
    np.testing.assert_array_equal(found["global_loss"], whole["loss"])
    assert found["start_loss"].isnull().all()
    assert found["start_loss"].dtype == np.float32


def test_where_nobody_else_took_part_there_is_nothing_to_see(round_):
    """The rounding that a subtraction leaves has a direction, and it is nobody's."""
    alone = {4: 0.7, 8: 0.3}
    own = {k: UPLOADS[k] for k in alone}
    given = round_ | {"own": own, "weights": alone, "after": mean_of(own, alone)}
    found = inside(**given, names=["others_cosine", "others_projection"])
    assert (found["others_cosine"] == 0).all()
    assert (found["others_projection"] == 0).all()


def test_weights_of_others_are_not_looked_at(round_):
    """Who knows the attendance sees the same of the gradients."""
    found = inside(**round_ | {"weights": WEIGHTS}, names=INSIDE)
    assert found.identical(inside(**round_, names=INSIDE))


def test_the_labels_of_the_arrays(round_):
    found = inside(**round_, names=INSIDE)
    assert list(found) == list(INSIDE)
    assert found.sample.values.tolist() == CANDIDATES.ids.tolist()
    for name in INSIDE:
        assert SIGNALS[name].dims == (*found[name].dims, "round")
        assert found[name].dtype == np.float32


def test_all_take_one_pass_of_gradients_and_losses_none(round_, monkeypatch):
    passes = []

    def counted(*args, **options):
        passes.append(args)
        return gradient_products(*args, **options)

    monkeypatch.setattr("seepage.signals.inside.gradient_products", counted)
    inside(**round_, names=INSIDE)
    assert len(passes) == 1
    found = inside(**round_, names=["global_loss"])
    assert list(found) == ["global_loss"]
    assert len(passes) == 1


def test_the_template_is_left_as_it_was_and_its_mode_does_not_count(round_):
    expected = inside(**round_, names=INSIDE)
    model = round_["model"].train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    assert inside(**round_, names=INSIDE).identical(expected)
    dealt_loss(model, {2: UPLOADS[2]}, [2], CANDIDATES)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(t, model.state_dict()[name]) for name, t in before.items())


def test_a_dealt_model_is_measured_for_its_client_alone(round_):
    dealt = {7: UPLOADS[2], 4: UPLOADS[8]}
    found = dealt_loss(round_["model"], dealt, [2, 4, 7], CANDIDATES, batch_size=2)
    assert found.name == "dealt_loss"
    assert found.dims == ("sample", "client")
    assert found.client.values.tolist() == [2, 4, 7]
    assert found.sample.values.tolist() == CANDIDATES.ids.tolist()
    assert found.dtype == np.float32
    plain = measure(
        round_["model"], start=None, uploads=UPLOADS, candidates=CANDIDATES, names=["loss"]
    )["loss"]
    assert found.sel(client=2).isnull().all()
    np.testing.assert_allclose(found.sel(client=7), plain.sel(client=2), rtol=1e-6)
    np.testing.assert_allclose(found.sel(client=4), plain.sel(client=8), rtol=1e-6)


def test_nobody_dealt_to_is_nothing_measured(round_):
    assert dealt_loss(round_["model"], {}, [2, 4], CANDIDATES).isnull().all()


@pytest.mark.parametrize(("name", "part"), [("start_loss", "start"), ("global_loss", "after")])
def test_what_is_not_finite_is_refused_by_name(round_, name, part):
    weights = {n: 1e30 * torch.ones_like(p) for n, p in make(0).named_parameters()}
    huge = round_["start"] | weights
    given = round_ | {part: huge}
    with pytest.raises(UserError, match=f"'{name}' is not finite.*training diverged"):
        inside(**given, names=[name])
    with pytest.raises(UserError, match="'dealt_loss' is not finite"):
        dealt_loss(round_["model"], {4: huge}, [4], CANDIDATES)


def test_what_cannot_be_measured_is_refused(round_):
    with pytest.raises(UserError, match="did you mean others_cosine"):
        inside(**round_, names=["other_cosine"])
    with pytest.raises(UserError, match=r"the weight of each upload .* none of client 8"):
        inside(**round_ | {"weights": {4: 0.25}}, names=["others_cosine"])
    short = {name: t for name, t in UPLOADS[2].items() if name != "0.bias"}
    for given in ({"own": {4: short}}, {"after": short}, {"start": short}):
        with pytest.raises(UserError, match=r"'0\.bias' expected shape \(4,\), got no such name"):
            inside(**round_ | given, names=["global_loss"])
    with pytest.raises(UserError, match=r"'0\.bias' expected shape"):
        dealt_loss(round_["model"], {4: short}, [4], CANDIDATES)
