"""The study file: what is trained, who watches, what is asked. Strict at the door.

A study is TOML (or plain Python data) checked once, here. A key it does not know is an error with
a suggestion; a wrong value is an error naming key, value and range. Everything downstream can
trust it. Names of data sets, models, attacks and defenses are checked later, against their
tables, before any work begins.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from seepage.records import UserError, suggestion
from seepage.sections import (
    AttackSection,
    CandidatesSection,
    ComputeSection,
    DataSection,
    DefenseSection,
    FederationSection,
    InsiderSection,
    MetricsSection,
    ModelSection,
    ObserveSection,
    ReferenceSection,
    Section,
)
from seepage.sections_inversion import InversionSection

SCHEMA = 1


class Study(Section):
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
    insider: InsiderSection = InsiderSection()
    reference: ReferenceSection = ReferenceSection()
    inversion: InversionSection | None = None
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
        self._reference_fits()
        self._insider_fits()
        if self.inversion is not None:
            self._inversion_fits(self.inversion)
        targets = self.candidates.targets
        foreign = [k for k in targets if k >= self.data.clients] if targets != "all" else []
        if foreign:
            raise ValueError(
                f"candidates.targets: there is no client {foreign[0]}; "
                f"clients are numbered 0 to {self.data.clients - 1}"
            )
        return self

    def _insider_fits(self) -> None:
        insider, clients = self.insider, self.data.clients
        foreign = [k for k in insider.clients if k >= clients]
        if foreign:
            raise ValueError(
                f"insider.clients: there is no client {foreign[0]}; "
                f"clients are numbered 0 to {clients - 1}"
            )
        if len(set(insider.clients)) >= clients:
            raise ValueError(
                "insider.clients: leave at least one client for it to be curious about"
            )
        asked = self.candidates.targets if self.candidates.targets != "all" else []
        if own := sorted(set(asked) & set(insider.clients)):
            raise ValueError(
                f"candidates.targets: client {own[0]} is the insider, which knows its own records"
            )
        if insider.clients and self.candidates.redraw_candidates:
            raise ValueError(
                "candidates.redraw_candidates reproduces a server's protocol; it does not go with "
                "insider.clients"
            )
        if insider.gan and insider.ascent:
            raise ValueError(
                "insider.gan and insider.ascent each decide what is uploaded: set one of them"
            )
        self._acts_fit(len(asked))

    def _acts_fit(self, asked: int) -> None:
        """Whoever acts is a client, or a server that isolates ``asked`` of them."""
        insider, clients = self.insider, self.data.clients
        isolates = insider.ascent is not None and insider.ascent.by == "server"
        if isolates and self.federation.participation < 1:
            raise ValueError(
                "insider.ascent.by = 'server' keeps its targets apart from round to round: set "
                "federation.participation = 1"
            )
        if isolates and (insider.clients or insider.gan or not 0 < asked < clients):
            raise ValueError(
                "insider.ascent.by = 'server' is a server that isolates the clients in "
                "candidates.targets: name some of them there (not all), and set neither "
                "insider.clients nor insider.gan"
            )
        needs = {"gan": insider.gan, "attendance": insider.attendance, "ascent": insider.ascent}
        idle = [key for key, value in needs.items() if value] if not isolates else []
        if idle and not insider.clients:
            raise ValueError(
                f"insider.{idle[0]} needs insider.clients: the clients that the insider is"
            )

    def _reference_fits(self) -> None:
        reference, models = self.reference, self.reference.models or 0
        targets = reference.targets if reference.targets != "all" else []
        foreign = [m for m in targets if m >= models]
        if foreign:
            raise ValueError(
                f"reference.targets: there is no model {foreign[0]}; reference.models = {models}"
            )
        if models:
            self._nothing_idle()
        if len(set(targets)) < len(targets):
            raise ValueError(f"reference.targets: each model once, got {targets}")
        if self.federation.keep == "best":
            if not (models and reference.validation):
                raise ValueError(
                    "federation.keep = 'best' chooses an epoch on reference.validation records; "
                    "set it and reference.models, or keep the 'last'"
                )
            if self.data.clients > 1 or self.federation.rounds > 1:
                raise ValueError(
                    "federation.keep = 'best' is for training in one place; with "
                    f"{self.data.clients} clients and {self.federation.rounds} rounds keep the "
                    "'last' epoch"
                )

    def _nothing_idle(self) -> None:
        """Settings of the other kind of audit would change nothing: better said than ignored."""
        idle = {
            "candidates": self.candidates != CandidatesSection(),
            "observe.signals": self.observe.signals is not None,
            "observe.weights": self.observe.weights != "none",
            "observe.draws": self.observe.draws != ObserveSection().draws,
            "insider": self.insider != InsiderSection(),
            "federation.participation": (
                self.data.clients == 1 and self.federation.participation < 1
            ),
            "reference.canary": (
                self.reference.canary != "natural" and not self.reference.canaries
            ),
        }
        named = [key for key, is_idle in idle.items() if is_idle]
        if named:
            raise ValueError(
                f"{named[0]} would change nothing in this audit of {self.reference.models} models. "
                "Leave it out, or set what it goes with (reference.canaries for a kind of canary; "
                "no reference.models for an audit of a federation's rounds)."
            )

    def _inversion_fits(self, asked: InversionSection) -> None:
        """A study either inverts models or asks who is in them, and rounds are rounds there are."""
        sections = {
            "attacks": self.attacks != AttackSection(),
            "candidates": self.candidates != CandidatesSection(),
            "insider": self.insider != InsiderSection(),
            "observe": self.observe != ObserveSection(),
            "reference": self.reference != ReferenceSection(),
        }
        if named := [key for key, is_set in sections.items() if is_set]:
            raise ValueError(
                f"{named[0]}: belongs to an audit of membership and would change nothing in an "
                "inversion. Leave it out, or leave out inversion."
            )
        watched = [] if asked.gradients is None else asked.gradients.rounds or []
        late = [r for r in [*(asked.rounds or []), *watched] if r > self.federation.rounds]
        if late:
            raise ValueError(
                f"inversion: round {late[0]} is after the last, {self.federation.rounds}"
            )
        if asked.gradients is not None and asked.gradients.client >= self.data.clients:
            raise ValueError(
                f"inversion.gradients.client: there is no client {asked.gradients.client}; clients "
                f"are numbered 0 to {self.data.clients - 1}"
            )

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
    except IsADirectoryError:
        raise UserError(f"{path}: {_what_folder(Path(path))}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file{_why_not_toml(Path(path), error)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None


def _what_folder(path: Path) -> str:
    if (path / "manifest.json").exists() or (path / "results.json").exists():
        return f"a run folder, and no study file. `seepage report {path}` draws its report."
    return "a folder, and no study file. Give the path of a TOML file."


def _why_not_toml(path: Path, error: ValueError) -> str:
    if path.suffix in {".yaml", ".yml", ".json"}:
        return ". Studies are TOML files: write the same settings as TOML."
    if isinstance(error, UnicodeDecodeError):
        return ", nor any text. Give the path of a TOML file."
    return f": {error}. Mend {'that line' if ' line ' in str(error) else 'it there'}."


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
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} = {problem['input']!r}: {key} is a table of settings; use {key}.KEY=VALUE"
    if problem["type"] == "list_type":
        sure = len(path) == len(problem["loc"]) and isinstance(problem["input"], str | int | float)
        such = f" such as [{json.dumps(problem['input'])}]" if sure else ""
        return f"{key} = {problem['input']!r}: expected a list{such}"
    return f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for part in path:
        found = model.model_fields[part].annotation if part in model.model_fields else None
        inner = next((arm for arm in (found, *get_args(found)) if _is_section(arm)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
