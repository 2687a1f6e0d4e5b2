"""Generator and discriminator of images."""

import pytest
import torch

from seepage.models.dcgan import discriminator, fresh, generator, noise
from seepage.records import UserError


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ((1, 8, 8), 100 * 64 * 16 + 2 * 64 + 64 * 16 + 1),
        ((1, 28, 28), 100 * 128 * 49 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1),
        ((3, 32, 32), None),
        ((3, 64, 64), 3_576_707),
        ((1, 8, 20), None),
    ],
)
def test_networks_fit_the_images(shape, parameters):
    """The count for 64 pixels is that of the paper's generator with a bias in its last layer."""
    makes, tells = generator(*shape), discriminator(*shape)
    drawn = makes(torch.empty(5, 100, 1, 1, device="meta"))
    assert drawn.shape == (5, *shape)
    assert tells(drawn).shape == (5, 1, 1, 1)
    found = sum(p.numel() for p in makes.parameters())
    assert parameters in (None, found)


def test_a_generator_is_told_what_to_show_beside_its_noise():
    rng = torch.Generator().manual_seed(0)
    makes = fresh(generator(1, 8, 8, more=3, first=8), torch.device("cpu"), rng)
    told = torch.eye(3).repeat(4, 1)[..., None, None]
    drawn = makes(torch.cat([noise(12, told, rng), told], 1))
    assert drawn.shape == (12, 1, 8, 8)
    assert drawn.abs().max() <= 1
    assert sum(p.numel() for p in makes.parameters()) == 103 * 8 * 16 + 2 * 8 + 8 * 16 + 1


@pytest.mark.parametrize("side", [7, 6, 9])
def test_sides_that_cannot_be_halved_are_refused(side):
    with pytest.raises(UserError, match="even sides of at least 8"):
        generator(1, side, 8)
