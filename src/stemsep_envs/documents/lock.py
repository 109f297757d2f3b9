r"""Locks: requirements resolved for one target and one Python minor, every file with its SHA-256, naming no place.

A lock is hashed requirements text that pip and uv read as it is, under a header of comments that says what it answers
and lets every changed line be noticed::

    # stemsep-env lock 1
    # target: linux-x86_64-cpu
    # python: 3.11
    # requires: numpy<3,>=1.26
    # inputs: sha256:…        the digest of the lines above
    # resolver: uv 0.13.8
    # resolved: 2026-11-20    the one line that no digest covers
    # body: sha256:…          the digest of all that follows

    numpy==2.4.6 \
        --hash=sha256:…

One Python minor a lock: dependencies, and the newest versions that still support a minor, differ between minors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from stemsep_envs.documents.canonical import digest_of, digest_of_bytes
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.errors import MismatchError

FORMAT = 1
_TITLE = f"# stemsep-env lock {FORMAT}"
_SINGLE_KEYS = ("target", "python", "inputs", "resolver", "resolved", "body")
_REPEATED_KEYS = ("requires", "torch-package", "builds", "excluded")
_HEADER_LINE = re.compile(r"# (?P<key>[a-z-]+): (?P<value>\S.*)")
_PIN = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)==(?P<version>[0-9][0-9a-z.+!_-]*) \\")
_HASH = re.compile(r"    --hash=sha256:(?P<hash>[0-9a-f]{64})(?P<more> \\)?")
_MINOR = re.compile(r"3\.\d{1,2}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MAX_SHOWN = 20


@dataclass(frozen=True)
class LockInputs:
    """What a lock answers.

    Attributes:
        target: The platform and accelerator.
        python: The minor, such as ``3.11``.
        requires: Requirements in normal form (`requirements.normalize`).
        torch_packages: Distributions that come from the torch index of the target.
        builds: Distributions that may be built from source; all others are wheels.
        excluded: Distributions that are left out, whoever needs them.
    """

    target: Target
    python: str
    requires: tuple[str, ...]
    torch_packages: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The SHA-256 that names the question, whoever asks it."""
        question: dict[str, object] = {
            "format": FORMAT,
            "target": str(self.target),
            "python": self.python,
            "requires": list(self.requires),
            "torch_packages": list(self.torch_packages),
            "builds": list(self.builds),
        }
        # Only where there are any: a question that excludes nothing stays the one that it was.
        return digest_of({**question, "excluded": list(self.excluded)} if self.excluded else question)


@dataclass(frozen=True)
class Pin:
    """One distribution of a lock: normal name, exact version, and the SHA-256 of each file that may serve."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """A whole lock.

    Attributes:
        inputs: What it answers.
        resolver: The tool and version that resolved it.
        resolved_on: The day, ``YYYY-MM-DD``; in no digest.
        pins: The distributions, by name.
    """

    inputs: LockInputs
    resolver: str
    resolved_on: str
    pins: tuple[Pin, ...]

    @cached_property
    def body(self) -> str:
        """The requirements text, as pip and uv read it."""
        lines = []
        for pin in self.pins:
            hashes = [f"    --hash=sha256:{value}" for value in pin.hashes]
            lines.append(" \\\n".join([f"{pin.name}=={pin.version}", *hashes]))
        return "".join(f"{line}\n" for line in lines)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the body: equal for equal distributions, whatever was asked and whenever it was resolved."""
        return digest_of_bytes(self.body.encode())

    def text(self) -> str:
        """Return the whole file."""
        inputs = self.inputs
        lines = [
            _TITLE,
            f"# target: {inputs.target}",
            f"# python: {inputs.python}",
            *(f"# requires: {line}" for line in inputs.requires),
            *(f"# torch-package: {name}" for name in inputs.torch_packages),
            *(f"# builds: {name}" for name in inputs.builds),
            *(f"# excluded: {name}" for name in inputs.excluded),
            f"# inputs: sha256:{inputs.digest}",
            f"# resolver: {self.resolver}",
            f"# resolved: {self.resolved_on}",
            f"# body: sha256:{self.digest}",
            "",
        ]
        return "\n".join(lines) + "\n" + self.body


