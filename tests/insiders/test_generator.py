"""The generator an insider trains: what it is told, and how it is taken up again."""

import pytest
import torch

from seepage.insiders.generator import Generator
from seepage.records import UserError

CPU = torch.device("cpu")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def made(seed=0):
    return Generator(3, (1, 8, 8), CPU, rng(seed))


def improved(generator, steps, seed=1):
    draws = rng(seed)
    wanted = torch.arange(3).repeat(4)
    for _ in range(steps):
        generator.step((generator(wanted, draws) - wanted.view(-1, 1, 1, 1) / 2).square().mean())
    return generator


def test_it_draws_what_it_was_led_to_and_was_told():
    drawn = improved(made(), 250).draw(torch.tensor([2, 0, 1, 0, 2, 1] * 5), rng(2))
    assert drawn.shape == (30, 1, 8, 8)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    brightness = drawn.mean((1, 2, 3)).view(5, 6).mean(0)
    assert brightness[1] < brightness[2] < brightness[0]  # in the order they were asked for
    assert brightness[3] < brightness[5] < brightness[4]


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been():
    whole, kept = improved(improved(made(), 3), 3, seed=5), {}
    improved(made(), 3).save(kept)
    again = made(seed=9)
    again.load({name: value.clone() for name, value in kept.items()})
    improved(again, 3, seed=5)
    mine, theirs = whole.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_is_kept_does_not_move_with_further_steps():
    generator, kept = improved(made(), 2), {}
    generator.save(kept)
    before = {name: value.clone() for name, value in kept.items()}
    improved(generator, 2)
    assert all(torch.equal(before[name], kept[name]) for name in before)


def test_nothing_kept_leaves_the_first_weights():
    generator = made()
    generator.load({})
    assert torch.equal(generator.draw(torch.arange(3), rng()), made().draw(torch.arange(3), rng()))


def test_images_that_cannot_be_made_are_refused():
    with pytest.raises(UserError, match="even sides"):
        Generator(3, (1, 7, 8), CPU, rng())
