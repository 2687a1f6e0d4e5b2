"""Whose record is it, over a sweep: shares marked by the number of labels that victims hold."""

from __future__ import annotations

from dataclasses import dataclass

from seepage.report.sweep_points import Mean, mean
from seepage.report.sweep_wording import listed
from seepage.report.users import STANDS_IN, WITH, Finding
from seepage.report.users_figures import BESIDE
from seepage.report.users_words import shown
from seepage.report.wording import accuracy, count, inside
from seepage.results import SweepPoint, SweepResults, SweepUser

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""Numbers of labels as words; larger ones stand as digits."""

FEW = 3
"""Series that a headline has room for."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One attack on all victims that hold as many labels, on one series.

    Attributes:
        series: The series.
        attack: The attack's name.
        labels: How many labels the victims declared.
        users: A row for each victim of each run: means and deviations are over all of them.
    """

    series: str
    attack: str
    labels: int
    users: tuple[SweepUser, ...]

    @property
    def marked(self) -> Mean:
        """Share of the victim's records marked as its own, the published accuracy."""
        return mean([user.paper_accuracy for user in self.users])

    @property
    def alarms(self) -> Mean:
        """Share of the other participants' records marked so."""
        return mean([user.false_alarms for user in self.users])

    @property
    def auc(self) -> Mean:
        """Area under the ROC; it reaches at least as far as the intervals of the victims."""
        spans = [user.auc_interval for user in self.users]
        return mean([user.auc for user in self.users], spans)


def asked(results: SweepResults) -> list[SweepPoint]:
    """The runs whose attacks asked whose record it is."""
    return [point for point in results.points if point.users]


def cells(
    results: SweepResults, attack: str | None = None, series: str | None = None
) -> list[Cell]:
    """Every cell, or those of one attack or series: by series, attack and number of labels."""
    found: dict[tuple[str, str, int], list[SweepUser]] = {}
    for point in asked(results):
        for user in point.users:
            if attack in (None, user.name) and series in (None, point.series):
                found.setdefault((point.series, user.name, user.labels), []).append(user)
    order = series_names(results)
    names = [*WITH, *dict.fromkeys(name for _, name, _ in found if name not in STANDS_IN)]
    names += STANDS_IN

    def place(key: tuple[str, str, int]) -> tuple[int, int, int]:
        return order.index(key[0]), names.index(key[1]), key[2]

    return [
        Cell(series=key[0], attack=key[1], labels=key[2], users=tuple(found[key]))
        for key in sorted(found, key=place)
    ]


def series_names(results: SweepResults) -> list[str]:
    """The series whose runs asked, as they came."""
    return list(dict.fromkeys(point.series for point in asked(results)))


def attack_order(results: SweepResults) -> list[str]:
    """The attacks as tables have them: the generator's, the others, then the baselines."""
    return list(dict.fromkeys(cell.attack for cell in cells(results)))


def speaks(results: SweepResults) -> str | None:
    """The attack that speaks: the generator's, else the best by AUC that is no baseline's."""
    names = attack_order(results)
    known = [name for name in names if name in WITH]
    others = [name for name in names if name not in STANDS_IN] or names
    return known[0] if known else max(others, key=lambda name: _area(results, name), default=None)


def baseline(results: SweepResults) -> str | None:
    """The baseline beside it: the global model alone, else another that was run."""
    names = [name for name in (BESIDE, *STANDS_IN) if name in attack_order(results)]
    return next((name for name in names if name != speaks(results)), None)


def _area(results: SweepResults, name: str) -> float:
    own = [user.auc for cell in cells(results, name) for user in cell.users]
    return sum(own) / len(own)


def user_headline(results: SweepResults) -> str | None:
    """The finding in a line, at the fewest labels that victims of all series hold; else None."""
    attack, plain = speaks(results), baseline(results)
    order = series_names(results)
    if attack is None:
        return None
    held = [{cell.labels for cell in cells(results, attack, name)} for name in order]
    shared = set.intersection(*held)
    if not shared:
        return None
    fewest = min(shared)
    words = f"Of a {victim(fewest)}’s records, {attack} marks {_across(results, attack, fewest)}"
    rest = "" if plain is None else _across(results, plain, fewest)
    return f"{words}; {inside(_called(plain))} {rest}" if plain and rest else words


def _across(results: SweepResults, attack: str, labels: int) -> str:
    """``71.0 % (listening) and 83.1 % (injecting)``; of many series, the least and the most."""
    own = [cell for cell in cells(results, attack) if cell.labels == labels]
    if len(own) > FEW:
        own = [f(own, key=lambda cell: cell.marked.value) for f in (min, max)]
    shares = [shown(cell.marked.value) for cell in own]
    if len(set(shares)) == 1 and len(own) == len(series_names(results)):
        return shares[0]
    named = [f"{words} ({cell.series})" for words, cell in zip(shares, own, strict=True)]
    return listed(named, "to" if len(series_names(results)) > FEW else "and")