def parse_lock(data: bytes | str, *, origin: str) -> Lock:
    """Read a lock and check every digest it carries.

    Args:
        data: The file's content, UTF-8 when bytes.
        origin: What to call it in messages, usually its path.

    Raises:
        MismatchError: It is not a lock, or not the one that was made; all problems are listed with their line numbers.
    """
    problems: list[str] = []
    try:
        text = data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise _refusal(origin, [f"byte {error.start}: not UTF-8 text"]) from None
    header_text, _, body = text.partition("\n\n")
    header = header_text.split("\n")
    fields = _read_header(header, problems)
    pins = parse_body(body, problems, first_line=len(header) + 2)
    if problems:
        raise _refusal(origin, problems)
    inputs = LockInputs(
        parse_target(fields["target"][0]),
        fields["python"][0],
        tuple(fields["requires"]),
        tuple(fields["torch-package"]),
        tuple(fields["builds"]),
        tuple(fields["excluded"]),
    )
    lock = Lock(inputs, fields["resolver"][0], fields["resolved"][0], pins)
    _compare("inputs", fields["inputs"][0], inputs.digest, "the header", problems)
    _compare("body", fields["body"][0], lock.digest, "the text below the header", problems)
    if not problems and lock.text() != text:
        problems.append("the lines are not in the form and order that a lock has")
    if problems:
        raise _refusal(origin, problems)
    return lock


def inputs_digest_of(head: str) -> str | None:
    """Return the digest of the question that a lock answers, from its first lines alone; None when they don't say."""
    if not head.startswith(_TITLE + "\n"):
        return None
    match = re.search(r"^# inputs: sha256:([0-9a-f]{64})$", head, re.MULTILINE)
    return match[1] if match else None


def parse_body(body: str, problems: list[str], *, first_line: int = 1) -> tuple[Pin, ...]:
    """Read hashed requirements text; what is not a pin with hashes is added to ``problems`` with its line number."""
    pins: list[Pin] = []
    name, version, hashes, expects_hash = "", "", list[str](), False
    for number, line in enumerate(body.split("\n"), first_line):
        pin, item = _PIN.fullmatch(line), _HASH.fullmatch(line)
        if item is not None and expects_hash:
            hashes.append(item["hash"])
            expects_hash = item["more"] is not None
            if not expects_hash:
                pins.append(Pin(name, version, tuple(hashes)))
        elif pin is not None and not expects_hash:
            name, version, hashes, expects_hash = pin["name"], pin["version"], [], True
            problems.extend(f"line {number}: {words}" for words in _pin_problems(name, version, pins))
        elif line or expects_hash:
            words = "a hash line is missing before this" if expects_hash else "not a pinned package with its hashes"
            problems.append(f"line {number}: {words}: {line[:80]!r}")
            expects_hash = False
    if not pins and not problems:
        problems.append(f"line {first_line}: no package is locked")
    return tuple(pins)


def _pin_problems(name: str, version: str, before: list[Pin]) -> list[str]:
    problems = []
    if canonicalize_name(name) != name:
        problems.append(f"the normal form of {name} is {canonicalize_name(name)}")
    try:
        Version(version)
    except InvalidVersion:
        problems.append(f"{version!r} is not a version")
    if before and before[-1].name >= name:
        problems.append(f"{name} is locked twice, or not in the order of names")
    return problems


def _read_header(lines: list[str], problems: list[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {key: [] for key in (*_SINGLE_KEYS, *_REPEATED_KEYS)}
    if lines[0] != _TITLE:
        problems.append(f"line 1: not a lock of this format, which begins {_TITLE!r}")
        return fields
    for number, line in enumerate(lines[1:], 2):
        match = _HEADER_LINE.fullmatch(line)
        if match is None or match["key"] not in fields:
            problems.append(f"line {number}: not a header line: {line[:80]!r}")
            continue
        fields[match["key"]].append(match["value"])
        words = _value_problem(match["key"], match["value"])
        if words:
            problems.append(f"line {number}: {words}")
    for key in _SINGLE_KEYS:
        if len(fields[key]) != 1:
            times = "is missing" if not fields[key] else "is there more than once"
            problems.append(f"header: {key} {times}")
    return fields


def _value_problem(key: str, value: str) -> str | None:
    if key == "target":
        try:
            parse_target(value)
        except ValueError as error:
            return str(error)
    if key == "python" and not _MINOR.fullmatch(value):
        return f"{value!r} is not a Python minor such as 3.11"
    if key == "resolved" and not _DATE.fullmatch(value):
        return f"{value!r} is not a day such as 2026-11-20"
    return None


def _compare(key: str, stated: str, found: str, what: str, problems: list[str]) -> None:
    if stated != f"sha256:{found}":
        problems.append(f"{key}: {what} was changed: its digest is sha256:{found}, the lock says {stated}")


def _refusal(origin: str, problems: list[str]) -> MismatchError:
    shown = problems[:_MAX_SHOWN]
    if len(problems) > _MAX_SHOWN:
        shown.append(f"and {len(problems) - _MAX_SHOWN} more")
    return MismatchError(
        f"{origin} is not the lock that was made: " + "; ".join(shown),
        hint="restore the file, or lock the model again",
        code="lock_mismatch",
    )
