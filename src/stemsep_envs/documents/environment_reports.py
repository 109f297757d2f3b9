"""What ``env list`` and ``env show`` print with ``--json``."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.environment import Receipt
from stemsep_envs.documents.target import Target


class ListedEnvironment(Document):
    """One environment of the home. What a broken one cannot tell is null."""

    digest: str
    state: Literal["whole", "broken"]
    problem: str | None
    built_for: tuple[str, ...]
    target: Target | None
    python: str | None
    size_bytes: int | None
    shared_bytes: int | None
    created_at: str | None
    last_used: str | None
    live_uses: int


class EnvironmentListing(Document):
    """All environments, last used first."""

    schema_version: Literal[1] = 1
    home: str
    environments: tuple[ListedEnvironment, ...]


class EnvironmentDetails(Document):
    """One environment with its receipt."""

    schema_version: Literal[1] = 1
    dir: str
    state: Literal["whole", "broken"]
    problem: str | None
    last_used: str | None
    live_uses: int
    receipt: Receipt
