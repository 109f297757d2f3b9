"""What an environment must hold, each part with who asks for it: version ranges, packages, torch builds.

A `Demand` is what one party asks for; `Requirements` are the demands of all, merged by `environments.merging`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

from stemsep_envs.documents.runtime import Accelerator
from stemsep_envs.errors import Reason

_NEWEST_MINOR = 30
"""No Python 3.x newer than this is thought of."""


@dataclass(frozen=True)
class Party:
    """Who asks for something: ``runtime dsp``, ``variant fno``, ``model x``, or a build from source."""

    kind: Literal["runtime", "variant", "model", "build"]
    name: str

    def __str__(self) -> str:
        return f"the build of {self.name}" if self.kind == "build" else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Source:
    """Who asks, and the field in which it says so: ``model x: requirements.python.max``."""

    party: Party
    field: str

    def __str__(self) -> str:
        return f"{self.party}: {self.field}"

    @property
    def registry_path(self) -> str | None:
        """The field of the registry entry, when a model asks."""
        return self.field if self.party.kind == "model" else None


@dataclass(frozen=True)
class Bound:
    """One end of a range as it was written, and who wrote it."""

    text: str
    source: Source

    @property
    def version(self) -> Version:
        """The version as written."""
        return Version(self.text)

    @property
    def ceiling(self) -> Version:
        """The first release that an upper end no longer covers: 3.14 for ``3.13``, 2.3.2 for ``2.3.1``."""
        *head, last = self.version.release
        return Version(".".join(map(str, (*head, last + 1))))


@dataclass(frozen=True)
class Range:
    """Versions from `lower` to all that begins with `upper`; an end that is None is open."""

    lower: Bound | None = None
    upper: Bound | None = None

    def admits(self, version: Version) -> bool:
        """Say whether a version lies in the range."""
        if self.lower is not None and version < self.lower.version:
            return False
        return self.upper is None or version < self.upper.ceiling

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return self.lower is not None and self.upper is not None and self.lower.version >= self.upper.ceiling

    def intersect(self, other: Range) -> Range:
        """Return what lies in both; each end keeps who set it."""
        lowers = [bound for bound in (self.lower, other.lower) if bound is not None]
        uppers = [bound for bound in (self.upper, other.upper) if bound is not None]
        return Range(
            max(lowers, key=lambda bound: bound.version, default=None),
            min(uppers, key=lambda bound: bound.ceiling, default=None),
        )

    def specifier(self) -> str:
        """Return the range as PEP 440 text: ``>=2.3,<2.5``."""
        ends = []
        if self.lower is not None:
            ends.append(f">={canonicalize_version(self.lower.version)}")
        if self.upper is not None:
            ends.append(f"<{canonicalize_version(self.upper.ceiling)}")
        return ",".join(ends)

    def __str__(self) -> str:
        if self.lower is not None and self.upper is not None:
            return f"{self.lower.text} to {self.upper.text}"
        if self.lower is not None:
            return f"{self.lower.text} or newer"
        return f"up to {self.upper.text}" if self.upper is not None else "any version"


@dataclass(frozen=True)
class Want:
    """One package requirement (PEP 508 text) and who asks for it."""

    text: str
    source: Source


@dataclass(frozen=True)
class Demand:
    """What one party asks for; what it leaves empty it does not care about.

    Attributes:
        party: Who asks.
        python: Versions of Python.
        torch: Versions of torch; None does not ask for torch.
        torch_packages: Distributions to install from the torch index.
        builds: Builds of torch it may use (``cu128``), by family of accelerators; any of a family that is not named.
        packages: What to install besides.
        source_distributions: What of it may be built from source.
        excluded: What packages declare that they need and no lock shall have.
    """

    party: Party
    python: Range = Range()
    torch: Range | None = None
    torch_packages: tuple[str, ...] = ()
    builds: Mapping[Accelerator, tuple[str, ...]] = field(default_factory=dict)
    packages: tuple[Want, ...] = ()
    source_distributions: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Requirements:
    """The merged demands, and why they cannot be met when that can be seen without a resolver."""

    python: Range
    torch: Range | None
    torch_packages: tuple[str, ...]
    packages: tuple[Want, ...]
    accelerators: tuple[Accelerator, ...]
    source_distributions: tuple[str, ...]
    parties: tuple[Party, ...]
    conflicts: tuple[Reason, ...]
    builds: Mapping[Accelerator, tuple[str, ...]] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    accelerator_packages: tuple[tuple[Accelerator, tuple[Want, ...]], ...] = ()

    def packages_on(self, family: str) -> tuple[Want, ...]:
        """Return the packages for one kind of accelerator: ``cpu``, ``cuda`` …."""
        return self.packages + tuple(
            want for kind, wants in self.accelerator_packages if kind == family for want in wants
        )

    def lines(self, family: str = "") -> tuple[str, ...]:
        """Return the normal form that a resolver is given for a kind of accelerator: one line a package, sorted."""
        wants = [want.text for want in self.packages_on(family)]
        if self.torch is not None:
            wants += [f"torch{self.torch.specifier()}", *self.torch_packages]
        return normalize(wants)

    def python_minors(self) -> tuple[str, ...]:
        """Return the minors in the range, newest first: ``("3.13", "3.12")``."""
        minors = []
        for minor in range(_NEWEST_MINOR, -1, -1):
            newest_patch = Version(f"3.{minor}.9999")
            floor = self.python.lower is None or newest_patch >= self.python.lower.version
            if floor and (self.python.upper is None or Version(f"3.{minor}") < self.python.upper.ceiling):
                minors.append(f"3.{minor}")
        return tuple(minors)


def version_range(low: str | None, high: str | None, party: Party, field: str) -> Range:
    """Return the range from ``field.min`` to ``field.max`` of a party."""
    return Range(
        Bound(low, Source(party, f"{field}.min")) if low else None,
        Bound(high, Source(party, f"{field}.max")) if high else None,
    )


def normalize(texts: Iterable[str]) -> tuple[str, ...]:
    """Return requirements one line a package (and marker), in normal form: equal sets are equal text."""
    merged: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for text in texts:
        requirement = Requirement(text)
        key = (canonicalize_name(requirement.name), str(requirement.marker or ""))
        extras, clauses = merged.get(key, (set(), set()))
        merged[key] = (
            extras | set(map(canonicalize_name, requirement.extras)),
            clauses | set(map(_clause, requirement.specifier)),
        )
    lines = []
    for (name, marker), (extras, clauses) in sorted(merged.items()):
        wanted_extras = f"[{','.join(sorted(extras))}]" if extras else ""
        lines.append(f"{name}{wanted_extras}{','.join(sorted(clauses))}" + (f" ; {marker}" if marker else ""))
    return tuple(lines)


def _clause(specifier: Specifier) -> str:
    """Return one clause such that equal clauses are equal text: ``>=1.26`` for ``>=1.26.0``, and not for ``~=1.0``."""
    if specifier.operator == "===":
        return str(specifier)
    version = canonicalize_version(specifier.version, strip_trailing_zero=specifier.operator != "~=")
    return f"{specifier.operator}{version}"
