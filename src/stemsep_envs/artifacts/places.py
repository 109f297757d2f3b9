"""What this machine says of addresses: which hub is in use, and which of its own files an address names."""

from __future__ import annotations

import os
from pathlib import Path

from stemsep_envs.documents.addresses import HUB, Address, canonical_address
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import Home
from stemsep_envs.host.redaction import redact


def shown_address(address: Address) -> str:
    """Return an address as people, records and other programs may see it: passwords, tokens and signatures hidden."""
    return redact(canonical_address(address))


def hub_endpoint() -> str:
    """Return the hub's address: what ``HF_ENDPOINT`` names (a mirror), or the public one."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def is_hub_secure() -> bool:
    """Say whether the hub in use is reached by https."""
    return hub_endpoint().lower().startswith("https://")


def is_hub_offline() -> bool:
    """Say whether the hub's own variable forbids to ask it."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}


def is_below(address: Address, folder: Path) -> bool:
    """Say whether a file address names a file in a folder or below it, links followed."""
    try:
        return _file_path(address).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in circles, names that are none
        return False


def local_path(address: Address, home: Home) -> Path:
    """Return the file of this machine that an address names.

    Raises:
        UsageError: It leads out of the model store.
    """
    if address.scheme == "file":
        return _file_path(address)
    store = home.root / "models"
    path_there = store / address.path
    resolved = path_there.resolve()
    if not resolved.is_relative_to(store.resolve()):
        raise UsageError(
            f"{address.text} leads out of the model store {store}",
            hint="a link in the store must stay in it",
            code="artifact_missing",
        )
    return resolved


def _file_path(address: Address) -> Path:
    return Path(address.path.lstrip("/") if os.name == "nt" else address.path)
