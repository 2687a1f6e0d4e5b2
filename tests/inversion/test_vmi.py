"""VMI: divergences against closed forms and brute force, and the posterior of a linear model."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal, kl_divergence
from torch.func import functional_call
from toy_inversions import Bowl, Likelihood, prior_of, seeded, small, target_of

from seepage.inversion.families import FAMILIES, Flow, Gaussian, Mixture
from seepage.inversion.vmi import vmi
from seepage.records import UserError

CPU = torch.device("cpu")


def stirred(family, seed=0, scale=0.3):
    """The family with other parameters than those it starts from."""
    for parameter in family.parameters:
        noise = torch.randn(parameter.shape, generator=seeded(seed))
        parameter.data += scale * noise
    return family


@pytest.mark.parametrize("name", FAMILIES)
def test_families_start_at_the_prior(name):
    family = FAMILIES[name](3, 4, seeded(0), CPU)
    latents, divergence = family.draw(4000, seeded(1))
    assert latents.shape == (3, 4000, 4)
    assert divergence.shape == (3,)
    assert divergence.detach().abs().max() < (0.25 if name == "mixture" else 1e-5)
    latents = latents.detach()
    assert float(latents.mean(1).abs().max()) < (0.8 if name == "mixture" else 0.07)
    assert latents.std(1).numpy() == pytest.approx(np.ones((3, 4)), abs=0.25)


def test_the_divergence_of_a_gaussian_in_closed_form():
    family = stirred(Gaussian(3, 5, seeded(0), CPU))
    latents, divergence = family.draw(50_000, seeded(1))
    covariance = family.root @ family.root.mT
    own = MultivariateNormal(family.mean, covariance)
    prior = MultivariateNormal(torch.zeros(5), torch.eye(5))
    assert torch.allclose(divergence, kl_divergence(own, prior), atol=1e-4)
    ratio = own.log_prob(latents.transpose(0, 1)) - prior.log_prob(latents.transpose(0, 1))
    error = 5 * ratio.std(0) / np.sqrt(50_000)
    assert bool(((ratio.mean(0) - divergence).abs() < error).all())


def test_the_density_of_a_mixture_by_brute_force():
    family = stirred(Mixture(2, 3, seeded(0), CPU))
    latents, _ = family.draw(50, seeded(1))
    density = family.log_density(latents).exp().detach().numpy()
    weights, means, roots = (p.detach().double() for p in family.parameters)
    for label in range(2):
        shares = weights[label].softmax(0).numpy()
        parts = [
            stats.multivariate_normal(mean, root @ root.T).pdf(latents[label].detach().numpy())
            for mean, root in zip(means[label], roots[label], strict=True)
        ]
        assert np.allclose(density[label], shares @ np.array(parts), rtol=2e-3)


def test_a_mixture_draws_its_components_by_their_weights():
    family = Mixture(1, 2, seeded(0), CPU)
    shares = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05])
    family.weights.data[0] = shares.log() + 3
    family.means.data[0] = 100 * torch.arange(5.0)[:, None].expand(5, 2)
    latents, _ = family.draw(20_000, seeded(1))
    chosen = (latents[0].mean(1) / 100).round().long()
    found = torch.bincount(chosen, minlength=5) / 20_000
    assert bool(((found - shares).abs() < 4 * (shares * (1 - shares) / 20_000).sqrt()).all())
    latents[0, :, 0].mean().backward()
    assert family.weights.grad is not None  # the choice passes gradients on: up with the farthest
    assert float(family.weights.grad[0, 4]) > 0 > float(family.weights.grad[0, 0])


def log_density(family, label, latents):
    """zuko's own logarithm of the density of one label's flow."""

    class Density(torch.nn.Module):
        def __init__(self, flow):
            super().__init__()
            self.flow = flow

        def forward(self, z):
            return self.flow().log_prob(z)

    parameters = {name: value[label] for name, value in family.stacked.items()}
    return functional_call(Density(family.module.flow), parameters, (latents,))


@pytest.mark.parametrize("latent", [2, 5])
def test_the_divergence_of_a_flow_is_that_of_its_density(latent):
    family = stirred(Flow(3, latent, seeded(0), CPU), scale=0.1)
    with torch.no_grad():
        latents, divergence = family.draw(300, seeded(1))
    prior = MultivariateNormal(torch.zeros(latent), torch.eye(latent))
    for label in range(3):
        own = log_density(family, label, latents[label]).detach()
        ratio = own - prior.log_prob(latents[label])
        assert float(divergence[label]) == pytest.approx(float(ratio.mean()), abs=1e-3)
    assert divergence.std() > 1e-3  # labels have flows of their own


def test_the_divergence_of_a_flow_by_a_grid():
    family = stirred(Flow(1, 2, seeded(0), CPU), scale=0.15)
    line = torch.linspace(-15, 15, 501)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        log_q = log_density(family, 0, grid).double()
        _, estimate = family.draw(20_000, seeded(1))
    area = float(line[1] - line[0]) ** 2
    assert float(log_q.exp().sum() * area) == pytest.approx(1, abs=5e-3)
    log_p = MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(grid).double()
    exact = float((log_q.exp() * (log_q - log_p)).sum() * area)
    assert exact > 0.05
    assert float(estimate) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize(
    ("family", "gamma", "within"),
    [("gaussian", 1.0, 0.08), ("gaussian", 0.25, 0.08), ("flow", 1.0, 0.2), ("mixture", 1.0, 0.2)],
)
def test_the_posterior_of_a_linear_gaussian_model(family, gamma, within):
    """N(0, 1) times N(a, s²) to the power 1/γ: precision 1 + 1/(γ s²), mean a / (γ s²) over it."""
    center, scale = torch.tensor([1.0, -0.5]), 0.8
    target = target_of(Likelihood(center, scale), 2, (1, 1, 2))
    prior = prior_of(Bowl(center), 2)
    made = vmi(
        target,
        prior,
        torch.tensor([1]),
        20_000,
        None,
        seeded(0),
        family=family,
        gamma=gamma,
        steps=120,
        batch=96,
        learning_rate=0.03,
    )
    sharpness = 1 / (gamma * scale**2)
    assert torch.allclose(made.latents.mean(0), center * sharpness / (1 + sharpness), atol=within)
    covariance = torch.eye(2) / (1 + sharpness)
    assert torch.allclose(made.latents.T.cov(), covariance, atol=within)


def test_labels_are_groups_of_a_batch():
    target, prior = small("dcgan")
    seen = []

    def spy(images, latents):
        seen.append((images.detach().clone(), latents.detach().clone()))
        return images.new_zeros(len(images))

    options = {"family": "gaussian", "steps": 1, "batch": 5}
    vmi(target, prior, torch.tensor([1, 3]), 4, spy, seeded(0), **options)
    images, latents = seen[0]
    assert torch.equal(latents, torch.randn(2, 5, 16, generator=seeded(0)))
    assert torch.allclose(images, prior.generator(latents.flatten(0, 1)).view_as(images))


def test_a_penalty_on_closeness_spreads_and_on_distance_contracts():
    target, prior = small("dcgan")

    def apart(weight):
        def mean_distance(images, latents):
            flat = images.flatten(2)
            return weight * torch.cdist(flat, flat).mean((1, 2))

        regularizer = mean_distance if weight else None
        options = {"family": "gaussian", "steps": 60, "learning_rate": 0.05, "batch": 8}
        made = vmi(target, prior, torch.arange(4), 20, regularizer, seeded(0), **options)
        return float(torch.pdist(made.images[:20].flatten(1)).mean())

    assert apart(1.0) < 0.8 * apart(0.0) < 0.8 * 0.9 * apart(-1.0)


def test_a_family_must_exist_and_a_flow_needs_two_numbers():
    target, prior = small("dcgan")
    with pytest.raises(UserError, match="family must be one of gaussian, mixture, flow"):
        vmi(target, prior, torch.tensor([0]), 1, None, seeded(0), family="student")  # type: ignore
    with pytest.raises(UserError, match="gamma"):
        vmi(target, prior, torch.tensor([0]), 1, None, seeded(0), gamma=-1.0)
    with pytest.raises(UserError, match="at least 2"):
        Flow(1, 1, seeded(0), CPU)
