"""The study file: what is trained, who watches, what is asked. Strict at the door.

A study is TOML (or plain Python data) checked once, here. A key it does not know is an error with
a suggestion; a wrong value is an error naming key, value and range. Everything downstream can
trust it. Names of data sets, models, attacks and defenses are checked later, against their
tables, before any work begins.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seepage.records import UserError, suggestion

SCHEMA = 1

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Options = dict[str, Any]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class DataSection(_Section):
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
        labels_per_client: Labels each client holds under ``disjoint_labels``.
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
    labels_per_client: Count = 2
    sizes: list[Count] | None = None
    options: Options = {}

    @model_validator(mode="after")
    def _sizes_fit(self) -> DataSection:
        if self.partition == "sizes" and (self.sizes is None or len(self.sizes) != self.clients):
            came = "none" if self.sizes is None else str(len(self.sizes))
            raise ValueError(
                f"data.sizes needs one size for each of the {self.clients} clients, got {came}"
            )
        return self


class ModelSection(_Section):
    """The architecture: a name from the table of models or ``package.module:factory``."""

    name: str = "mlp"
    options: Options = {}


class FederationSection(_Section):
    """How the clients train together.

    Attributes:
        algorithm: ``fedavg`` sends models after local training, ``fedsgd`` one gradient.
        rounds: Number of rounds *T*.
        participation: Share of the clients drawn, without replacement, in each round.
        local_epochs: Passes over a client's data in a round.
        batch_size: Samples in a local mini-batch.
        optimizer: Local optimizer, made afresh in every round.
        learning_rate: Local step size in round 1.
        momentum: Momentum of SGD.
        weight_decay: L2 pull of SGD, decoupled pull of AdamW.
        schedule: How the step size changes from round to round.
        decay: Factor of ``exponential`` (None: 0.99) and ``milestones`` (None: 0.1).
        milestones: Rounds after which ``milestones`` multiplies by ``decay``.
    """

    algorithm: Literal["fedavg", "fedsgd"] = "fedavg"
    rounds: Count = 100
    participation: Share = 1.0
    local_epochs: Count = 1
    batch_size: Count = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weight_decay: NonNegative = 0.0
    schedule: Literal["constant", "exponential", "cosine", "milestones"] = "constant"
    decay: Share | None = None
    milestones: list[Count] = []


class DefenseSection(_Section):
    """The defense switched on: a name from the table of defenses, with its options."""

    name: str = "none"
    options: Options = {}


class ObserveSection(_Section):
    """What is kept of the run.

    Attributes:
        every: Rounds ``every, 2·every, …`` are observed.
        rounds: The observed rounds one by one, instead of ``every``.
        weights: Whether the trace keeps parameters on disk: ``none`` (signals are measured while
            training), ``half`` (global models, and updates as float16 differences) or ``full``.
        signals: Signals to measure; None measures what the attacks need.
    """

    every: Count = 10
    rounds: Annotated[list[Count], Field(min_length=1)] | None = None
    weights: Literal["none", "half", "full"] = "none"
    signals: list[str] | None = None


class CandidatesSection(_Section):
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


class AttackSection(_Section):
    """The attacks to run; None runs all that the signals allow."""

    names: Annotated[list[str], Field(min_length=1)] | None = None


class MetricsSection(_Section):
    """Operating points and confidence.

    Attributes:
        fpr: False positive (and false negative) rates to report at. A rate asked for by name
            must be one that the candidates can resolve; the default ones are marked instead.
        confidence: Level of every interval.
    """

    fpr: Annotated[list[Annotated[float, Field(gt=0.0, lt=1.0)]], Field(min_length=1)] | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95


class ComputeSection(_Section):
    """Where and how the work is done. The plan changes results only by rounding.

    Attributes:
        device: ``auto`` takes CUDA where there is one.
        plan: How the clients of a round are trained.
        workers: Worker processes of the ``processes`` plan; None takes one a core.
    """

    device: str = "auto"
    plan: Literal["auto", "stacked", "one_by_one", "processes"] = "auto"
    workers: Count | None = None


class Study(_Section):
    """A whole study. Every section has a default: ``Study()`` is the default audit."""

    schema_version: Literal[1] = SCHEMA
    name: Annotated[str, Field(pattern=r"^\w[\w .-]*$")] = "study"
    seed: Annotated[int, Field(ge=0)] = 0
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    federation: FederationSection = FederationSection()
    defense: DefenseSection = DefenseSection()
    observe: ObserveSection = ObserveSection()
    candidates: CandidatesSection = CandidatesSection()
    attacks: AttackSection = AttackSection()
    metrics: MetricsSection = MetricsSection()
    compute: ComputeSection = ComputeSection()

    @model_validator(mode="after")
    def _rounds_fit(self) -> Study:
        late = [r for r in self.observe.rounds or [] if r > self.federation.rounds]
        if late:
            raise ValueError(
                f"observe.rounds: round {late[0]} is after the last, {self.federation.rounds}"
            )
        targets = self.candidates.targets
        foreign = [k for k in targets if k >= self.data.clients] if targets != "all" else []
        if foreign:
            raise ValueError(
                f"candidates.targets: there is no client {foreign[0]}; "
                f"clients are numbered 0 to {self.data.clients - 1}"
            )
        return self

    @property
    def observed_rounds(self) -> list[int]:
        """The rounds that are observed, ascending; the last round if ``every`` is too long."""
        if self.observe.rounds is not None:
            return sorted(set(self.observe.rounds))
        rounds = self.federation.rounds
        return list(range(self.observe.every, rounds + 1, self.observe.every)) or [rounds]


def build_study(raw: Mapping[str, Any], *, source: str = "study") -> Study:
    """A checked study from plain data.

    Raises:
        UserError: Naming the key, what came, and what was expected.
    """
    newer = raw.get("schema_version", SCHEMA)
    if isinstance(newer, int) and newer > SCHEMA:
        raise UserError(
            f"{source}: schema_version {newer} is newer than this version of Seepage "
            f"understands ({SCHEMA}). Install a newer Seepage to read it."
        )
    try:
        return Study.model_validate(dict(raw))
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise UserError(f"{source}: " + "\n  ".join(lines)) from None


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises:
        UserError: The file is missing, is not TOML, or does not describe a study.
    """
    return build_study(read_toml(path), source=str(path))


def read_toml(path: str | Path) -> dict[str, Any]:
    """The plain data of a TOML file, or a :class:`UserError` saying why not."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such study file. `seepage list recipes` names some.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file: {error}. Mend that line.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None


def _explain(problem: Any) -> str:
    path = [str(part) for part in problem["loc"] if "[" not in str(part)]  # drop union arms
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        prefix = ".".join([*path[:-1], ""])
        hint = suggestion(path[-1], known).replace("did you mean ", f"did you mean {prefix}")
        return f"{key}: no such setting; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    return f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for part in path:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
