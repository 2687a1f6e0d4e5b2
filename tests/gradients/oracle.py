"""The plain way: one backward pass for every sample, everything in one long vector."""

import torch
from torch.nn import functional


def plain_gradients(model, inputs, labels):
    return plain_gradients_of(model, inputs, labels, functional.cross_entropy)


def plain_gradients_of(model, inputs, targets, loss):
    rows = []
    for x, y in zip(inputs, targets, strict=True):
        asked = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss(model(x[None]), y[None]).sum(), asked, allow_unused=True)
        of = dict(zip(map(id, asked), found, strict=True))
        gradients = [of.get(id(p)) for p in model.parameters()]
        rows.append(
            torch.cat(
                [
                    torch.zeros_like(p).flatten() if g is None else g.flatten()
                    for p, g in zip(model.parameters(), gradients, strict=True)
                ]
            )
        )
    return torch.stack(rows).double()


def random_updates(model, clients, seed=0):
    size = sum(p.numel() for p in model.parameters())
    rng = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype
    return torch.randn(clients, size, generator=rng, dtype=dtype)


def assert_agrees(products, gradients, updates, tolerance=1e-4):
    """Relative to what the number is made of: ‖g‖‖u‖ for inner products, ‖g‖² for norms."""
    u = updates.double()
    norms = gradients.norm(dim=1)
    assert norms.min() > 0, "a test without a gradient shows nothing"
    error = (products.inner - gradients @ u.T).abs() / (norms[:, None] * u.norm(dim=1))
    assert error.max() <= tolerance
    torch.testing.assert_close(products.squared_norm, norms.square(), rtol=tolerance, atol=0)
    torch.testing.assert_close(
        products.update_squared_norm, u.square().sum(1), rtol=tolerance, atol=0
    )
