"""Choosing the interpreter of an environment among those of the machine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from stemsep_envs.documents.platforms import platform_row
from stemsep_envs.documents.requirements import Range
from stemsep_envs.documents.target import Platform
from stemsep_envs.errors import Reason
from stemsep_envs.host.interpreters import Interpreter

NEWEST_INSTALLABLE = 14
"""No Python 3.x newer than this is installed unasked."""


@dataclass(frozen=True)
class PythonChoice:
    """The interpreter to build with.

    Attributes:
        minor: ``3.11``; None when there is none and none can be installed.
        interpreter: The one that is here, or None when `minor` has to be installed first.
        why: The choice in words.
        refused: Those that were found and do not serve, each with the reason.
        reasons: Why none serves; empty otherwise.
    """

    minor: str | None
    interpreter: Interpreter | None
    why: str
    refused: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def choose_python(
    found: Sequence[Interpreter],
    admitted: Range,
    *,
    minors: Sequence[str],
    locked_minors: frozenset[str],
    resolved_minors: frozenset[str] = frozenset(),
    platform: Platform,
) -> PythonChoice:
    """Choose: the newest in range that a shipped lock supports, else one of this home, else the newest available.

    Args:
        found: Interpreters of the machine, newest first, by preference where versions are equal.
        admitted: The merged range, with who set its ends.
        minors: The minors in range, newest first (or the one the user insists on).
        locked_minors: Those that have a shipped lock.
        resolved_minors: Those that have a lock in this home.
        platform: What the environment is for.
    """
    refused: list[str] = []
    usable: list[Interpreter] = []
    for interpreter in found:
        words = _refusal(interpreter, admitted, minors, platform)
        if words is None:
            usable.append(interpreter)
        else:
            refused.append(f"{interpreter.version} at {interpreter.path}: {words}")
    for supported, words in ((locked_minors, "a shipped lock"), (resolved_minors, "a lock of this home")):
        for interpreter in usable:
            if interpreter.minor in supported:
                why = f"the newest here in range ({admitted}) that {words} supports"
                return PythonChoice(interpreter.minor, interpreter, why, tuple(refused))
    if usable:
        why = f"the newest here in range ({admitted}); no lock for it is shipped"
        return PythonChoice(usable[0].minor, usable[0], why, tuple(refused))
    installable = [minor for minor in minors if int(minor.split(".")[1]) <= NEWEST_INSTALLABLE]
    wanted = next((minor for minor in installable if minor in locked_minors), next(iter(installable), None))
    if wanted is None:
        reason = Reason(
            "python_unsatisfiable",
            f"no Python can serve: the range is {admitted}",
            hint="choose a Python in it",
            about=("python",),
        )
        return PythonChoice(None, None, reason.message, tuple(refused), (reason,))
    return PythonChoice(
        wanted, None, f"none here serves ({admitted}): Python {wanted} is to be installed", tuple(refused)
    )


def _refusal(interpreter: Interpreter, admitted: Range, minors: Sequence[str], platform: Platform) -> str | None:
    """Say why an interpreter does not serve, or None when it does."""
    words = _kind_refusal(interpreter, platform)
    if words is not None:
        return words
    version = Version(interpreter.version)
    if not admitted.admits(version):
        end = admitted.lower if admitted.lower is not None and version < admitted.lower.version else admitted.upper
        return f"outside of {admitted}" + (f" ({end.source})" if end is not None else "")
    return None if interpreter.minor in minors else f"not {' or '.join(minors)}"


def _kind_refusal(interpreter: Interpreter, platform: Platform) -> str | None:
    """Say why a kind of interpreter does not serve, whatever its version."""
    if interpreter.implementation != "cpython":
        return f"{interpreter.implementation}, and wheels are made for CPython"
    if interpreter.release_level != "final":
        return f"a pre-release ({interpreter.release_level})"
    if interpreter.free_threaded:
        return "a free-threaded build, which few wheels support"
    if not platform_row(platform).admits_interpreter(interpreter.platform):
        return f"built for {interpreter.platform}, and {platform} is needed"
    return None if interpreter.bits == 64 else "a 32-bit build"
