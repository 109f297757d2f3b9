"""`artifacts inspect`: what checkpoints contain, said without executing anything of them."""

from __future__ import annotations

import os
from pathlib import Path

from stemsep_envs.artifacts import blobs
from stemsep_envs.artifacts.model_files import wanted_files, what_is_known
from stemsep_envs.documents.checkpoint import InspectedCheckpoint, InspectReport
from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.errors import UsageError
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.paths import Home, find_home
from stemsep_envs.provisioning.conversion import convert_checkpoint, is_pickle
from stemsep_envs.registry.catalogue import catalogue_at


def inspect_checkpoints(what: str, *, registry_path: Path | None, on_event: OnEvent) -> InspectReport:
    """Say what a checkpoint file, or every checkpoint of a model that is here, contains. Each is converted on the way.

    Args:
        what: A file's path, if there is such a file or it is written as a path; otherwise a model's id.
        registry_path: The registry to look a model up in; None for the one in use.
        on_event: Called when a conversion begins.

    Raises:
        UsageError: No such model or file; the model has no checkpoint, or none that is here.
        ModelError: The file is not a checkpoint that can be converted.
        LimitError: It took too long, or too much memory or disk.
    """
    home, report = find_home(), step_reporter(on_event)
    found = [_file(Path(what))] if _is_path(what) else _files_of(what, home, registry_path)

    inspected = []
    for name, path, sha256, size in found:
        made = convert_checkpoint(home, path, sha256, size, name, report)
        inspected.append(InspectedCheckpoint(name=name, report=made.report))
    return InspectReport(checkpoints=tuple(inspected))


def _is_path(what: str) -> bool:
    return os.sep in what or Path(what).is_file()


def _file(path: Path) -> tuple[str, Path, str, int]:
    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="name a checkpoint, or a model by its id")
    try:
        sha256, size = sha256_of(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return path.name, path.absolute(), sha256, size


def _files_of(model_id: str, home: Home, registry_path: Path | None) -> list[tuple[str, Path, str, int]]:
    checkpoints = [
        wanted
        for wanted in wanted_files(catalogue_at(registry_path).get(model_id))
        if is_pickle(wanted.filename, wanted.kind)
    ]
    if not checkpoints:
        raise UsageError(f"{model_id} has no pickle checkpoint to inspect")
    known = [(wanted.filename, what_is_known(home, wanted).sha256) for wanted in checkpoints]
    here = [(name, sha256) for name, sha256 in known if sha256 is not None and blobs.has_blob(home, sha256)]
    if not here:
        raise UsageError(f"no checkpoint of {model_id} is on this machine", hint=f"stemsep-env ensure {model_id}")
    paths = [(name, blobs.blob_path(home, sha256), sha256) for name, sha256 in here]
    return [(name, path, sha256, path.stat().st_size) for name, path, sha256 in paths]
