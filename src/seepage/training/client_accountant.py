r"""What clipped and noised updates promise their clients, counted in every way that is in use.

A client's change has 2-norm at most *C*; noise of deviation σC is added to it, or to the sum of
the round's. What ε that is depends on four answers, and one run has an ε for each:

* *neighbors*: with ``one client's data replaced`` a sum moves by up to 2C, so the effective noise
  multiplier (deviation over sensitivity) is σ/2; with its ``change set to zero`` it is σ (less
  where bits about the changes are noised beside them: a zero can turn a whole bit);
* *against whom*: a server that sees the uploads; someone who sees their mean alone, where the
  noises of all clients add up; someone who sees it after the server's own noise;
* *sampling*: a draw of clients gains something only where nobody learns who took part, which a
  federation does not keep secret, and what holds for a coin each (Poisson) need not hold for a
  cohort of fixed size;
* *accountant*: privacy loss distributions (PLD) are tight, Rényi moments (RDP) are not.

``holds`` tells those that bound the run as it is made from those that only other accountants would
print for it. A promise about all of a client's data covers each of its records.

References:
    | Learning Differentially Private Recurrent Language Models (McMahan et al., 2018)
    | Subsampled Rényi Differential Privacy (Wang et al., 2019), Theorem 27: fixed cohorts
    | Rényi DP of the Sampled Gaussian Mechanism (Mironov et al., 2019): Poisson cohorts

Who takes part in a round, how many records clients have and the weights they get are public.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seepage.records import AdversaryName
from seepage.training.accountant import Guarantee, epsilon
from seepage.training.renyi import renyi_epsilon

if TYPE_CHECKING:
    from seepage.protocols import NoisedUpdate

REPLACED = "one client's data replaced"
ZEROED = "one client's change set to zero"
ADDED = "one client added or removed"

EVERY_ROUND = "none: every round counts"


@dataclass(frozen=True, kw_only=True)
class Counted(Guarantee):
    """(ε, δ) of a federation's clients, counted one way.

    Attributes:
        relation: What neighbors differ by.
        against: The most able adversary that ε is counted for.
        holds: Whether this ε bounds the run.
    """

    relation: str
    against: AdversaryName
    holds: bool


def ways_of_counting(
    noise: NoisedUpdate, *, sizes: Sequence[int], cohort: int, rounds: int
) -> list[Counted]:
    """ε of ``noise`` over a federation, in each way of counting; the promise itself comes first.

    The promise is about one client's data replaced, against everyone the noise protects from: the
    server where clients add it, a participant where the server does. Where several accountings
    bound that, it is the smallest ε.

    Args:
        noise: What the hooks on updates promise.
        sizes: Number of records of each client, shape ``(K,)``; weights are their shares among
            the clients of a round.
        cohort: Clients that take part in a round, from 1 to K, drawn without replacement.
        rounds: Number of rounds *T* ≥ 1. A client may be drawn in each of them.

    Returns:
        One entry for each way. ``sigma`` is the effective noise multiplier. Without noise every ε
        is None.

    Raises:
        UserError: σ or δ is out of range.
    """
    ways = (_local if noise.where == "client" else _central)(noise, sizes, cohort, rounds)
    counted = [_count(way, noise) for way in ways]
    against = counted[0].against

    def promise(one: Counted) -> tuple[bool, float]:
        is_it = one.holds and one.relation == REPLACED and one.against == against
        return not is_it, math.inf if one.epsilon is None else one.epsilon

    first = min(counted, key=promise)
    return [first, *(one for one in counted if one is not first)]


@dataclass(frozen=True, kw_only=True)
class _Way:
    relation: str
    against: AdversaryName
    sigma: float
    steps: int
    epsilon: Callable[[float, int, float], float]
    accountant: str = "PLD"
    sampling: str = EVERY_ROUND
    holds: bool = True


def _count(way: _Way, noise: NoisedUpdate) -> Counted:
    found = way.epsilon(way.sigma, way.steps, noise.delta) if noise.sigma else math.inf
    return Counted(
        epsilon=found if math.isfinite(found) else None,
        delta=noise.delta,
        accountant=way.accountant,
        sampling=way.sampling,
        sigma=way.sigma,
        steps=way.steps,
        relation=way.relation,
        against=way.against,
        holds=way.holds,
    )


def _unsampled(
    noise: NoisedUpdate, cohort: int, rounds: int, against: AdversaryName
) -> Iterator[_Way]:
    """Both relations by both accountants, with no gain from sampling: these always hold."""
    for relation, multiplier in ((REPLACED, noise.sigma / 2), (ZEROED, _zeroed(noise, cohort))):
        common: dict[str, Any] = {"relation": relation, "against": against, "steps": rounds}
        yield _Way(**common, sigma=multiplier, epsilon=_tight)
        yield _Way(**common, sigma=multiplier, epsilon=_moments, accountant="RDP")


def _zeroed(noise: NoisedUpdate, cohort: int) -> float:
    r"""The effective multiplier where a change becomes 0.

    Where the norm adapts, σ is what changes and bits have together, :math:`\sigma^{-2} =
    z^{-2} + (2\sigma_b)^{-2}`, for bits that move their sum by ½. A change beyond the norm that
    becomes 0 turns a whole bit: :math:`z^{-2} + \sigma_b^{-2} = 4\sigma^{-2} - 3z^{-2}`.
    """
    if noise.on_changes is None or not noise.sigma:
        return noise.sigma
    return (4 / noise.sigma**2 - 3 / noise.on_changes(cohort) ** 2) ** -0.5


def _local(noise: NoisedUpdate, sizes: Sequence[int], cohort: int, rounds: int) -> Iterator[_Way]:
    """Noise that every client adds to its own upload."""
    sigma = noise.sigma
    yield from _unsampled(noise, cohort, rounds, "server")
    known: dict[AdversaryName, int] = {"aggregate": 0, "participant": 1}
    for against, own in known.items():
        joint = sigma / 2 * joint_noise(sizes, cohort, known=own)
        yield _Way(relation=REPLACED, against=against, sigma=joint, steps=rounds, epsilon=_tight)
    if cohort < len(sizes):
        yield _Way(
            relation=REPLACED,
            against="server",
            sigma=sigma / 2,
            steps=max(1, round(rounds * cohort / len(sizes))),
            epsilon=_tight,
            sampling="the expected number of rounds",
            holds=False,
        )


def _central(noise: NoisedUpdate, sizes: Sequence[int], cohort: int, rounds: int) -> Iterator[_Way]:
    """Noise that the server adds to the sum."""
    yield from _unsampled(noise, cohort, rounds, "participant")
    if cohort == len(sizes):
        return
    sigma, all_but_her = noise.sigma, len(sizes) - 1  # a participant knows of herself
    yield _fixed("participant", sigma / 2, cohort, all_but_her, "others", rounds)
    yield _fixed("querier", sigma / 2, cohort, len(sizes), "clients", rounds)
    # counted as if replacing a client moved the sum by C
    yield _fixed("querier", sigma, cohort, len(sizes), "clients", rounds)
    yield from _poisson(sigma, cohort / len(sizes), rounds)


def _fixed(
    against: AdversaryName,
    sigma: float,
    drawn: int,
    among: int,
    whom: str,
    rounds: int,
) -> _Way:
    """A cohort that is drawn without replacement, and kept secret, which no cohort here is.

    It would hold for clients of equal weight alone: a cohort without the client has another in
    its place, and is that a move by 2C only if both weigh the same.
    """

    def moments(sigma: float, steps: int, delta: float) -> float:
        return renyi_epsilon(sigma=sigma, steps=steps, delta=delta, drawn=drawn, among=among)

    return _Way(
        relation=REPLACED,
        against=against,
        sigma=sigma,
        steps=rounds,
        epsilon=moments,
        accountant="RDP",
        sampling=f"{drawn} of {among} {whom}, without replacement and in secret",
        holds=False,
    )


def _poisson(sigma: float, rate: float, rounds: int) -> Iterator[_Way]:
    """A coin for each client, which is not how cohorts are drawn."""

    def moments(sigma: float, steps: int, delta: float) -> float:
        return renyi_epsilon(sigma=sigma, steps=steps, delta=delta, poisson=rate)

    def tight(sigma: float, steps: int, delta: float) -> float:
        return epsilon(sampling_rate=rate, sigma=sigma, steps=steps, delta=delta)

    for accountant, count in {"RDP": moments, "PLD": tight}.items():
        yield _Way(
            relation=ADDED,
            against="querier",
            sigma=sigma,
            steps=rounds,
            epsilon=count,
            accountant=accountant,
            sampling=f"Poisson, q = {rate:.4g}",
            holds=False,
        )


def joint_noise(sizes: Sequence[int], cohort: int, *, known: int = 0) -> float:
    r"""How much less one client moves a weighted mean than its noise does, in the worst cohort.

    .. math:: \min_{S, k \in S} \sqrt{\sum_{j \in S} w_j^2} \,/\, w_k

    with weights :math:`w_j = n_j / \sum_{i \in S} n_i`: the largest client, in the company of the
    smallest. With equal weights it is the root of the number of clients.

    Args:
        sizes: Records of each client.
        cohort: Clients in a round.
        known: Clients beside her whose noise is no secret: 1 where the one who looks takes part
            and can subtract her own.
    """
    *others, largest = sorted(sizes)
    hiding = others[: max(0, cohort - 1 - known)]
    return math.sqrt(largest**2 + sum(size**2 for size in hiding)) / largest


def _tight(sigma: float, steps: int, delta: float) -> float:
    return epsilon(sampling_rate=1.0, sigma=sigma, steps=steps, delta=delta)


def _moments(sigma: float, steps: int, delta: float) -> float:
    return renyi_epsilon(sigma=sigma, steps=steps, delta=delta)
