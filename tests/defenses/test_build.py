"""Defenses from names and options, as studies give them."""

import tomllib
from collections.abc import Sequence
from typing import Literal

import pytest
import torch

from seepage.defenses import DEFENSES, build, compose, dp_sgd, entries, label_smoothing
from seepage.defenses.build import _make
from seepage.defenses.hamp import hamp
from seepage.defenses.table import Entry
from seepage.protocols import Defense
from seepage.records import UserError

HAMP = {"gamma": 0.5, "alpha": 0.03}


def kinds(
    *,
    number: float = 1.0,
    count: int = 1,
    switch: bool = False,
    word: str = "a",
    choice: Literal["one", "other"] = "one",
    maybe: int | None = None,
    many: Sequence[int] | None = None,
    anything=None,
):
    given = (number, count, switch, word, choice, maybe, many, anything)
    return Defense(batch=given)  # pyright: ignore


ENTRY = Entry(
    factory=kinds,
    summary="",
    paper="",
    options=dict.fromkeys(kinds.__kwdefaults__, "what it means"),
)


@pytest.mark.parametrize(
    "given",
    [
        "number = 2",
        "number = 2.5",
        "count = 3",
        "switch = true",
        'word = "b"',
        'choice = "other"',
        "maybe = 4",
        "many = [1, 2]",
        "many = []",
        "anything = {a = 1}",
    ],
)
def test_values_of_the_right_kind_reach_the_factory(given):
    options = tomllib.loads(given)
    assert _make("kinds", ENTRY, options) == kinds(**options)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('number = "2"', r"kinds.number must be a number \(what it means\), got '2'"),
        ("number = true", "a number .* got True"),
        ("count = 3.0", "a whole number .* got 3.0"),
        ("count = true", "a whole number .* got True"),
        ("switch = 1", "true or false .* got 1"),
        ("word = 1", "a string .* got 1"),
        ('choice = "neither"', "'one' or 'other' .* got 'neither'"),
        ('maybe = "4"', r"must be a whole number \("),
        ("many = 1", r"must be a list, each of them a whole number \(.* got 1"),
        ("many = [1, 2.5]", r"got \[1, 2.5\]"),
    ],
)
def test_values_of_another_kind_are_refused(given, words):
    with pytest.raises(UserError, match=words):
        _make("kinds", ENTRY, tomllib.loads(given))


def test_none_is_only_for_what_may_be_none():
    assert _make("kinds", ENTRY, {"maybe": None}) == kinds()
    with pytest.raises(UserError, match="must be a number"):
        _make("kinds", ENTRY, {"number": None})


@pytest.mark.parametrize("name", DEFENSES)
def test_every_factory_says_of_what_kind_its_options_are(name):
    annotations = DEFENSES[name].factory.__annotations__
    assert set(DEFENSES[name].options) <= set(annotations)


def test_a_missing_option_is_asked_for():
    with pytest.raises(UserError, match=r"'hamp' needs the option 'alpha' \(weight of the entropy"):
        build("hamp", {"gamma": 0.5})
    with pytest.raises(UserError, match="'early_stopping' needs the option 'epochs'"):
        build("early_stopping")


def test_a_grid_of_zero_solves_exactly():
    logits, targets = torch.zeros(1, 30), torch.eye(30)[:1]
    found = {
        str(grid): float(hamp(**HAMP, grid=grid).loss(logits, targets)) for grid in (None, 0.01)
    }
    assert float(build("hamp", HAMP | {"grid": 0}).loss(logits, targets)) == found["None"]
    assert float(build("hamp", HAMP).loss(logits, targets)) == found["0.01"] != found["None"]


def same(one, other):
    """Hooks that are partial functions of the same functions and arguments."""

    def taken(hook):
        return (hook.func, hook.args) if hasattr(hook, "func") else hook

    return all(
        taken(getattr(one, n)) == taken(getattr(other, n)) for n in Defense.__dataclass_fields__
    )


def test_names_joined_by_plus_are_composed_in_order():
    options = tomllib.loads("""
        [hamp]
        gamma = 0.5
        alpha = 0.03
        [dp_sgd]
        clip = 2.0
    """)
    both = build("hamp+dp_sgd", options)
    assert same(both, compose(hamp(**HAMP), dp_sgd(clip=2.0)))
    assert list(entries("hamp+dp_sgd").values()) == [DEFENSES["hamp"], DEFENSES["dp_sgd"]]
    updates = build("quantization+sparsification").update.args[0]
    assert [hook.func.__name__ for hook in updates] == ["_quantize", "_sparsify"]


def test_parts_without_options_have_their_defaults():
    assert same(build("mixup+weight_noise", {"mixup": {"alpha": 0.5}}), build(
        "mixup+weight_noise", {"mixup": {"alpha": 0.5}, "weight_noise": {}}
    ))  # fmt: skip
    strong = {"label_smoothing": {"smoothing": 0.2}}
    assert same(build("none+label_smoothing", strong), label_smoothing(smoothing=0.2))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("hamp+dpsgd", {}, "no defense 'dpsgd'; did you mean dp_sgd"),
        ("hamp+", {}, "no defense ''; known here"),
        ("mixup+mixup", {}, "names 'mixup' more than once"),
        ("mixup+dp_sgd", {"clip": 1.0}, "one table a defense, such as mixup.OPTION; got 'clip'"),
        ("mixup+dp_sgd", {"dpsgd": {}}, "got 'dpsgd'; did you mean dp_sgd"),
        ("mixup+dp_sgd", {"dp_sgd": 1.0}, "options of 'dp_sgd' in .* must be a table, got 1.0"),
        ("mixup+dp_sgd", {"dp_sgd": {"clipp": 1}}, "'dp_sgd' has no option 'clipp'; did you mean"),
        ("hamp+dp_sgd", {}, "'hamp' needs the option 'gamma'"),
        ("hamp+label_smoothing", {"hamp": HAMP, "label_smoothing": {"smoothing": 0.1}}, "the loss"),
        ("memguard+mixup", {}, "training procedure of its own cannot be combined"),
    ],
)
def test_what_cannot_be_combined_is_refused_with_a_hint(name, options, words):
    with pytest.raises(UserError, match=words):
        build(name, options)
