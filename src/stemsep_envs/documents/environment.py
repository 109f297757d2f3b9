"""Environments as documents: the inputs that name one, and the receipt that says one is whole."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.builders import BUILDER_NAMES
from stemsep_envs.documents.canonical import Sha256, digest_of
from stemsep_envs.documents.fields import Field, model_validator
from stemsep_envs.documents.link_modes import LINK_MODE_NAMES
from stemsep_envs.documents.target import Target

LAYOUT = 1
"""The arrangement of an environment's folder; raised when a program of another layout could not use it."""

if TYPE_CHECKING:
    BuilderName: TypeAlias = str
    LinkMode: TypeAlias = str
else:
    BuilderName = Literal[BUILDER_NAMES]
    LinkMode = Literal[LINK_MODE_NAMES]


class InterpreterIdentity(Document):
    """The exact interpreter an environment is made for, wherever it is installed."""

    implementation: str
    version: str
    """All of it: ``3.11.7``."""
    soabi: str
    """What its extension modules are built for: ``cpython-311-x86_64-linux-gnu``."""


class EnvironmentInputs(Document):
    """All that goes in. Equal inputs are one environment, on any machine."""

    layout: int = LAYOUT
    target: Target
    interpreter: InterpreterIdentity
    lock: Sha256
    """The digest of the lock's body: distributions, versions, hashes."""
    engine: Sha256 | None = None
    """The digest of the patched source tree, when the runtime has one."""
    adopted: Sha256 | None = None
    """The digest of what an adopted interpreter holds and where; None when the lock was installed. Of an adopted one,
    ``lock`` is what it was compared with, or the digest of the question where there was no lock."""

    @cached_property
    def digest(self) -> str:
        """The name of the environment."""
        # What is built has the name that it had before adopting was known.
        return digest_of(self.model_dump(mode="json", exclude={"adopted"} if self.adopted is None else set()))


class BaseInterpreter(Document):
    """The interpreter on this machine that the environment borrows its standard library from."""

    path: str
    size_bytes: int
    mtime_us: int
    """Its last change, in microseconds since 1970: as fine as a JSON number is exact."""


class Package(Document):
    """An installed distribution."""

    name: str
    version: str


class Builder(Document):
    """What built it, and how its files are joined to the package cache."""

    name: BuilderName | Literal["adopted"]
    """``adopted``: nothing was built, an interpreter is used as it was found."""
    version: str
    link_mode: LinkMode
    """As found on the built files, not as asked for."""
    link_reason: str


class AdoptedPackage(Document):
    """A distribution that an adopted interpreter brings, and the digest of the list of its files."""

    name: str
    version: str
    record_sha256: Sha256


class Adopted(Document):
    """An interpreter that is used as it was found: nothing was installed, nothing is ever changed in it."""

    python: str
    """As it was named."""
    prefix: str
    site_dirs: tuple[str, ...]
    """Where its distributions are."""
    packages: tuple[AdoptedPackage, ...]
    differences: tuple[str, ...]
    """In words, where it is not what the lock says."""

    @cached_property
    def digest(self) -> str:
        """The digest of what it holds, and where."""
        return digest_of(
            {
                "python": self.python,
                "site_dirs": list(self.site_dirs),
                "packages": [package.model_dump(mode="json") for package in self.packages],
            }
        )


class HealthReport(Document):
    """What was checked before the environment was published."""

    imports: Mapping[str, Annotated[float, Field(ge=0)]]
    """Seconds each module took to import the first time."""
    dependencies_consistent: bool
    confined_by: str | None = None
    """The sandbox level that the imports ran in; null where they ran unconfined."""


class Size(Document):
    """What the environment takes on the disk."""

    files: int
    bytes: int
    shared_bytes: int
    """Of these, bytes in files that are hard links to the package cache."""


class SourceBuild(Document):
    """A wheel that was built here from source, confined; also kept beside the wheel."""

    source: str
    """The file it was built from."""
    source_sha256: Sha256
    wheel: str
    wheel_sha256: Sha256
    wheel_bytes: int
    built_with: tuple[Package, ...]
    """The distributions that its build had, locked by hashes."""
    confined_by: str
    """The sandbox level of its build."""
    seconds: float


class Receipt(Document):
    """``receipt.json``: written last, so that an environment with one is whole."""

    schema_version: Literal[1] = 1
    digest: Sha256
    inputs: EnvironmentInputs
    lock_inputs: Sha256
    """The digest of the question that the lock answers."""
    built_for: tuple[str, ...]
    """The parties whose demands were merged when it was built; others may share it since."""
    base_interpreter: BaseInterpreter
    packages: tuple[Package, ...]
    source_distributions: Mapping[str, str] = {}
    """Those of them that may have been built from source where no wheel fits, each with the runtime's reason."""
    built_from_source: Mapping[str, SourceBuild] = {}
    """Those that were, by distribution."""
    builder: Builder
    adopted: Adopted | None = None
    """What is used in place of a built environment, when an interpreter was adopted."""
    health: HealthReport
    size: Size
    manifest: Sha256 | None = None
    """The digest of ``manifest.json``; None for what was not built here, whose files nobody vouches for."""
    steps_seconds: Mapping[str, float]
    created_at: str
    """UTC, ISO 8601."""
    created_by: str
    """This program and its version."""

    @model_validator(mode="after")
    def _digest_is_of_inputs(self) -> Receipt:
        if self.digest != self.inputs.digest:
            raise ValueError(f"the digest is not that of the inputs, which is {self.inputs.digest}")
        return self
