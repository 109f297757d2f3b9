"""Asking the resolver: from a question to the lock that answers it, for any target, from any host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from stemsep_envs.documents.accelerator_family import Family
from stemsep_envs.documents.accelerators import find_family
from stemsep_envs.documents.lock import Lock, LockInputs, Pin, parse_body
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Target
from stemsep_envs.environments import torch_index, unsatisfiable_cache, uv
from stemsep_envs.environments.resolver_errors import unsatisfiable
from stemsep_envs.environments.sources.fetching import fetch_sdist
from stemsep_envs.environments.sources.finding import find_sdist
from stemsep_envs.environments.torch_builds import find_builds
from stemsep_envs.environments.uv_options import (
    RESOLVE_ENV,
    Declared,
    declaring_project,
    target_arguments,
    wheels_only,
)
from stemsep_envs.environments.uv_words import is_unsatisfiable
from stemsep_envs.errors import BuildError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.scratch_dirs import scratch_dir

_SECONDS = 900.0

_MOST_ROUNDS = 16
"""How many versions of source distributions are asked what they need before an answer is given up."""

_OLDER_RELEASES = 8
"""How many releases of torch are gone back through for one that is built for a release of the accelerator's."""


class SdistMetadata(Protocol):
    """Tells what a source distribution declares that it needs; its build may have to be run for that."""

    def __call__(self, name: str, version: str, inputs: LockInputs) -> Declared:
        """Return what the source distribution of one version declares, for the Python and the target of a question."""


@dataclass(frozen=True)
class _Request:
    """A question on its way, and where the torch family comes from."""

    inputs: LockInputs
    index: torch_index.TorchIndex
    what: str
    home: Home
    offline: bool
    scratch: Path
    before: tuple[str, ...]
    """Pins of an earlier answer, which are kept where they still serve."""
    declared: tuple[Declared, ...] = ()
    """What source distributions were found to need."""


def resolve(
    inputs: LockInputs,
    requirements: Requirements,
    *,
    home: Home,
    what: str,
    offline: bool = False,
    previous: Lock | None = None,
    sdist_metadata: SdistMetadata | None = None,
) -> Lock:
    """Ask the resolver.

    Args:
        inputs: The question.
        requirements: The requirements behind it, for saying who asks what cannot be met.
        home: Whose package cache and configuration are used.
        what: What is locked, in words.
        offline: Use only what the cache holds.
        previous: An earlier answer, whose versions are kept where they still serve.
        sdist_metadata: Tells what source distributions need. Without it, what is locked must be wheels alone.

    Raises:
        BuildError: There is no answer; the resolver's reasoning is in `BuildError.output`.
        MismatchError: What an index serves is not what it promises.
        InvalidDocumentError: The home's configuration is wrong.
    """
    index = torch_index.find_torch_index(inputs.target, inputs.torch_packages, home=home)
    before = tuple(f"{pin.name}=={pin.version}" for pin in previous.pins) if previous else ()
    title = f"{what} for {inputs.target} on Python {inputs.python}"
    with scratch_dir(ensure_dir(home.cache_dir), "resolving-") as scratch:
        try:
            lock = _resolve_declared(_Request(inputs, index, title, home, offline, scratch, before), sdist_metadata)
        except BuildError as error:
            if not is_unsatisfiable(error.output):
                raise
            refused = unsatisfiable(error, requirements, inputs, what=title)
            unsatisfiable_cache.remember(inputs, refused, home=home)
            raise refused from None
    unsatisfiable_cache.forget(inputs, home=home)
    return lock


def _resolve_declared(request: _Request, sdist_metadata: SdistMetadata | None) -> Lock:
    """Resolve until what is known of every source distribution in the answer is what it declares itself.

    What nobody has asked yet is taken to need nothing. So an answer may be wrong only in those it has; and one that it
    passes over is passed over for what others need of it, which its own needs would not change.
    """
    for _ in range(_MOST_ROUNDS):
        lock = _resolve(request)
        known = {(item.name, item.version) for item in request.declared}
        news = [pin for pin in lock.pins if pin.name in request.inputs.builds and (pin.name, pin.version) not in known]
        if not news:
            return lock
        if sdist_metadata is None:
            raise ValueError(
                f"what {news[0].name} needs, its build says, which runs only where a sandbox is given: {request.what}"
            )
        found = [sdist_metadata(pin.name, pin.version, request.inputs) for pin in news]
        request = replace(request, declared=(*request.declared, *found))
    names = ", ".join(request.inputs.builds)
    words = f"has no answer after {_MOST_ROUNDS} versions of what is built from source"
    raise BuildError(f"{request.what} {words}: {names}")


def _resolve(request: _Request) -> Lock:
    if request.index.kind == "builtin" and request.inputs.target.family.runtime_library:
        return _builtin_or_ordinary(request)
    if not request.index.separate:
        return _compile(request, ())
    kept = tuple(line for line in request.before if line.partition("==")[0] in torch_index.FAMILY)
    if kept:
        with suppress(BuildError):  # they no longer serve: find others
            return _compile(request, kept)
    builds = find_builds(
        request.inputs,
        request.index,
        home=request.home,
        what=request.what,
        offline=request.offline,
        scratch=request.scratch,
        declared=request.declared,
    )
    return _compile(request, builds)


