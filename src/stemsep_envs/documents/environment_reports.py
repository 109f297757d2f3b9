"""What the commands under ``env`` print with ``--json``."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.environment import LinkMode, Receipt
from stemsep_envs.documents.target import Target


class ListedEnvironment(Document):
    """One environment of the home. What a broken one cannot tell is null."""

    digest: str
    state: Literal["whole", "broken"]
    problem: str | None
    built_for: tuple[str, ...]
    models: tuple[str, ...]
    """The registry's models that this environment serves now."""
    target: Target | None
    python: str | None
    link_mode: LinkMode | None
    adopted: str | None = None
    """The interpreter that is used in place of one that was built, if any."""
    size_bytes: int
    """What its files take on the disk, each counted once."""
    shared_bytes: int
    """Of these, bytes in files that have another name: in the package cache, or in another environment."""
    freeable_bytes: int
    """What comes back when this environment alone is removed."""
    created_at: str | None
    age_seconds: int | None
    last_used: str | None
    live_uses: int


class EnvironmentListing(Document):
    """All environments, last used first."""

    schema_version: Literal[1] = 1
    home: str
    environments: tuple[ListedEnvironment, ...]
    environments_bytes: int
    """What all environments take together, each file counted once."""
    cache: str
    cache_bytes: int
    """What the package cache takes beside: files that no environment has."""


class EnvironmentDetails(Document):
    """One environment with its receipt."""

    schema_version: Literal[1] = 1
    dir: str
    state: Literal["whole", "broken"]
    problem: str | None
    last_used: str | None
    live_uses: int
    receipt: Receipt


class Difference(Document):
    """Where an environment is not as it was built."""

    path: str
    """Below the environment's folder, with slashes."""
    kind: Literal["changed", "missing", "extra", "link", "permissions"]
    detail: str


class VerifiedEnvironment(Document):
    """One environment, compared with what was built."""

    digest: str
    ok: bool
    differences: tuple[Difference, ...]
    files: int
    hashed_bytes: int
    seconds: float


class VerifyReport(Document):
    """What ``env verify`` found."""

    schema_version: Literal[1] = 1
    ok: bool
    quick: bool
    environments: tuple[VerifiedEnvironment, ...]


RepairAction = Literal["none", "rebuilt", "removed", "failed"]


class RepairedEnvironment(Document):
    """What was done to one environment."""

    digest: str
    action: RepairAction
    detail: str
    differences: tuple[Difference, ...]


class RepairReport(Document):
    """What ``env repair`` did."""

    schema_version: Literal[1] = 1
    ok: bool
    environments: tuple[RepairedEnvironment, ...]


class RemovedItem(Document):
    """Something that was, or would be, removed."""

    kind: Literal["environment", "engine", "leftover", "package cache"]
    name: str
    why: str


class KeptItem(Document):
    """An environment that was to go and stays."""

    digest: str
    why: str


class CollectionReport(Document):
    """What ``env gc`` or ``env remove`` removed, or would remove."""

    schema_version: Literal[1] = 1
    dry_run: bool
    removed: tuple[RemovedItem, ...]
    kept: tuple[KeptItem, ...]
    freed_bytes: int
    """Of files whose last name went; with ``dry_run``, of those whose last name would."""
    remaining_bytes: int
    """What environments, engines and this home's package cache take afterwards."""
