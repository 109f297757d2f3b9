"""What a source distribution declares that it needs, for the resolver: read where it holds, else asked of its build.

Kept by the hash of the source, so that a hundred locks ask once.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.reporting import Report, silent
from stemsep_envs.environments.resolving import SdistMetadata
from stemsep_envs.environments.sources import backend
from stemsep_envs.environments.sources.build_environment import BuildContext
from stemsep_envs.environments.sources.fetching import fetch_sdist
from stemsep_envs.environments.sources.finding import find_sdist
from stemsep_envs.environments.sources.sdist_declarations import CODE, read_metadata, static_metadata
from stemsep_envs.environments.sources.source_cache import scratch_of, sources_dir
from stemsep_envs.environments.uv_options import Declared
from stemsep_envs.errors import BuildError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.interpreters import Interpreter, find_interpreters, interpreter_at
from stemsep_envs.host.paths import Home

_NOTE = "declared.json"


def sdist_metadata(
    confine: Confine | None, *, home: Home, offline: bool, report: Report = silent
) -> SdistMetadata | None:
    """Return how the resolver learns what source distributions need: from their builds, confined.

    Args:
        confine: Confines the builds. None gives None: no build runs without.
        home: Where sources and what they declare are kept.
        offline: Forbid the network.
        report: Told of each step as it begins.
    """
    if confine is None:
        return None

    def read(name: str, version: str, inputs: LockInputs) -> Declared:
        return declared_by(
            name, version, inputs, BuildContext(_interpreter(inputs.python, home), confine, home, offline, report)
        )

    return read


def _interpreter(minor: str, home: Home) -> Interpreter:
    """Return the Python that is locked for, where it is here; else the one that runs this."""
    same = (interpreter for interpreter in find_interpreters(home) if interpreter.minor == minor)
    return next(same, None) or interpreter_at(Path(sys.executable))


def declared_by(name: str, version: str, inputs: LockInputs, context: BuildContext) -> Declared:
    """Return what the source distribution of a version declares.

    Args:
        name: The distribution.
        version: The version.
        inputs: The question in whose answer it may stand.
        context: Where its build runs, if it has to be asked.

    Raises:
        BuildError: There is no source, or its build fails.
        MismatchError: It is not the file that its index announces.
    """
    what = f"{name} {version}"
    sdist = find_sdist(name, version, inputs, home=context.home, offline=context.offline)
    archive, sha256 = fetch_sdist(sdist, hashes=None, home=context.home, offline=context.offline)
    note = sources_dir(context.home) / sha256 / _NOTE
    with locks.hold(context.home.holds_dir / f"declared-{sha256[:16]}"):
        known = _read(note)
        if known is not None:
            return known
        context.report("lock", f"asking {what} what it needs, confined by {context.confine.level}")
        with scratch_of(note.parent) as scratch:
            found = _ask(archive, scratch, context, what=what)
        if (found.name, found.version) != (name, version):
            raise BuildError(f"the source of {what} says that it is {found.name} {found.version}", code=CODE)
        write_atomic(note, json.dumps(asdict(found), indent=1).encode())
        return found


def _ask(archive: Path, scratch: Path, context: BuildContext, *, what: str) -> Declared:
    source = backend.unpack(archive, scratch / "work", context, what=what)
    static = static_metadata(source.pkg_info, what)
    if static is not None:
        return static
    system, environment = backend.make_ready(source, scratch, context, what=what)
    return read_metadata(backend.prepare_metadata(source, system, environment, context, what=what), what)


def _read(note: Path) -> Declared | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(note.read_bytes())
        lists = {key: tuple(kept[key]) for key in ("requires", "extras")}
        return Declared(kept["name"], kept["version"], requires_python=kept["requires_python"], **lists)
    return None
