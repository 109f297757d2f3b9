"""Asking the resolver: from a question to the lock that answers it, for any target, from any host."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stemsep_envs.documents.lock import Lock, LockInputs, Pin, parse_body
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Platform, Target
from stemsep_envs.environments import refusals, torch_index, uv
from stemsep_envs.environments.explaining import is_unsatisfiable, unsatisfiable
from stemsep_envs.environments.torch_builds import find_builds
from stemsep_envs.errors import BuildError
from stemsep_envs.host import files
from stemsep_envs.host.paths import Home

_SECONDS = 900.0

UV_PLATFORMS: dict[Platform, str] = {
    "linux-x86_64": "x86_64-manylinux_2_28",  # the oldest C library that current torch wheels load on
    "linux-aarch64": "aarch64-manylinux_2_28",
    "macos-arm64": "aarch64-apple-darwin",
    "macos-x86_64": "x86_64-apple-darwin",
    "windows-x86_64": "x86_64-pc-windows-msvc",
}
_OLDER_RELEASES = 8
"""How many releases of torch are gone back through for one that is built for a CUDA release."""

_ACCELERATOR_LABEL = re.compile(r"cpu|cu\d{2,3}|rocm\d+(\.\d+)+|xpu")
_CUDA_RUNTIME = re.compile(r"nvidia-cuda-runtime(-cu\d+)?")
RESOLVE_ENV = {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # torch's wheels for macOS start there


@dataclass(frozen=True)
class _Asking:
    """A question on its way, and where the torch family comes from."""

    inputs: LockInputs
    place: torch_index.Place
    what: str
    home: Home
    offline: bool
    scratch: Path
    before: tuple[str, ...]
    """Pins of an earlier answer, which are kept where they still serve."""


def resolve(
    inputs: LockInputs,
    asked: Requirements,
    *,
    home: Home,
    what: str,
    offline: bool = False,
    previous: Lock | None = None,
) -> Lock:
    """Ask the resolver.

    Args:
        inputs: The question.
        asked: The requirements behind it, for saying who asks what cannot be met.
        home: Whose package cache and configuration are used.
        what: What is locked, in words.
        offline: Use only what the cache holds.
        previous: An earlier answer, whose versions are kept where they still serve.

    Raises:
        BuildError: There is no answer; the resolver's reasoning is in `BuildError.output`.
        MismatchError: What an index serves is not what it promises.
        InvalidDocumentError: The home's configuration is wrong.
    """
    place = torch_index.find_place(inputs.target, inputs.torch_packages, home=home)
    before = tuple(f"{pin.name}=={pin.version}" for pin in previous.pins) if previous else ()
    title = f"{what} for {inputs.target} on Python {inputs.python}"
    with files.scratch_dir(files.ensure_dir(home.cache_dir), "resolving-") as scratch:
        try:
            lock = _resolve(_Asking(inputs, place, title, home, offline, scratch, before))
        except BuildError as error:
            if not is_unsatisfiable(error.output):
                raise
            refused = unsatisfiable(error, asked, inputs, what=title)
            refusals.remember(inputs, refused, home=home)
            raise refused from None
    refusals.forget(inputs, home=home)
    return lock


def target_arguments(inputs: LockInputs) -> tuple[str, ...]:
    """Return the options that make uv answer for a target and a Python, whatever is here.

    It is given our own interpreter to build with, or it would look for one through every wrapper on the PATH.
    """
    platform = UV_PLATFORMS[inputs.target.platform]
    return ("--python-platform", platform, "--python-version", inputs.python, "--python", sys.executable)


def wheels_only(inputs: LockInputs) -> tuple[str, ...]:
    """Return the options that forbid building, but for the distributions a runtime lists by name."""
    allowed = [option for name in inputs.builds for option in ("--no-binary", name)]
    return ("--only-binary", ":all:", *allowed)


def _resolve(asking: _Asking) -> Lock:
    if asking.place.kind == "builtin" and asking.inputs.target.accelerator.startswith("cu"):
        return _builtin_or_ordinary(asking)
    if not asking.place.separate:
        return _compile(asking, ())
    kept = tuple(line for line in asking.before if line.partition("==")[0] in torch_index.FAMILY)
    if kept:
        with suppress(BuildError):  # they no longer serve: find others
            return _compile(asking, kept)
    builds = find_builds(
        asking.inputs,
        asking.place,
        home=asking.home,
        what=asking.what,
        offline=asking.offline,
        scratch=asking.scratch,
    )
    return _compile(asking, builds)


_unreachable: set[str] = set()
"""Accelerators whose own index did not answer this process: asking for each of a hundred locks would take an hour."""


def _builtin_or_ordinary(asking: _Asking) -> Lock:
    """Ask torch's own index; where that cannot be reached, look for builds for the same CUDA on the ordinary one."""
    accelerator = asking.inputs.target.accelerator
    if accelerator in _unreachable:
        ordinary = _ordinary_build(asking)
        return ordinary if ordinary is not None else _compile(asking, ())
    try:
        return _compile(asking, ())
    except BuildError as error:
        if error.code not in {"index_unreachable", "offline"}:
            raise
        ordinary = _ordinary_build(asking)
        if ordinary is None:
            raise
        _unreachable.add(accelerator)
        return ordinary


