"""Folders that hold many audits: taken once, and gone on with by the same ones alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seepage._files import write_atomically
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.observe import RunStore
    from seepage.study import Study

Kind = Literal["suite", "sweep"]
WORDS: dict[Kind, str] = {"suite": "comparison", "sweep": "sweep"}


def digest_of(studies: Iterable[Study]) -> str:
    """Six digits that name many studies by all their settings, in order."""
    said = json.dumps([study.model_dump() for study in studies], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:6]


def claim_folder(out: Path, kind: Kind, digest: str, rows: Sequence[str]) -> None:
    """Take a folder for a comparison or a sweep, or go on with it.

    ``KIND.json`` there holds ``digest`` and the names of the ``rows``.

    Raises:
        UserError: It holds something else, which would be written over.
    """
    path = out / f"{kind}.json"
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8")).get("digest")
        if there != digest:
            raise UserError(
                f"{out} holds another {WORDS[kind]} ({there}, this one is {digest}). Choose "
                "another --out, or remove that folder."
            )
    elif any((out / name).exists() for name in ("results.json", "manifest.json", *_others(kind))):
        raise UserError(f"{out} holds another audit. Choose another --out.")
    text = json.dumps({"digest": digest, "rows": list(rows)})
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _others(kind: Kind) -> list[str]:
    return [f"{other}.json" for other in WORDS if other != kind]


def release(store: RunStore, fingerprint: str) -> None:
    """Remove a run folder that holds nothing but this run's claim; any other is left as it is."""
    folder = store.folder
    if [path.name for path in folder.iterdir()] != ["manifest.json"]:
        return
    if store.manifest()["fingerprint"] != fingerprint:
        return
    (folder / "manifest.json").unlink()
    with suppress(OSError):  # somebody else's folder of another kind, such as a mount
        folder.rmdir()
