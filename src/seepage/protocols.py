"""Where a user may plug in. Each is a plain function or a frozen record of functions.

Nothing here runs anything: these types say what a callable receives and what it must return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from seepage.records import AdversaryName, Pass

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from seepage.records import IntArray, State
    from seepage.training.trainer import Trainer

    BatchHook = Callable[
        [torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]
    ]
    """``(inputs (b, ...), targets (b, C) probabilities, rng) -> (inputs, targets)``."""

    LossHook = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """``(logits (b, C), targets (b, C)) -> per-sample loss (b,)``."""

    PassHook = Callable[[Pass, torch.Tensor], torch.Tensor]
    """``(what went through the model, targets (b, C)) -> per-sample loss (b,)``."""

    ModelHook = Callable[[torch.nn.Module], torch.nn.Module]
    """``architecture -> architecture``, with weights from torch's own generator as it stands."""

    UpdateHook = Callable[[State, "Turn"], State]
    """``(change of each parameter, turn) -> change``; the change is ``new - old``."""

    ResponseHook = Callable[[torch.Tensor, "Query"], torch.Tensor]
    """``(logits (n, C), query) -> logits (n, C)``, on every answer the final model gives."""

    Fit = Callable[[Trainer, int, IntArray], "Fitted"]
    """``(trainer, number of the model, rows it may learn from) -> what came of it``."""

    Score = Callable[[xr.Dataset, int], xr.DataArray]
    """``(signals, target client or model) -> score (sample,)``, higher for members."""

    Decide = Callable[[xr.Dataset, int], xr.DataArray]
    """``(signals, target) -> whether each sample is said to be the target's (sample,)``, bool."""

    Uploads = Callable[["InsideTurn"], Mapping[int, State]]
    """``turn -> what each of the insider's clients uploads``, instead of honest training."""

    Watch = Callable[["InsideTurn", State], None]
    """``(turn, global parameters after the round)``; what is learned goes into ``turn.kept``."""

    Deal = Callable[["InsideTurn"], Mapping[int, State]]
    """``turn -> parameters given to single clients`` instead of the global ones."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a response hook may use beside the logits it is to change.

    Attributes:
        inputs: What was asked, normalised, shape ``(n, ...)``.
        forward: ``inputs -> logits`` of the model behind the answer, with no hook.
        rng: CPU generator for what the answer draws; another one for every call.
        mean: Subtracted from raw inputs, one value a channel (one in all for tables).
        std: What they were divided by.
        kept: What the defense's ``fit`` kept for its answers, by name.
    """

    inputs: torch.Tensor
    forward: Callable[[torch.Tensor], torch.Tensor]
    rng: torch.Generator
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a hook on updates may use beside the change: one client's round, or the server's.

    Names in ``kept`` and ``said`` start with the defense's own, so that several can share a turn.

    Attributes:
        rng: CPU generator for what the hook draws; another one for every client and round.
        weights: Aggregation weight of each of the round's clients, by client id.
        kept: What this client, or the server, kept from its turn before. A hook reads it and
            writes into it; it is saved with the run, so that a resumed run goes on from it.
        told: What the server kept, which it tells every client. The server's own ``kept``.
        said: What this client tells the server beside its change, written by its hook.
        heard: What each client of the round said, by client id; empty on a client's turn.
    """

    rng: torch.Generator
    weights: Mapping[int, float] = field(default_factory=dict)
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    told: Mapping[str, torch.Tensor] = field(default_factory=dict)
    said: dict[str, torch.Tensor] = field(default_factory=dict)
    heard: Mapping[int, Mapping[str, torch.Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NoisedUpdate:
    """What hooks on updates promise: every client's change is clipped, and noise is added.

    Declared beside the hooks that do it, so that ε can be told and the noise really added can be
    compared with it.

    Attributes:
        clip: Largest 2-norm *C* of a client's change, > 0. With ``adaptive`` the first one.
        sigma: Deviation of the Gaussian noise in units of ``clip``, >= 0: of each client's own
            noise, or of the server's noise on the *sum* of the changes.
        where: Who adds the noise. What the server adds hides nothing from the server.
        adaptive: Whether the norm moves from round to round.
        delta: The δ at which ε is told.
        kept: With ``adaptive``, the name under which the server keeps and tells the norm.
        on_changes: ``clients of the round -> sigma`` of the noise on the changes alone, where a
            part of ``sigma`` is spent on what clients say beside them. None: it is ``sigma``.
        alone: Whether nothing else acts on what is sent, so that the noise can be recomputed.
    """

    clip: float
    sigma: float
    where: Literal["client", "server"] = "client"
    adaptive: bool = False
    delta: float = 1e-5
    kept: str = ""
    on_changes: Callable[[int], float] | None = None
    alone: bool = True


@dataclass(frozen=True, kw_only=True)
class ClippedGradient:
    """Private gradients: every sample's is clipped, their sum is noised.

    Attributes:
        norm: Largest 2-norm *C* of a sample's gradient, > 0.
        sigma: Deviation of the Gaussian noise on the sum, in units of ``norm``, >= 0. None takes
            the least that keeps training within ``epsilon``, for the number of samples at hand.
        poisson: Whether every sample enters every batch by a coin of its own with probability
            ``batch_size / n``; else batches are cut from a shuffled order.
        epsilon: The budget that sets ``sigma`` where that is None.
        delta: The δ at which ε is told and the budget is kept.
        rounds: Calls of training that share the budget: the rounds of a federation.
    """

    norm: float
    sigma: float | None
    poisson: bool = True
    epsilon: float | None = None
    delta: float = 1e-5
    rounds: int = 1


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model trained by a defense's own procedure.

    Attributes:
        state: Its parameters (and buffers, where the architecture has running statistics).
        kept: What the defense's ``respond`` needs later, by name; tensors that can be saved.
    """

    state: State
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Defense:
    """What a defense does, at the places where it does it. None means: nothing there.

    Attributes:
        batch: On a client's mini-batch before the forward pass.
        loss: Instead of cross-entropy in local training.
        gradient: On each sample's gradient and on their sum, in local training.
        update: On a client's change of parameters before it leaves the client.
        server: On the aggregated change before the global model moves.
        respond: On every answer of the final model.
        fit: Instead of all local training, where the members are in one place, by a trainer's own.
        ready: ``(members, public records)``: refuses beforehand what ``fit`` cannot work with.
        share: Share of each local epoch's mini-batches that are trained on, in (0, 1].
        noise: What ``update`` and ``server`` promise of clipping and noise, where they do.
        sparse: Whether ``update`` leaves most coordinates at exactly 0, which shows everyone who
            sees an upload which ones were sent.
        model: On the architecture before anything is trained.
        inside: Instead of cross-entropy in local training, with a look at what goes through the
            model: its inputs, and the outputs of submodules that ``reads`` picks.
        reads: ``architecture -> names of submodules`` whose outputs ``inside`` is given.
    """

    batch: BatchHook | None = None
    loss: LossHook | None = None
    gradient: ClippedGradient | None = None
    update: UpdateHook | None = None
    server: UpdateHook | None = None
    respond: ResponseHook | None = None
    fit: Fit | None = None
    ready: Callable[[int, int], None] | None = None
    share: float = 1.0
    noise: NoisedUpdate | None = None
    sparse: bool = False
    model: ModelHook | None = None
    inside: PassHook | None = None
    reads: Callable[[torch.nn.Module], tuple[str, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class InsideTurn:
    """What an insider holds in its turn of one round: no other client's data and no upload.

    Attributes:
        number: The round, counting from 1.
        start: The global parameters that the round began with.
        learning_rate: The clients' step size in this round.
        taking_part: The insider's own clients that take part in this round, ascending.
        trainers: What each of these trains with, honestly or not; its samples are that client's
            own records and nothing else.
        weights: Their weights in the round's mean.
        defense: What the federation agreed on; honest training goes through its local hooks.
        rng: CPU generator for what the insider draws; another one for every round.
        kept: What the insider kept from the rounds before. It reads it and writes into it; it is
            saved with the run, so that a resumed run goes on from it.
    """

    number: int
    start: State
    learning_rate: float
    taking_part: tuple[int, ...]
    trainers: Mapping[int, Trainer]
    weights: Mapping[int, float]
    defense: Defense
    rng: torch.Generator
    kept: dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Insider:
    """Somebody inside a federation who does more than it should: clients, or the server.

    None means: as an honest one would.

    Attributes:
        clients: The clients that the insider is, ascending; none where it is the server.
        upload: What its clients send. They pass through the defense's ``update`` hook like any.
        watch: Called after every round with the new global parameters.
        deal: What single clients are given in place of the global parameters, by a server. A
            client dealt to is isolated: what it sends enters no mean.
        took: ``(turn, client -> what it sent)``, called with the uploads of the clients that were
            dealt to, for a server.
    """

    clients: tuple[int, ...] = ()
    upload: Uploads | None = None
    watch: Watch | None = None
    deal: Deal | None = None
    took: Callable[[InsideTurn, Mapping[int, State]], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A membership score and what it takes.

    Attributes:
        score: ``(signals, target) -> DataArray`` over dim ``sample`` alone, higher for members.
            A pure function of its arguments: no truth, no randomness, no state.
        adversary: The weakest adversary who holds what it needs.
        needs: Names of the signals it reads.
        summary: One line for tables.
        paper: Where it comes from, with its year.
        over: What the signals are compared over: the ``client`` uploads of a federation, its
            ``round``s alone, which tell whether anyone trained on a record (the target is then
            not looked at), or the final answers of a ``model`` and of reference models.
        also: Names of what it reads besides where that is there, such as the records' ``input``.
        only_by_name: Left out unless a study names it: another's variant, kept for comparison.
        adapts: The attack of the table that this one is, by an adversary who knows the defense
            and measures through it; left out where there is nothing to know.
        decide: Whose record it is, in so many words: the attack's own yes or no. An attack that
            has it asks about a user; its rows name the victim and tell how often it was right.
        stands_in: For a plain baseline of attacks on users: what it does without, in words that
            follow "that needs" (``no generator``).
    """

    score: Score
    adversary: AdversaryName
    needs: tuple[str, ...]
    summary: str
    paper: str
    over: Literal["client", "round", "model"] = "client"
    also: tuple[str, ...] = ()
    only_by_name: bool = False
    adapts: str = ""
    decide: Decide | None = None
    stands_in: str = ""

    def __call__(self, signals: xr.Dataset, target: int) -> xr.DataArray:
        return self.score(signals, target)
