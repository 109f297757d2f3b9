"""What the resolver said cannot be met, remembered for a day: so that it is known before anything is tried again.

A refusal holds for one question and one way of looking for packages (indexes, folders of wheels, where torch comes
from). That an index could not be reached is no answer and is not kept.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.environments import torch_index
from stemsep_envs.errors import BuildError, Reason, UsageError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file

CODE = "unsatisfiable"
_FORMAT = 2
_KEPT_SECONDS = 24 * 3600.0
_WAYS = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
    *("UV_EXCLUDE_NEWER", "PIP_FIND_LINKS"),
)


@dataclass(frozen=True)
class Refusal:
    """Why a question has no answer: in words, the resolver's own reasoning, and which requirements cannot be met."""

    message: str
    hint: str | None
    reasoning: str
    about: tuple[str, ...] = ()

    def reason(self) -> Reason:
        """Return it as preflight tells it."""
        again = "that was the answer within the last day; `stemsep-env preflight --resolve` asks again"
        hint = f"{self.hint}. {again}" if self.hint else again
        return Reason(CODE, self.message, hint=hint, details=self.reasoning or None, about=self.about)

    def error(self) -> BuildError:
        """Return it as the error that it was."""
        return BuildError(self.message, hint=self.hint, code=CODE, output=self.reasoning, about=self.about)


def remember(inputs: LockInputs, error: BuildError, *, home: Home) -> None:
    """Keep a refusal. A home that cannot be written keeps none."""
    known = {
        "format": _FORMAT,
        "way": _way(inputs, home),
        "at": time.time(),
        "message": error.message,
        "hint": error.hint,
        "reasoning": error.output,
        "about": error.about,
    }
    with suppress(UsageError, OSError):
        write_atomic(_path(inputs, home), json.dumps(known).encode())


def forget(inputs: LockInputs, *, home: Home) -> None:
    """Drop a refusal: the question has an answer now."""
    with suppress(UsageError, OSError):
        remove_file(_path(inputs, home))


def recall(inputs: LockInputs, *, home: Home) -> Refusal | None:
    """Return what is known against a question, if it is not too old and packages are looked for as they were then."""
    try:
        known = json.loads(_path(inputs, home).read_bytes())
        age_seconds = time.time() - float(known["at"])
        hint = known["hint"]
        about = tuple(map(str, known["about"]))
        refusal = Refusal(str(known["message"]), None if hint is None else str(hint), str(known["reasoning"]), about)
        way, written = known["way"], known["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if written != _FORMAT or not 0 <= age_seconds < _KEPT_SECONDS or way != _way(inputs, home):
        return None
    return refusal


def _path(inputs: LockInputs, home: Home) -> Path:
    return home.cache_dir / "refusals" / f"{inputs.digest}.json"


def _way(inputs: LockInputs, home: Home) -> str:
    """Return the digest of all that decides where packages are looked for; addresses may hold passwords."""
    index = torch_index.find_torch_index(inputs.target, inputs.torch_packages, home=home)
    folders = {index.address} if index.kind == "folder" else set()
    for variable in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        folders.update(os.environ.get(variable, "").replace(",", " ").split())
    changed = {folder: _changed_at(folder) for folder in sorted(folders)}
    told = {name: os.environ.get(name) for name in _WAYS}
    return digest_of({"place": [index.kind, index.address], "told": told, "changed": changed})


def _changed_at(folder: str) -> int | None:
    try:
        return Path(folder).stat().st_mtime_ns // 1000
    except OSError:
        return None
