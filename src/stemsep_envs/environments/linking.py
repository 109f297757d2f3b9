"""How the files of an environment are joined to the package cache: by clones, hard links, or copies.

Clones (copy on write) share the disk and nothing else: always best. Hard links share the file itself, so whoever can
write in the environment can change the cache and every other environment; they serve workers that see their environment
read-only (sandbox levels landlock, namespaces, container). Before a worker that could write to it is started, such an
environment is given files of its own (`make_private`). Copies share nothing and cost the disk.
``$STEMSEP_ENV_LINK_MODE`` overrides.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.builders import builder_row
from stemsep_envs.documents.environment import BuilderName, LinkMode, Receipt, Size
from stemsep_envs.documents.link_modes import (
    LINK_MODE_NAMES,
    LINK_MODES,
    UNSHARED,
    Need,
    best_link_mode,
    link_mode_row,
)
from stemsep_envs.documents.wording import either
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.fingerprints import list_files
from stemsep_envs.errors import UsageError
from stemsep_envs.host.atomic_write import copy_hashed, publish, write_atomic
from stemsep_envs.host.links_and_copies import can_clone
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree

VARIABLE = "STEMSEP_ENV_LINK_MODE"


@dataclass(frozen=True)
class LinkChoice:
    """The mode to ask for, and why."""

    mode: LinkMode
    why: str


def choose_link_mode(cache: Path, environments: Path) -> LinkChoice:
    """Choose how to join new environments to the package cache; both folders must exist.

    Raises:
        UsageError: The variable that overrides names no mode.
    """
    asked = os.environ.get(VARIABLE, "auto")
    if asked != "auto":
        if asked not in LINK_MODE_NAMES:
            raise UsageError(f"{VARIABLE}={asked}: write {either(('auto', *LINK_MODE_NAMES))}")
        return LinkChoice(asked, f"{VARIABLE} asks for it")
    met: Mapping[Need, Callable[[], bool]] = {
        "same_file_system": lambda: cache.stat().st_dev == environments.stat().st_dev,
        "cloning": lambda: can_clone(cache, environments),
        "read_only_view": lambda: sys.platform != "win32",
    }
    return LinkChoice(*best_link_mode(met))


def choose_for(builder: BuilderName, cache: Path, environments: Path) -> LinkChoice:
    """Choose for a builder; see `choose_link_mode`."""
    unjoined = builder_row(builder).unjoined
    if unjoined:
        return LinkChoice(UNSHARED, unjoined)
    return choose_link_mode(cache, environments)


def mode_found(asked: LinkMode, size: Size) -> LinkMode:
    """Return the mode that was really used: uv falls back silently, and files with several links give it away."""
    if size.shared_bytes:
        return next(row.name for row in LINK_MODES if row.shares_files)
    return UNSHARED if link_mode_row(asked).shares_files else asked


def make_private(home: Home, digest: str) -> bool:
    """Give an environment files of its own in place of hard links; say whether there was anything to do.

    The caller holds the environment's lock. Each file is replaced whole, by an equal one: whoever uses the environment
    meanwhile sees no difference, and a killed call leaves it whole, with some of its files private.

    Raises:
        LimitError: No space.
        StemsepEnvError: There is no such environment.
    """
    receipt = environment_store.read_receipt(home, digest)
    if not link_mode_row(receipt.builder.link_mode).shares_files:
        return False
    folder = environment_store.environment_dir(home, digest)
    aside = home.environments_dir / f"{environment_store.COPYING}{digest[:16]}-{secrets.token_hex(4)}"
    try:
        for number, path in enumerate(_linked(folder)):
            _replace_by_copy(path, aside / str(number))
    finally:
        remove_tree(aside)
    private = _private_receipt(receipt)
    write_atomic(folder / environment_store.RECEIPT, private.model_dump_json(indent=1).encode() + b"\n")
    return True


def _linked(folder: Path) -> Iterator[Path]:
    for path, facts in list_files(folder).entries.items():
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
            yield folder / path


def _replace_by_copy(path: Path, beside: Path) -> None:
    with path.open("rb") as stream:
        facts = os.fstat(stream.fileno())
        copy_hashed(stream, beside, max_bytes=sys.maxsize, durable=False)
    beside.chmod(stat.S_IMODE(facts.st_mode))
    os.utime(beside, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # bytecode is valid for a source of that time
    publish(beside, path)


def _private_receipt(receipt: Receipt) -> Receipt:
    why = "its files were copied for a worker that no sandbox keeps from writing to them"
    builder = receipt.builder.model_copy(update={"link_mode": UNSHARED, "link_reason": why})
    size = receipt.size.model_copy(update={"shared_bytes": 0})
    return receipt.model_copy(update={"builder": builder, "size": size})