_unreachable: set[str] = set()
"""Accelerators whose own index did not answer this process: asking for each of a hundred locks would take an hour."""


def _builtin_or_ordinary(request: _Request) -> Lock:
    """Ask torch's own index; where that cannot be reached, look for the same builds on the ordinary one."""
    accelerator = request.inputs.target.accelerator
    if accelerator in _unreachable:
        ordinary = _ordinary_build(request)
        return ordinary if ordinary is not None else _compile(request, ())
    try:
        return _compile(request, ())
    except BuildError as error:
        if error.code not in {"index_unreachable", "offline"}:
            raise
        ordinary = _ordinary_build(request)
        if ordinary is None:
            raise
        _unreachable.add(accelerator)
        return ordinary


def _ordinary_build(request: _Request) -> Lock | None:
    """Return the newest answer of the ordinary index whose torch is the build of the target, if any."""
    family, wanted = request.inputs.target.family, request.inputs.target.accelerator
    older: tuple[str, ...] = ()
    for _ in range(_OLDER_RELEASES):
        try:
            lock = _compile(replace(request, index=torch_index.TorchIndex("ordinary")), older)
        except BuildError:
            return None
        found = build_of(lock.pins, family)
        torch = next((pin.version for pin in lock.pins if pin.name == "torch"), None)
        if found == wanted:
            return lock
        if torch is None or found is None or family.age_of(found) < family.age_of(wanted):
            return None
        older = (f"torch<{torch}",)
    return None


def build_of(pins: Sequence[Pin], family: Family) -> str | None:
    """Return the build that pins amount to, by the runtime library that torch brings along: ``cu130``."""
    builds = (family.build_of(pin.name, pin.version) for pin in pins)
    return next((build for build in builds if build is not None), None)


def _compile(request: _Request, builds: tuple[str, ...]) -> Lock:
    """Resolve with these builds of the torch family, and with none that is labelled for another accelerator.

    A folder of wheels that the tools were told of is seen whatever the index is.
    """
    excluded: list[str] = []
    while True:
        lock = _compile_once(request, (*builds, *excluded))
        others = [f"{pin.name}!={pin.version}" for pin in lock.pins if _is_for_another(pin, request.inputs.target)]
        if not others:
            return lock
        if set(others) <= set(excluded):
            raise BuildError(f"{request.what} is given builds of torch for another accelerator: {', '.join(others)}")
        excluded += others


def _is_for_another(pin: Pin, target: Target) -> bool:
    """Say whether a pin is a build of the torch family that is labelled for an accelerator, and not for this one."""
    label = pin.version.partition("+")[2]
    wanted = target.family.label_of(target.accelerator)
    return pin.name in torch_index.FAMILY and find_family(label) is not None and label != wanted


def _with_hashes(text: str, request: _Request) -> str:
    """Return the resolver's answer with a hash for each source distribution of an index that gives none.

    Of wheels it finds those out by itself; a source it has no reason to fetch.
    """

    def pinned(line: str) -> str:
        name, _, version = line.partition("==")
        if name not in request.inputs.builds or version.endswith("\\"):
            return line
        sdist = find_sdist(name, version, request.inputs, home=request.home, offline=request.offline)
        _, sha256 = fetch_sdist(sdist, hashes=None, home=request.home, offline=request.offline)
        return f"{line} \\\n    --hash=sha256:{sha256}"

    return "\n".join(map(pinned, text.split("\n")))


def _compile_once(request: _Request, builds: tuple[str, ...]) -> Lock:
    """Resolve with these constraints on the torch family."""
    inputs, before = request.inputs, request.before
    bound, answer, left_out = (request.scratch / name for name in ("builds.txt", "answer.txt", "excluded.txt"))
    for path, lines in ((bound, builds), (answer, before), (left_out, inputs.excluded)):
        if lines:
            write_atomic(path, "".join(f"{line}\n" for line in lines).encode())
    project = declaring_project(request.scratch, inputs, request.declared)
    arguments = (
        *("pip", "compile", "-", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
        *("--no-emit-index-url", "--no-emit-find-links"),
        *project,
        *target_arguments(inputs),
        *("--resolution", "highest", "--prerelease", "if-necessary-or-explicit"),
        *wheels_only(inputs),
        *torch_index.uv_arguments(request.index, inputs.target),
        *(("--constraints", str(bound)) if builds else ()),
        *(("--excludes", str(left_out)) if inputs.excluded else ()),
        *(("--output-file", str(answer)) if before else ()),
    )
    done = uv.call_uv(
        arguments,
        home=request.home,
        what=f"resolving {request.what}",
        offline=request.offline,
        timeout_seconds=_SECONDS,
        stdin="".join(f"{line}\n" for line in inputs.requires),
        extra_env=RESOLVE_ENV,
        own_project=bool(project),
    )
    text = _with_hashes(answer.read_text("utf-8") if before else done.stdout, request)
    problems: list[str] = []
    pins = parse_body(text, problems)
    if problems:
        words = f"the resolver's answer for {request.what} is not a list of pins with hashes: {problems[0]}"
        raise BuildError(words, output=text[:4000], command=done.command.shown())
    ordered = tuple(Pin(pin.name, pin.version, tuple(sorted(pin.hashes))) for pin in pins)
    return Lock(inputs, f"uv {uv.version()}", time.strftime("%Y-%m-%d", time.gmtime()), ordered)
