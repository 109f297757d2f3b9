"""From the pins of a lock that come as source to wheels that are installed like any other.

A wheel that was built here is kept by what it was built from, for which Python: building the environment anew installs
the same file. It is held to its hash, as what is fetched is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.documents.environment import SourceBuild
from stemsep_envs.documents.lock import Lock, Pin
from stemsep_envs.environments.sources import backend
from stemsep_envs.environments.sources.build_environment import BuildContext
from stemsep_envs.environments.sources.fetching import fetch_sdist
from stemsep_envs.environments.sources.finding import find_sdist, has_wheel
from stemsep_envs.environments.sources.sdist_declarations import CODE
from stemsep_envs.environments.sources.source_cache import built_dir, scratch_of
from stemsep_envs.errors import BuildError
from stemsep_envs.host import digest_store
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.digest_store import DigestStore
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home
from stemsep_envs.host.untrusted_files import RefusedFileError, take

_LARGEST_BYTES = 4 << 30
_NOTE = "build.json"


@dataclass(frozen=True)
class BuiltWheel:
    """A wheel that was built here: its file, and what it was built from."""

    path: Path
    build: SourceBuild


def build_sources(lock: Lock, reasons: Mapping[str, str], context: BuildContext) -> dict[str, BuiltWheel]:
    """Return a wheel for every pin of a lock that has none that fits, by name; built now, or before.

    Args:
        lock: What is to be installed.
        reasons: Why a distribution may be built from source.
        context: Where it is built.

    Raises:
        BuildError: One is not available, or its build fails.
        MismatchError: A source is not the one that is locked.
        LimitError: A deadline, the disk, or another limit.
    """
    built = {}
    for pin in lock.pins:
        if pin.name not in lock.inputs.builds:
            continue
        known = _known(pin, context)
        if known is None and not has_wheel(pin, lock.inputs, home=context.home, offline=context.offline):
            known = _build_once(pin, lock, reasons.get(pin.name, ""), context)
        if known is not None:
            built[pin.name] = known
    return built


def with_built(lock: Lock, built: Mapping[str, BuiltWheel]) -> Lock:
    """Return the lock to install from: the same, but that it names the hashes of the wheels that were built here."""
    pins = tuple(
        replace(pin, hashes=(built[pin.name].build.wheel_sha256,)) if pin.name in built else pin for pin in lock.pins
    )
    return replace(lock, pins=pins)


def store_of(home: Home) -> DigestStore:
    """Return the store of wheels that were built here: an entry each, named by what it was built from, for what."""
    return DigestStore(dir=built_dir(home), holds_dir=home.holds_dir, word="built", receipt=_NOTE, check=_check)


def _check(folder: Path, data: bytes) -> str | None:
    build = parse_json(data, SourceBuild, origin=str(folder))
    try:
        sha256 = sha256_of(folder / build.wheel)[0]
    except OSError as error:
        return f"its wheel cannot be read: {error.strerror}"
    return None if sha256 == build.wheel_sha256 else "its wheel was changed"


def _name(sdist_sha256: str, context: BuildContext) -> str:
    python = context.interpreter
    made_for = [python.implementation, python.version, python.soabi, this_machine().platform]
    return digest_of([sdist_sha256, *made_for])


def _known(pin: Pin, context: BuildContext) -> BuiltWheel | None:
    """Return the wheel that was built from one of a pin's files before, if it is as it was."""
    for sha256 in pin.hashes:
        found = _read(_name(sha256, context), context)
        if found is not None:
            return found
    return None


def _read(name: str, context: BuildContext) -> BuiltWheel | None:
    store = store_of(context.home)
    if digest_store.problem_with(store, name) is not None:
        return None
    folder = digest_store.entry_dir(store, name)
    build = parse_json((folder / _NOTE).read_bytes(), SourceBuild, origin=str(folder))
    return BuiltWheel(folder / build.wheel, build)


def _build_once(pin: Pin, lock: Lock, reason: str, context: BuildContext) -> BuiltWheel:
    sdist = find_sdist(pin.name, pin.version, lock.inputs, home=context.home, offline=context.offline)
    archive, sha256 = fetch_sdist(sdist, hashes=pin.hashes, home=context.home, offline=context.offline)
    store, name = store_of(context.home), _name(sha256, context)
    what = f"{pin.name} {pin.version}"

    def make() -> None:
        context.report("build", f"{what} from its source, confined by {context.confine.level}: {reason}")
        with scratch_of(digest_store.entry_dir(store, name)) as scratch:
            staged = ensure_dir(scratch / "built")
            build = _build(archive, sha256, pin, staged, scratch, context)
            write_atomic(staged / _NOTE, build.model_dump_json(indent=1).encode() + b"\n")
            digest_store.publish(store, name, staged)

    digest_store.ensure(
        store, name, make, on_wait=lambda: context.report("wait", f"another process is building {what}")
    )
    found = _read(name, context)
    if found is None:
        raise BuildError(f"the wheel of {what} was changed as soon as it was built", code=CODE)
    return found


def _build(archive: Path, sha256: str, pin: Pin, staged: Path, scratch: Path, context: BuildContext) -> SourceBuild:
    began, what = time.monotonic(), f"{pin.name} {pin.version}"
    source = backend.unpack(archive, scratch / "work", context, what=what)
    system, environment = backend.make_ready(source, scratch, context, what=what)
    name = backend.build_wheel(source, system, environment, context, what=what)
    _refuse_other(name, pin, what)
    try:
        wheel_sha256, size = take(
            source.work / backend.OUT / name, staged / name, max_bytes=_LARGEST_BYTES, copied=True
        )
    except RefusedFileError as why:
        raise BuildError(f"the wheel that the build of {what} made was refused: {why}", code=CODE) from None
    return SourceBuild(
        source=archive.name,
        source_sha256=sha256,
        wheel=name,
        wheel_sha256=wheel_sha256,
        wheel_bytes=size,
        built_with=environment.packages,
        confined_by=context.confine.level,
        seconds=round(time.monotonic() - began, 3),
    )


def _refuse_other(name: str, pin: Pin, what: str) -> None:
    """Refuse a wheel that is called like another distribution, another version, or like a path."""
    try:
        distribution, version, _, _ = parse_wheel_filename(name)
        fits = "/" not in name and "\\" not in name and name.isascii() and name.isprintable()
    except (InvalidWheelFilename, ValueError):
        fits = False
    if not fits or distribution != canonicalize_name(pin.name) or version.public != Version(pin.version).public:
        raise BuildError(f"the build of {what} made another thing: {name[:120]!r}", code=CODE)