def _ordinary_build(asking: _Asking) -> Lock | None:
    """Return the newest answer of the ordinary index whose torch is built for the CUDA of the target, if any."""
    wanted = asking.inputs.target.accelerator
    older: tuple[str, ...] = ()
    for _ in range(_OLDER_RELEASES):
        try:
            lock = _compile(replace(asking, place=torch_index.Place("ordinary")), older)
        except BuildError:
            return None
        found = cuda_of(lock.pins)
        torch = next((pin.version for pin in lock.pins if pin.name == "torch"), None)
        if found == wanted:
            return lock
        if torch is None or found is None or int(found[2:]) < int(wanted[2:]):
            return None
        older = (f"torch<{torch}",)
    return None


def cuda_of(pins: Sequence[Pin]) -> str | None:
    """Return the CUDA build that pins amount to, by the runtime library that torch brings along: ``cu130``."""
    for pin in pins:
        if _CUDA_RUNTIME.fullmatch(pin.name):
            return "cu" + "".join(pin.version.split(".")[:2])
    return None


def _compile(asking: _Asking, builds: tuple[str, ...]) -> Lock:
    """Resolve with these builds of the torch family, and with none that is labelled for another accelerator.

    A folder of wheels that the tools were told of is seen whatever the place is.
    """
    excluded: list[str] = []
    while True:
        lock = _compile_once(asking, (*builds, *excluded))
        others = [f"{pin.name}!={pin.version}" for pin in lock.pins if _is_for_another(pin, asking.inputs.target)]
        if not others:
            return lock
        if set(others) <= set(excluded):
            raise BuildError(f"{asking.what} is given builds of torch for another accelerator: {', '.join(others)}")
        excluded += others


def _is_for_another(pin: Pin, target: Target) -> bool:
    """Say whether a pin is a build of the torch family that is labelled for an accelerator, and not for this one."""
    label = pin.version.partition("+")[2]
    wanted = "cpu" if target.accelerator == "mps" else target.accelerator
    return pin.name in torch_index.FAMILY and _ACCELERATOR_LABEL.fullmatch(label) is not None and label != wanted


def _compile_once(asking: _Asking, builds: tuple[str, ...]) -> Lock:
    """Resolve with these constraints on the torch family."""
    inputs, before = asking.inputs, asking.before
    bound, answer, left_out = (asking.scratch / name for name in ("builds.txt", "answer.txt", "excluded.txt"))
    for path, lines in ((bound, builds), (answer, before), (left_out, inputs.excluded)):
        if lines:
            files.write_atomic(path, "".join(f"{line}\n" for line in lines).encode())
    arguments = (
        *("pip", "compile", "-", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
        *("--no-emit-index-url", "--no-emit-find-links"),
        *target_arguments(inputs),
        *("--resolution", "highest", "--prerelease", "if-necessary-or-explicit"),
        *wheels_only(inputs),
        *torch_index.uv_arguments(asking.place, inputs.target),
        *(("--constraints", str(bound)) if builds else ()),
        *(("--excludes", str(left_out)) if inputs.excluded else ()),
        *(("--output-file", str(answer)) if before else ()),
    )
    done = uv.call_uv(
        arguments,
        home=asking.home,
        what=f"resolving {asking.what}",
        offline=asking.offline,
        timeout_seconds=_SECONDS,
        stdin="".join(f"{line}\n" for line in inputs.requires),
        extra_env=RESOLVE_ENV,
    )
    text = answer.read_text("utf-8") if before else done.stdout
    problems: list[str] = []
    pins = parse_body(text, problems)
    if problems:
        words = f"the resolver's answer for {asking.what} is not a list of pins with hashes: {problems[0]}"
        raise BuildError(words, output=text[:4000], command=done.command.shown())
    ordered = tuple(Pin(pin.name, pin.version, tuple(sorted(pin.hashes))) for pin in pins)
    return Lock(inputs, f"uv {uv.version()}", time.strftime("%Y-%m-%d", time.gmtime()), ordered)
