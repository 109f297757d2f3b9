"""Our side of a build: orders to the program inside, each in a sandbox of its own, and its answers, read as hostile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import Document, parse_json
from stemsep_envs.documents.fields import Field
from stemsep_envs.environments.sources.build_environment import (
    BuildContext,
    BuildEnvironment,
    build_environ,
    make_environment,
)
from stemsep_envs.environments.sources.sdist_declarations import CODE, BuildSystem, build_system, read_requirements
from stemsep_envs.errors import BuildError, InvalidDocumentError
from stemsep_envs.host.exit_cause import describe_exit
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import INSIDE_DIR
from stemsep_envs.host.processes import run
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.host.write_errors import explained

_PROGRAM = INSIDE_DIR / "build_backend.py"
_UNPACK_SECONDS = 600.0
_BUILD_SECONDS = 7200.0
_OUTPUT_CHARACTERS = 6000
_SOURCE, OUT = "source", "out"
"""Folders in the one that a build may write."""


class _Answer(Document):
    """What the program inside answers; which fields it has depends on the order."""

    error: str | None = None
    missing: bool = False
    root: str | None = None
    pyproject: str | None = None
    pkg_info: str | None = None
    requires: tuple[str, ...] = ()
    name: str | None = Field(default=None, max_length=255)
    metadata: str | None = None


@dataclass(frozen=True)
class Unpacked:
    """A source distribution that lies in the folder of a build: the folder, its own in it, and two of its texts."""

    work: Path
    root: str
    pyproject: str | None
    pkg_info: str | None


def unpack(archive: Path, work: Path, context: BuildContext, *, what: str) -> Unpacked:
    """Unpack a source distribution where its build will run, and as confined.

    Raises:
        BuildError: It is no archive, or not of one folder.
    """
    order = {"do": "unpack", "archive": str(archive), "folder": str(work / _SOURCE)}
    python = context.interpreter.path
    answer = _ask(order, python, (archive,), work, context, what=what, seconds=_UNPACK_SECONDS)
    if not answer.root or Path(answer.root).name != answer.root or answer.root in {".", ".."}:
        raise BuildError(f"{what} cannot be built from its source: it holds no folder", code=CODE)
    return Unpacked(work, answer.root, answer.pyproject, answer.pkg_info)


def make_ready(
    source: Unpacked, scratch: Path, context: BuildContext, *, what: str
) -> tuple[BuildSystem, BuildEnvironment]:
    """Return how a source distribution is built, and an environment with all that its build needs.

    Args:
        source: The distribution.
        scratch: A folder for the environment.
        context: What builds, for which Python, and where.
        what: The distribution, in words.

    Raises:
        BuildError: It does not say, the backend fails, or what it needs is not available.
    """
    system = build_system(source.pyproject, what)
    environment = make_environment(system.requires, scratch / "environment", context, what=what)
    answer = _hook("get_requires_for_build_wheel", source, system, environment, context, what=what)
    everything = tuple(dict.fromkeys((*system.requires, *read_requirements(answer.requires, what))))
    if everything != system.requires:
        environment = make_environment(everything, scratch / "environment-2", context, what=what)
    return system, environment


def prepare_metadata(
    source: Unpacked, system: BuildSystem, environment: BuildEnvironment, context: BuildContext, *, what: str
) -> str:
    """Return the text of the metadata that a wheel would have; builds one where the backend can't tell it otherwise.

    Raises:
        BuildError: The backend fails.
    """
    answer = _hook("prepare_metadata_for_build_wheel", source, system, environment, context, what=what)
    if answer.missing:
        answer = _hook("build_wheel", source, system, environment, context, what=what, metadata=True)
    if answer.metadata is None:
        raise BuildError(f"{what} does not say what it needs", code=CODE)
    return answer.metadata


def build_wheel(
    source: Unpacked, system: BuildSystem, environment: BuildEnvironment, context: BuildContext, *, what: str
) -> str:
    """Build a wheel into the folder `OUT` of the build's folder; return what it is called, which nobody vouches for.

    Raises:
        BuildError: The backend fails.
    """
    answer = _hook("build_wheel", source, system, environment, context, what=what)
    if answer.missing or not answer.name:
        raise BuildError(f"{what} cannot be built from its source: its backend builds no wheels", code=CODE)
    return answer.name


def _hook(
    name: str,
    source: Unpacked,
    system: BuildSystem,
    environment: BuildEnvironment,
    context: BuildContext,
    *,
    what: str,
    metadata: bool = False,
) -> _Answer:
    order = {
        "do": "hook",
        "hook": name,
        "source": str(source.work / _SOURCE / source.root),
        "out": str(source.work / OUT),
        "backend": system.backend,
        "backend_path": system.backend_path,
        "metadata": metadata,
    }
    readable = (environment.folder,)
    return _ask(order, environment.python, readable, source.work, context, what=what, seconds=_BUILD_SECONDS)


def _ask(
    order: Mapping[str, object],
    python: Path,
    readable: tuple[Path, ...],
    work: Path,
    context: BuildContext,
    *,
    what: str,
    seconds: float,
) -> _Answer:
    argv = (str(python), "-I", str(_PROGRAM), json.dumps(order))
    _clear_tmp(work)
    env = build_environ(work, python)
    with context.confine(argv, env=env, readable=(*readable, _PROGRAM, *context.bases), writable=work) as command:
        done = run(command, timeout_seconds=seconds)
    words = done.stderr.strip()[-_OUTPUT_CHARACTERS:]
    try:
        answer = parse_json(done.stdout, _Answer, origin=what) if done.status == 0 else None
    except InvalidDocumentError:
        answer = None
    if answer is None or answer.error is not None:
        last = words.splitlines()[-1] if words else ""
        why = (answer.error if answer is not None else None) or last or describe_exit(done.status)
        raise BuildError(
            f"{what} cannot be built from its source: {why.splitlines()[0][:300]}",
            hint="its build sees the system's compilers (in /usr), its own requirements, and no network; "
            "install what it misses, or use a Python and a platform that it has wheels for",
            code=CODE,
            output=words,
            command=command.shown(),
        )
    return answer


def _clear_tmp(work: Path) -> None:
    """Take away what the last step of a build, of which nothing runs, left in place of its temporary folder."""
    ensure_dir(work)
    with explained(work):
        work.chmod(0o755)
        remove_tree(work / "tmp")