def user_findings(results: SweepResults) -> list[Finding]:
    """What the attack marks by the number of labels, and the baseline beside it, by series."""
    attack, plain = speaks(results), baseline(results)
    if attack is None:
        return []
    found = []
    for name in series_names(results):
        own = cells(results, attack, name)
        if own:
            opened = f"{name}: " if len(series_names(results)) > 1 else ""
            sentences = [_alarms(own), trend(own)]
            if plain is not None:
                sentences += _beside(own, cells(results, plain, name))
            detail = " ".join(each for each in sentences if each)
            found.append(Finding(headline=f"{opened}{attack} marks {_ends(own)}", detail=detail))
    return found


def _ends(own: list[Cell]) -> str:
    """What is marked of the victims with the fewest labels and with the most."""
    first, last = own[0], own[-1]
    words = f"{share(first.marked)} of a {victim(first.labels)}’s records as the victim’s"
    if last is first:
        return words
    return f"{words}, and {share(last.marked)} of a {victim(last.labels)}’s"


def _alarms(own: list[Cell]) -> str:
    """False alarms and areas at both ends, and how many victims the means are over."""
    ends = own[:1] if len(own) == 1 else [own[0], own[-1]]
    sizes = dict.fromkeys(len(cell.users) for cell in ends)
    victims = f"{listed([count(n) for n in sizes])} victim{'' if list(sizes) == [1] else 's'}"
    each = " each" if len(sizes) < len(ends) else ""
    return f"{_numbers(ends)}; over all runs, {victims}{each}."


def _numbers(ends: list[Cell]) -> str:
    alarms = listed([shown(cell.alarms.value) for cell in ends])
    return f"False alarms {alarms}, AUC {listed([f'{cell.auc.value:.3f}' for cell in ends])}"


def trend(own: list[Cell]) -> str:
    """Whether accuracy falls as the victim holds more labels, as far as the spread lets one tell.

    From the fewest labels to the most: it falls, or rises, where the two reaches (mean and
    deviation over victims and seeds) lie apart. Nothing is said of a single number of labels.
    """
    if len(own) < 2:
        return ""
    first, last = own[0].marked, own[-1].marked
    way = f"from {labels_of(own[0].labels)} to {number(own[-1].labels)}"
    if not (last.below(first) or first.below(last)):
        return f"Accuracy cannot be told to fall or to rise {way}: {_reaches(own)}."
    steps = [cell.marked.value for cell in own]
    falls = last.value < first.value
    steady = sorted(set(steps), reverse=falls) == steps
    between = "" if len(own) == 2 else ", at every step" if steady else ", not at every step"
    alone = [cell for cell in (own[0], own[-1]) if len(cell.users) == 1]
    spread = ", by more than the spread over victims and seeds"
    sure = f", as far as {_alone(alone)} can tell" if alone else spread
    return f"Accuracy {'falls' if falls else 'rises'} {way}{between}{sure}."


def _reaches(own: list[Cell]) -> str:
    ends = [own[0], own[-1]]
    alone = [cell for cell in ends if len(cell.users) == 1]
    if own[0].marked.value == own[-1].marked.value:
        return "it is the same"
    within = "the difference lies within the spread over victims and seeds"
    return f"{within}, and there is only {_alone(alone)}" if alone else within


def _alone(alone: list[Cell]) -> str:
    return listed([f"one victim with {labels_of(cell.labels)}" for cell in alone])


def _beside(own: list[Cell], plain: list[Cell]) -> list[str]:
    """The baseline at both ends, and whether the attack adds anything to it."""
    pairs = [(c, p) for c in own for p in plain if c.labels == p.labels]
    if not pairs:
        return []
    ends = pairs[:1] if len(pairs) == 1 else [pairs[0], pairs[-1]]
    marks = listed([share(p.marked) for _, p in ends])
    name, attack = plain[0].attack, own[0].attack
    numbers = inside(_numbers([p for _, p in ends]))
    words = f"{_called(name)} ({name}) marks {marks}; {numbers}."
    more = [c.labels for c, p in pairs if p.marked.below(c.marked) or p.auc.below(c.auc)]
    adds = WITH.get(attack, attack)
    told = f"{adds[0].upper()}{adds[1:]}" if attack in WITH else adds
    if not more:
        return [f"{words} {told} adds nothing to whose record it is."]
    every = len(more) == len(pairs)
    few = f"{listed([number(n) for n in more])} label{'' if more == [1] else 's'}"
    return [f"{words} {told} tells more than that{'' if every else f' of victims with {few}'}."]


def _called(name: str | None) -> str:
    """A baseline at the beginning of a sentence."""
    return STANDS_IN.get(name or "", name or "").rstrip(",")


def share(value: Mean) -> str:
    """``71.0 % ± 3.2``: the mean over victims and seeds and their deviation."""
    return accuracy(value.value, value.deviation)


def number(labels: int) -> str:
    """``five``, or ``12``."""
    return NUMBERS[labels] if labels < len(NUMBERS) else str(labels)


def labels_of(labels: int) -> str:
    """``one label``, ``five labels``."""
    return f"{number(labels)} label{'' if labels == 1 else 's'}"


def victim(labels: int) -> str:
    """``one-label victim``."""
    return f"{number(labels)}-label victim"
