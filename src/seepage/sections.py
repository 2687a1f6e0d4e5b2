"""The sections of a study file, one class each, with the range of every setting."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Options = dict[str, Any]


class Section(BaseModel):
    """Strict and frozen: a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class DataSection(Section):
    """Which samples there are and which client holds them.

    Attributes:
        name: A name from the table of data sets, ``folder:PATH``, ``hub:NAME`` or
            ``package.module:function``.
        clients: Number of clients *K*.
        partition: How the training samples are dealt out.
        per_client: Samples a client gets; None shares out all there are.
        held_out: Samples that nobody trains on; None keeps all that are left.
        beta: Concentration of the Dirichlet partition; smaller is less alike.
        min_size: Fewest samples the Dirichlet partition may give a client.
        labels_per_client: Labels each client holds under ``disjoint_labels``: a number, or one a
            client.
        per_label: Samples a client gets of each of its labels under ``disjoint_labels``, in place
            of ``per_client``; None shares out all there are.
        overlap: Share of each client's labels, rounded to whole ones, that it takes from one list
            common to all, under ``disjoint_labels``: 0 keeps labels apart.
        sizes: Samples of each client under ``sizes``.
        options: Passed to the data set's reader.
    """

    name: str = "digits"
    clients: Count = 10
    partition: Literal["iid", "dirichlet", "disjoint_labels", "sizes"] = "iid"
    per_client: Count | None = None
    held_out: Count | None = None
    beta: Positive = 1.0
    min_size: Count = 10
    labels_per_client: Count | Annotated[list[Count], Field(min_length=1)] = 2
    per_label: Count | None = None
    overlap: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    sizes: list[Count] | None = None
    options: Options = {}

    @model_validator(mode="after")
    def _sizes_fit(self) -> DataSection:
        if self.partition == "sizes" and (self.sizes is None or len(self.sizes) != self.clients):
            came = "none" if self.sizes is None else str(len(self.sizes))
            raise ValueError(
                f"data.sizes needs one size for each of the {self.clients} clients, got {came}"
            )
        each = self.labels_per_client
        if isinstance(each, list) and len(each) != self.clients:
            raise ValueError(
                f"data.labels_per_client needs one number for each of the {self.clients} clients, "
                f"or one for all, got {len(each)}"
            )
        return self


class ModelSection(Section):
    """The architecture: a name from the table of models or ``package.module:factory``."""

    name: str = "mlp"
    options: Options = {}


class FederationSection(Section):
    """How the clients train together.

    Attributes:
        algorithm: ``fedavg`` sends models after local training, ``fedsgd`` one gradient.
        rounds: Number of rounds *T*.
        participation: Share of the clients drawn, without replacement, in each round.
        local_epochs: Passes over a client's data in a round.
        local_share: Share of each pass's mini-batches that are trained on, another draw of them in
            every round: rounds are as short as with fewer data, and still see all of it in time.
        batch_size: Samples in a local mini-batch.
        shuffle: Whether every local epoch goes through the samples in a new order.
        optimizer: Local optimizer, made afresh in every round.
        learning_rate: Local step size in round 1.
        momentum: Momentum of SGD.
        weight_decay: L2 pull of SGD and Adam, decoupled pull of AdamW.
        schedule: How the step size changes from round to round.
        decay: Factor of ``exponential`` (None: 0.99) and ``milestones`` (None: 0.1).
        milestones: Rounds after which ``milestones`` multiplies by ``decay``.
        local_schedule: How the step size changes from local epoch to local epoch.
        local_milestones: Local epochs after which ``milestones`` multiplies by 0.1.
        restart_each_epoch: Whether the local optimizer forgets its momentum after every epoch.
        keep: The model kept of local training: the ``last`` epoch's, or the one with the ``best``
            accuracy on ``reference.validation`` records.
    """

    algorithm: Literal["fedavg", "fedsgd"] = "fedavg"
    rounds: Count = 100
    participation: Share = 1.0
    local_epochs: Count = 1
    local_share: Share = 1.0
    batch_size: Count = 32
    shuffle: bool = True
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weight_decay: NonNegative = 0.0
    schedule: Literal["constant", "exponential", "cosine", "milestones"] = "constant"
    decay: Share | None = None
    milestones: list[Count] = []
    local_schedule: Literal["constant", "milestones", "cosine"] = "constant"
    local_milestones: list[Count] = []
    restart_each_epoch: bool = False
    keep: Literal["last", "best"] = "last"


class DefenseSection(Section):
    """The defense switched on: a name from the table of defenses, with its options."""

    name: str = "none"
    options: Options = {}


