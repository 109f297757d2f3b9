"""Converted checkpoints: ``artifacts/converted/<sha256 of the checkpoint>-<converter version>/``.

A folder holds the safetensors file and, beside it, what the checkpoint contained: a store as `host.digest_store` has
them, so that a folder that is there is whole, and a checkpoint is converted once, however many ask for it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsep_envs.artifacts.safetensors import BrokenOutputError, Facts, check_converted
from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.checkpoint import CheckpointReport, InertName
from stemsep_envs.documents.checkpoint_names import judge
from stemsep_envs.errors import MismatchError, ModelError
from stemsep_envs.host import digest_store
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.digest_store import DigestStore
from stemsep_envs.host.file_reading import blocks_of
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.host.write_errors import explained

CONVERTER_VERSION = "2"
"""Changed with every change of the converted form or of its report; what an older version made is then made anew."""

_CHECKPOINT_NAME = "checkpoint.safetensors"
_REPORT_NAME = "report.json"
_MAX_REPORTED_NAMES = 1000
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

Convert = Callable[[Path], Path]
"""Converts into a file in the empty folder it is given, which a stranger's process may write; returns the file."""


@dataclass(frozen=True)
class Converted:
    """A converted checkpoint."""

    path: Path
    report: CheckpointReport


def store_of(home: Home) -> DigestStore:
    """Return the store of a home's converted checkpoints."""
    return DigestStore(
        dir=home.artifacts_dir / "converted",
        holds_dir=home.holds_dir,
        word="convert",
        receipt=_REPORT_NAME,
        check=_check,
        name_pattern="[0-9a-f]{64}-[0-9]+",
        key_characters=64,
    )


def entry_name(sha256: str) -> str:
    """Return the name of a checkpoint's converted form in the store."""
    return f"{sha256}-{CONVERTER_VERSION}"


def converted_dir(home: Home, sha256: str) -> Path:
    """Return the folder of a checkpoint's converted form, whether it is there or not."""
    return digest_store.entry_dir(store_of(home), entry_name(sha256))


def _check(folder: Path, data: bytes) -> str | None:
    report = parse_json(data, CheckpointReport, origin=str(folder / _REPORT_NAME))
    if not folder.name.startswith(report.input_sha256):
        return "its report is of another checkpoint"
    try:
        size = (folder / _CHECKPOINT_NAME).stat().st_size
    except OSError as error:
        return f"its file is gone: {error.strerror}"
    return None if size == report.output_bytes else "its file is not as large as it was"


def find_converted(home: Home, sha256: str) -> Converted | None:
    """Return the converted form of a checkpoint if it is here and as large as it was when it was made."""
    if digest_store.problem_with(store_of(home), entry_name(sha256)) is not None:
        return None
    path = converted_dir(home, sha256) / _REPORT_NAME
    report = parse_json(path.read_bytes(), CheckpointReport, origin=str(path))
    return Converted(path.with_name(_CHECKPOINT_NAME), report)


def ensure_converted(home: Home, sha256: str, input_bytes: int, *, sandbox: str, convert: Convert) -> Converted:
    """Return the converted form of a checkpoint, making it if it is not here.

    Args:
        home: Where it is kept.
        sha256: Of the checkpoint.
        input_bytes: Its size.
        sandbox: The level that confines the conversion, for the report.
        convert: Does it. Called at most once, under a lock that others wait for.

    Raises:
        ModelError: What came out of the conversion breaks the format's rules.
        LimitError: No space.
    """
    store, name = store_of(home), entry_name(sha256)

    def make() -> None:
        with digest_store.staging_dir(store, name) as staging:
            work = ensure_dir(staging / "work")
            made = _taken(convert(work), staging / _CHECKPOINT_NAME)
            remove_tree(work)
            report = _report(sha256, input_bytes, sandbox, made)
            write_atomic(staging / _REPORT_NAME, report.model_dump_json(indent=2).encode())
            digest_store.publish(store, name, staging)

    digest_store.ensure(store, name, make)
    found = find_converted(home, sha256)
    if found is None:
        raise ValueError(f"the converted form of {sha256} was just made and is gone")
    return found


def verify_converted(home: Home, sha256: str) -> Converted:
    """Return a converted checkpoint after reading all of it.

    Raises:
        MismatchError: It is not here, or not what was made.
    """
    found = find_converted(home, sha256)
    if found is None or _digest(found.path) != found.report.output_sha256:
        raise MismatchError(
            f"the converted form of {sha256} is missing or damaged",
            hint=f"remove {converted_dir(home, sha256)}; it is made again when it is needed",
        )
    return found


@dataclass(frozen=True)
class _Made:
    facts: Facts
    sha256: str
    size_bytes: int


def _taken(source: Path, destination: Path) -> _Made:
    """Take what a conversion made: a regular file with one name, which nobody has open any more, and check it."""
    try:
        source.rename(destination)
        descriptor = os.open(destination, _OPEN_FLAGS)
    except OSError as error:
        raise _broken(f"it cannot be moved ({error.strerror})") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise _broken("it is not a regular file with one hard link")
    with os.fdopen(descriptor, "rb") as stream:
        if hasattr(os, "fchown"):
            with contextlib.suppress(PermissionError):  # it is ours already, unless root had it made by another user
                os.fchown(descriptor, os.geteuid(), os.getegid())
            os.fchmod(descriptor, 0o444)
        try:
            facts = check_converted(stream, status.st_size)
        except BrokenOutputError as error:
            raise _broken(str(error)) from error
        with ThreadPoolExecutor(max_workers=1) as hashing, explained(destination):
            digest = hashing.submit(_digest, destination)
            os.fsync(descriptor)
            return _Made(facts, digest.result(), status.st_size)


def _broken(why: str) -> ModelError:
    return ModelError(
        f"what the conversion of a checkpoint made was refused: {why}",
        hint="get the checkpoint from a source you trust; this one may attack its readers",
        code="conversion_broken",
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in blocks_of(stream):
            digest.update(block)
    return digest.hexdigest()


def _report(sha256: str, input_bytes: int, sandbox: str, made: _Made) -> CheckpointReport:
    facts = made.facts
    inert, names_left_out = _judged(facts.report["inert"])
    left_out = [_printable(words)[:500] for words in facts.report["left_out"]]
    if names_left_out:
        words = "further names, none of them known to be dangerous; do not trust a checkpoint that names so many"
        left_out.append(f"{names_left_out} {words}")
    return CheckpointReport(
        input_sha256=sha256,
        input_bytes=input_bytes,
        format=facts.report["format"],
        converter=CONVERTER_VERSION,
        sandbox=sandbox,
        output_sha256=made.sha256,
        output_bytes=made.size_bytes,
        tensors=facts.tensors,
        parameters=facts.parameters,
        dtypes=facts.dtypes,
        arrays=facts.arrays,
        values=facts.values,
        inert=tuple(inert),
        left_out=tuple(left_out),
    )


def _judged(names: Sequence[Mapping[str, Any]]) -> tuple[list[InertName], int]:
    """Return names as they are reported, the worst first, and how many are not: never one that is dangerous."""
    judged = [
        InertName(
            name=_printable(found["name"]),
            named=found["named"],
            called=found["called"],
            dangerous=judge(found["name"]) == "dangerous",
            harmless=judge(found["name"]) == "harmless",
        )
        for found in names
    ]
    judged.sort(key=lambda found: (not found.dangerous, found.harmless, found.name))
    kept = max(_MAX_REPORTED_NAMES, sum(found.dangerous for found in judged))
    return judged[:kept], max(0, len(judged) - kept)


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]
