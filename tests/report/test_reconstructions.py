"""The insider's images: which are chosen, where each pixel lands, and what is said of them."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_study import plain_results, row
from made_up_users import NAMES, STUDY, generated, users
from PIL import Image

from seepage.records import UserError
from seepage.report.pictures import png
from seepage.report.reconstructions import (
    EACH,
    GAP,
    LEFT,
    TOP,
    drawn,
    evenly,
    gallery,
    images,
    notes,
    sheet,
)
from seepage.results import Generated

MADE = Generated.model_validate(generated())
SIDE = 14  # drawn 4 times as large: 56 pixels


def kept(rounds=(10, 20), classes=10, each=3, colored=False):
    """Every image is of one shade, which names its round, its class and its number."""
    shape = (classes, each, SIDE, SIDE) + (3,) * colored
    shade = np.arange(classes * each).reshape(classes, each) / 150
    shade = shade.reshape(classes, each, *(1,) * (len(shape) - 2))
    return {number: np.broadcast_to(shade + number / 1000, shape).copy() for number in rounds}


@given(st.integers(1, 60), st.integers(2, 9))
def test_evenly_keeps_the_ends_and_the_order(n, most):
    chosen = evenly(list(range(n)), most)
    assert len(chosen) == min(n, most)
    assert chosen[0] == 0
    assert chosen[-1] == n - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 1 else True
    assert np.all(np.diff(chosen) > 0)


def test_a_grid_has_six_rounds_at_most_and_the_last_always():
    rows = gallery(MADE, kept(range(10, 151, 10)))["rows"]
    assert [row_.number for row_ in rows] == [10, 40, 70, 90, 120, 150]
    assert rows[-1].agreement == "100 %"
    assert rows[1].agreement == "40.0 %"


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("colored", [False, True])
def test_the_sheet_has_every_image_at_its_place(colored):
    pictures = kept(colored=colored)
    pictures[20][3, 0] = np.nan  # the second one steps in
    pictures[10][5] = np.nan
    paper = pixels(sheet(MADE, pictures))
    step = 4 * SIDE + GAP
    assert paper.shape == (TOP + 2 * step, LEFT + 10 * step, 3)

    def tile(i, j):
        top, left = TOP + i * step, LEFT + j * step
        return paper[top : top + 4 * SIDE, left : left + 4 * SIDE]

    for i, number in enumerate((10, 20)):
        for j in range(10):
            shade = round(255 * ((3 * j + (number == 20 and j == 3)) / 150 + number / 1000))
            empty = number == 10 and j == 5
            assert np.all(tile(i, j) == (255 if empty else shade)), (number, j)
    assert np.all(paper[TOP + 4 * SIDE : TOP + step, LEFT:] == 255)  # the way between two rows
    assert np.any(paper[:TOP, LEFT:] < 128)  # class names
    assert np.any(paper[TOP:, :LEFT] < 128)  # rounds


def test_a_pixel_becomes_a_square():
    pictures = kept((10,), classes=1, each=1)
    pictures[10][0, 0] = 0.0
    pictures[10][0, 0, 2, 7] = 1.0
    paper = pixels(sheet(MADE, pictures))[TOP : TOP + 4 * SIDE, LEFT : LEFT + 4 * SIDE, 0]
    there = np.argwhere(paper == 255)
    assert there.min(0).tolist() == [8, 28]
    assert there.max(0).tolist() == [11, 31]
    assert len(there) == 16


def test_images_that_are_not_there_are_left_out():
    pictures = kept((10,), classes=2)[10]
    pictures[0, 1, 3, 3] = np.nan
    assert [float(each[0, 0]) for each in images(pictures, 0)] == pytest.approx(
        [0.01, 0.01 + 2 / 150]
    )
    assert images(pictures, 2) == []


def test_the_page_shows_the_last_round_class_by_class():
    pictures = kept((10, 150), each=EACH + 2)
    pictures[150][2] = np.nan
    found = gallery(MADE, pictures)
    assert found["last"] == 150
    assert [card.known.name for card in found["cards"]] == NAMES
    card = found["cards"][7]
    assert card.pictures == [png(each) for each in pictures[150][7][:EACH]]
    assert (card.agreement, card.diversity, card.coverage) == ("97.0 %", "0.55", "28.0 %")
    assert found["cards"][2].pictures == []
    assert [card.known.held for card in found["cards"]] == [False] * 8 + [True] * 2
    assert found["rows"][1].pictures[2] is None
    assert found["rows"][0].pictures[2] == png(pictures[10][2, 0])


def test_many_classes_are_shown_in_part():
    one = generated()["classes"][0]
    many = Generated.model_validate(generated(classes=[one | {"label": k} for k in range(100)]))
    found = gallery(many, kept((10,), classes=100, each=1) | {})
    assert len(found["classes"]) == 20
    assert found["left"] == 80
    assert len(found["cards"]) == 100


def test_no_image_makes_no_grid():
    nothing = {10: np.full((10, 2, 4, 4), np.nan)}
    for none in ({}, nothing):
        assert gallery(MADE, none) is None
        assert sheet(MADE, none) is None


@pytest.mark.parametrize("shape", [(10, 4, 4), (10, 2, 4, 4, 1), (10, 2, 3, 4, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UserError, match=r"got shape .* for round 10"):
        sheet(MADE, {10: np.zeros(shape)})


def said(**over):
    return drawn(plain_results([row()], study=STUDY, users=users(generated=generated(**over))))


def test_only_classes_that_the_insider_does_not_hold_count():
    classes = [
        each | {"n": n, "agreement": share}
        for each, (n, share) in zip(
            generated()["classes"],
            [(300, 1.0), (100, 0.2)] + [(0, None)] * 6 + [(900, 1.0)] * 2,
            strict=True,
        )
    ]
    assert said(classes=classes).sentence == (
        "Client 0 drew images of labels it does not hold, and an independent classifier sees in "
        "80.0 % of them what they are to show: of real records that classifier recognizes 97.7 %. "
        "The images of a class are on average 0.23 times as varied as real ones."
    )
    own = said(classes=classes[8:])
    assert own.headline.startswith("Client 0 drew images of its own labels")
    none = said(classes=[each | {"n": 0, "agreement": None} for each in classes])
    assert none.headline == "Client 0 kept no image"


def test_a_model_never_good_enough_is_told():
    found = said(began=None, kept=0, classes=[], rounds=[])
    assert found.detail == (
        "the global model never reached 93 % on the insider’s own records, so nothing was drawn."
    )
    assert drawn(plain_results([row()])) is None
    assert drawn(plain_results([row()], users=users(generated=None))) is None
    assert notes(Generated.model_validate(generated(began=None))) == []


def test_the_notes_hold_frechet_beside_real_images():
    first, classifier, frechet = notes(MADE)
    assert first == "Drawn from round 3 on; 5,000 images were kept."
    assert "names the class of 57.0 % of records that nobody trained on" in classifier
    assert frechet.endswith("is 38.1; real images are 4.2 from other real ones.")
    bare = Generated.model_validate(generated(frechet=None, classifier_accuracy=None))
    assert notes(bare)[1] == "They are too few for a Fréchet distance to real images."
    alone = Generated.model_validate(generated(frechet_real=None))
    assert notes(alone)[-1].endswith("features, is 38.1.")