class ObserveSection(Section):
    """What is kept of the run.

    Attributes:
        every: Rounds ``every, 2·every, …`` are observed.
        rounds: The observed rounds one by one, instead of ``every``.
        weights: Whether the trace keeps parameters on disk: ``none`` (signals are measured while
            training), ``half`` (global models, and updates as float16 differences) or ``full``.
        signals: Signals to measure; None measures what the attacks need.
        draws: Times that signals are measured through a defense's own draws (mixtures,
            augmentations), by an adversary who knows it; their mean counts.
    """

    every: Count = 10
    rounds: Annotated[list[Count], Field(min_length=1)] | None = None
    weights: Literal["none", "half", "full"] = "none"
    signals: list[str] | None = None
    draws: Count = 4


class ReferenceSection(Section):
    """A black-box audit: many models, each trained on half the records, every one of them a target.

    Attributes:
        models: Models trained on halves of the records; an even number. None
            makes no such audit.
        targets: The models that are audited, or ``all``; the others are their reference models.
        records: Records in the pool that the halves are drawn from; None takes all there are.
        public: Records outside the pool, which anyone holds: reference data of defenses and
            attacks.
        validation: Records outside the pool that choose the best epoch.
        queries: Times each record is asked about: itself first, then slightly changed.
        canaries: Records of the pool that are audited on their own as well, and give the
            one-run bound on ε.
        canary: Whether canaries are records as they are (``natural``) or have a wrong label
            (``mislabelled``).
        answers: What the adversary gets: ``responses`` are what the defended model says, and
            ``logits`` what it would say without the defense's last word.
    """

    models: Annotated[int, Field(ge=6, multiple_of=2)] | None = None
    targets: Literal["all"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = (
        "all"
    )
    records: Annotated[int, Field(ge=4)] | None = None
    public: Annotated[int, Field(ge=0)] = 0
    validation: Annotated[int, Field(ge=0)] = 0
    queries: Count = 1
    canaries: Annotated[int, Field(ge=0)] = 0
    canary: Literal["natural", "mislabelled"] = "natural"
    answers: Literal["responses", "logits"] = "responses"


class GanSection(Section):
    """A generator that an insider trains against the federation's global models.

    Attributes:
        active: Whether the insider also uploads models trained to tell its images from records,
            as an extra class. The model then has one output more than the data has classes.
        start: Accuracy of the global model on the insider's own records, from which on it draws.
        rounds: Rounds it draws in; then it is as honest as anyone. None: all that are left.
        steps: Steps of the generator in a round.
        batch_size: Images in a step.
    """

    active: bool = False
    start: Share = 0.93
    rounds: Count | None = None
    steps: Count = 40
    batch_size: Count = 64


class AscentSection(Section):
    """An insider raises the loss on the candidates in every observed round, and watches it fall.

    Attributes:
        by: ``participant``, in what it uploads; or ``server``, in what it gives the targets, which
            it keeps apart from the others.
        rate: Step size on the mean loss over all candidates.
        steps: Steps uphill in a round.
    """

    by: Literal["participant", "server"] = "participant"
    rate: Positive = 0.1
    steps: Count = 1


class InsiderSection(Section):
    """Somebody inside the federation who is curious, and may be active.

    Attributes:
        clients: The clients the insider is; several pool what they hold. Their own records are no
            candidates. None are only for a server that isolates.
        attendance: Whether the insider knows which clients take part in a round.
        gan: The generator it trains; None trains none.
        ascent: How it raises the loss on the candidates; None raises none.
    """

    clients: list[Annotated[int, Field(ge=0)]] = []
    attendance: bool = False
    gan: GanSection | None = None
    ascent: AscentSection | None = None


class CandidatesSection(Section):
    """Which records the adversary asks about; one pool for the whole study.

    Attributes:
        targets: The clients whose membership is asked, or ``all``.
        members: Records drawn from each client that is a target; None takes all.
        held_out: Records drawn from those nobody trained on; None takes all.
        others: Records drawn from each client that is not a target; None takes all.
        redraw_candidates: Reproduce the released protocol's redraw of the non-members for every
            client and round. Its results are not valid; it exists to show why.
    """

    targets: Literal["all"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = (
        "all"
    )
    members: Count | None = None
    held_out: Count | None = None
    others: Count | None = None
    redraw_candidates: bool = False


class AttackSection(Section):
    """The attacks to run; None runs all that the signals allow."""

    names: Annotated[list[str], Field(min_length=1)] | None = None


class MetricsSection(Section):
    """Operating points and confidence.

    Attributes:
        fpr: False positive (and false negative) rates to report at. A rate asked for by name
            must be one that the candidates can resolve; the default ones are marked instead.
        confidence: Level of every interval.
    """

    fpr: Annotated[list[Annotated[float, Field(gt=0.0, lt=1.0)]], Field(min_length=1)] | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95


class ComputeSection(Section):
    """Where and how the work is done. The plan changes results only by rounding.

    Attributes:
        device: ``auto`` takes CUDA where there is one.
        plan: How the clients of a round are trained.
        workers: Worker processes of the ``processes`` plan; None takes one a core.
    """

    device: str = "auto"
    plan: Literal["auto", "stacked", "one_by_one", "processes"] = "auto"
    workers: Count | None = None
