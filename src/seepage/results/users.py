"""What a curious participant made of what it saw, and whose record is whose."""

from __future__ import annotations

from pydantic import Field

from seepage.results.rows import Interval, Rate01, Strict


class Reconstruction(Strict):
    """The images an insider kept of one class, after the last round.

    ``held`` says whether the insider holds the class itself. ``agreement`` is the share of images
    that an independent classifier, trained on records of nobody in the federation, gives the class
    they are meant to show. ``diversity`` is their mean distance from each other divided by that of
    real images of the class: 1 as varied as real ones, 0 all alike. ``coverage`` is the share of
    real images with a kept one as near as their k-th real neighbor. None where none was kept.
    """

    label: int
    name: str
    held: bool
    n: int
    agreement: Rate01 | None
    diversity: float | None
    coverage: Rate01 | None


class PictureRound(Strict):
    """The images kept in one round: how many, and how many the independent classifier agrees on."""

    round: int
    n: int
    agreement: Rate01 | None


class Generated(Strict):
    """What a generator was led to by the global models of a federation.

    ``began`` is the round it first drew in; None where the global model never was good enough.
    ``classifier_accuracy`` is that of the attack's classifier, trained on kept images alone, on
    records that nobody trained on; ``evaluator_accuracy`` that of the independent one, which has
    no part in the attack. ``frechet`` compares kept and real images in the latter's features
    (None: too few), and ``frechet_real`` real images with other real ones.
    """

    active: bool
    began: int | None
    kept: int
    evaluator_accuracy: Rate01
    classifier_accuracy: Rate01 | None
    frechet: float | None
    frechet_real: float | None
    classes: list[Reconstruction]
    rounds: list[PictureRound]
    seconds: float


class Users(Strict):
    """Who asked whose record a record is: ``clients`` are the insider's.

    ``declared`` has one entry a client of the federation: the labels it declared, ascending.
    ``federation`` is the number of clients, ``attendance`` whether the insider knew who took part
    in a round.
    """

    clients: list[int]
    federation: int
    declared: list[list[int]]
    attendance: bool
    generated: Generated | None = None


class Source(Strict):
    """Which client holds a record that one of them holds (Hu et al., 2021).

    ``confusion[i][j]`` counts records of client *i* that are said to be client *j*'s; ``clients``
    are their numbers. ``accuracy`` is the share on the diagonal, ``chance`` that of guessing.
    ``largest`` is what always naming the client with most of these records gives; ``by_label``,
    where labels were dealt out unevenly, naming the one with most records of the same label.
    """

    attack: str
    clients: list[int]
    n: int = Field(ge=1)
    accuracy: Rate01
    interval: Interval
    chance: Rate01
    largest: Rate01 | None = None
    by_label: Rate01 | None = None
    confusion: list[list[int]]
