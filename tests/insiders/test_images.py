"""The images an insider keeps (what stays, what goes, how true they are), and changed copies."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from seepage.insiders import images
from seepage.insiders.images import EVERY, RECENT, SHOWN, changed, keep, kept_images


def images_of(labels, value=0.5):
    return torch.full((len(labels), 1, 8, 8), value), torch.tensor(labels)


def test_nothing_is_kept_before_the_first():
    assert kept_images({}) is None


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_pixels_come_back_to_within_half_a_shade(values):
    kept = {}
    pixels = torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    keep(kept, pixels, torch.zeros(len(values), dtype=torch.int64), 3)
    found = kept_images(kept)
    assert (found.pixels - pixels).abs().max() <= 0.5 / 255 + 1e-6
    assert found.rounds.tolist() == [3] * len(values)


def test_the_oldest_of_each_class_make_room():
    kept, per_round = {}, 120
    for number in range(1, 7):
        keep(kept, *images_of([0] * per_round + [1]), number)
    found = kept_images(kept)
    of_zero = found.rounds[found.labels == 0]
    assert len(of_zero) == RECENT
    assert of_zero.tolist() == sorted(of_zero.tolist())
    newest_first = [6] * 120 + [5] * 120 + [4] * 120 + [3] * 120 + [2] * 20
    assert sorted(of_zero.tolist(), reverse=True) == newest_first
    assert int((found.labels == 1).sum()) == 6  # a rare class is not pushed out by another


def test_a_few_of_every_tenth_round_stay_for_good():
    kept = {}
    for number in range(EVERY - 1, EVERY + 2):
        keep(kept, *images_of([0] * RECENT), number)
    rounds = kept_images(kept).rounds
    assert (rounds == EVERY).sum() == SHOWN
    assert (rounds == EVERY + 1).sum() == RECENT
    assert len(rounds) == RECENT + SHOWN


def rng():
    return torch.Generator().manual_seed(0)


def test_no_change_is_the_image_itself(monkeypatch):
    for name in ("TURN", "SHIFT", "SCALE", "SHEAR"):
        monkeypatch.setattr(images, name, 0.0)
    drawn = torch.rand(6, 1, 8, 8, generator=rng())
    torch.testing.assert_close(changed(drawn, rng()), drawn)


def test_a_shift_alone_moves_an_image_by_at_most_its_share(monkeypatch):
    for name in ("TURN", "SCALE", "SHEAR"):
        monkeypatch.setattr(images, name, 0.0)
    monkeypatch.setattr(images, "SHIFT", 1 / 16)  # half a pixel of eight
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(50, 1, 8, 8)
    moved = changed(ramp, rng()) - ramp
    inner = moved[..., 1:-1]  # beyond the edge there is nothing to interpolate
    assert inner.abs().max() <= 0.5 + 1e-4
    assert inner.abs().max() > 0.3
    assert (inner.amax((1, 2, 3)) - inner.amin((1, 2, 3))).max() < 1e-4  # one shift an image
