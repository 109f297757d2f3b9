"""Whether distributions that are there meet requirements, and how they differ from a lock. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from stemsep_envs.documents.accelerators import find_family
from stemsep_envs.documents.lock import Lock, LockInputs
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.errors import Reason

_CODE = "adopted_unfit"
_MOST_NAMED = 12


def unsatisfied(
    versions: Mapping[str, str], asked: Requirements, inputs: LockInputs, python: str
) -> tuple[Reason, ...]:
    """Say why distributions do not meet what is asked for; empty when they do.

    Args:
        versions: What is there: normal name to version.
        asked: The requirements, with who asks.
        inputs: The question made of them.
        python: The whole version of the interpreter.
    """
    marks = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
    }
    reasons = []
    if not asked.python.admits(Version(python)):
        reasons.append(Reason(_CODE, f"it is Python {python}, and {asked.python} is asked for"))
    for line in inputs.requires:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate(marks):
            continue
        words = _refusal(requirement, versions.get(canonicalize_name(requirement.name)))
        if words is not None:
            reasons.append(Reason(_CODE, f"{words} ({_askers(requirement.name, asked)})"))
    words = _other_build(versions.get("torch"), inputs)
    return (*reasons, Reason(_CODE, words)) if words is not None else tuple(reasons)


def differences(versions: Mapping[str, str], inputs: LockInputs, lock: Lock | None) -> tuple[str, ...]:
    """Say in words where distributions are not what a lock says, or that there is none to compare with."""
    words = []
    if lock is None:
        words.append("there is no lock to compare it with")
    else:
        locked = {pin.name: pin.version for pin in lock.pins}
        for name, version in locked.items():
            if name not in versions:
                words.append(f"{name} {version} is locked and not there")
            elif Version(version) != _version(versions[name]):
                words.append(f"{name} is {versions[name]} and {version} is locked")
        extra = sorted(versions.keys() - locked.keys())
        if extra:
            more = f" and {len(extra) - _MOST_NAMED} more" if len(extra) > _MOST_NAMED else ""
            words.append(f"besides it holds {', '.join(extra[:_MOST_NAMED])}{more}")
    local = _local(versions.get("torch"))
    if local is not None and local != inputs.target.accelerator:
        words.append(f"its torch is built for {local}, not for {inputs.target.accelerator}")
    return tuple(words)


def _refusal(requirement: Requirement, version: str | None) -> str | None:
    if version is None:
        return f"{requirement} is asked for, and {requirement.name} is not there"
    found = _version(version)
    if found is None:
        return f"{requirement} is asked for, and {requirement.name} is of a version that is none: {version}"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"{requirement} is asked for, and {requirement.name} {version} is there"
    return None


def _askers(name: str, asked: Requirements) -> str:
    sources = [
        str(want.source)
        for want in asked.packages
        if canonicalize_name(Requirement(want.text).name) == canonicalize_name(name)
    ]
    if not sources and asked.torch is not None:
        ends = (asked.torch.lower, asked.torch.upper)
        sources = [str(end.source) for end in ends if end is not None]
    return ", ".join(sources) or ", ".join(map(str, asked.parties))


def _other_build(torch: str | None, inputs: LockInputs) -> str | None:
    """Say why a build of torch cannot drive the accelerator, as far as its version tells."""
    local, family = _local(torch), inputs.target.family
    if local is None or family.runs_any_build or find_family(local) is family:
        return None
    return f"its torch {torch} is built for {local}, and {inputs.target.accelerator} is the target"


def _local(torch: str | None) -> str | None:
    found = _version(torch) if torch else None
    return found.local if found is not None else None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
