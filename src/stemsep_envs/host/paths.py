"""Where things are on this machine: the user's home of environments and records, and the data that came with us."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import UsageError

HOME_VARIABLE = "STEMSEP_ENV_HOME"
REGISTRY_VARIABLE = "STEMSEP_ENV_REGISTRY"


@dataclass(frozen=True)
class Home:
    """The folders of ``$STEMSEP_ENV_HOME``. None need exist; whoever writes makes what it needs."""

    root: Path

    @property
    def environments_dir(self) -> Path:
        """Built environments, each named by its digest."""
        return self.root / "environments"

    @property
    def engines_dir(self) -> Path:
        """Patched engine source trees, each named by its digest."""
        return self.root / "engines"

    @property
    def artifacts_dir(self) -> Path:
        """Weights, configs and patch files by hash."""
        return self.root / "artifacts"

    @property
    def locks_dir(self) -> Path:
        """Locks resolved on this machine."""
        return self.root / "locks"

    @property
    def runs_dir(self) -> Path:
        """One folder a run, each with its record."""
        return self.root / "runs"

    @property
    def cache_dir(self) -> Path:
        """What may be deleted at any time: indexes, remembered answers, the resolver's cache."""
        return self.root / "cache"

    @property
    def holds_dir(self) -> Path:
        """Files that locks between processes are taken on."""
        return self.root / "holds"


def find_home() -> Home:
    """Return the home that ``$STEMSEP_ENV_HOME`` names, or the platform's data folder.

    Raises:
        UsageError: The variable holds a relative path, or there is none and the user has no folder.
    """
    named = os.environ.get(HOME_VARIABLE)
    if named:
        root = _expanded(named)
        if not root.is_absolute():
            raise UsageError(f"{HOME_VARIABLE}={named} is not an absolute path", hint="write the whole path")
        return Home(root)
    from platformdirs import user_data_path  # noqa: PLC0415 - start-up time: not needed where the variable is set

    try:
        root = user_data_path("stemsep-env", appauthor=False)
    except RuntimeError:
        root = Path("~")
    if not root.is_absolute():  # neither HOME nor an entry for the user, as in containers; older releases say "~"
        raise UsageError("this user has no home folder", hint=f"set {HOME_VARIABLE} to a folder to keep things in")
    return Home(root)


def _expanded(named: str) -> Path:
    """Return a path with ``~`` written out where that is a user's folder; `Path.expanduser` fails where it is none."""
    return Path(os.path.expanduser(named))  # noqa: PTH111


PACKAGE_DIR = Path(__file__).resolve().parents[1]

INSIDE_DIR = PACKAGE_DIR / "inside"
"""What runs inside environments. The host never imports it: it is started by its path, and digested as files."""


def data_dir(name: str) -> Path:
    """Return a data folder of the package (``registry``, ``runtimes``, ``schemas``, ``images``).

    In a wheel they ride inside the package; in a checkout they lie at its root.
    """
    packaged = PACKAGE_DIR / "_data" / name
    return packaged if packaged.is_dir() else PACKAGE_DIR.parents[1] / name


def default_registry_path() -> Path:
    """Return the registry file in use: ``$STEMSEP_ENV_REGISTRY``, else the shipped one."""
    named = os.environ.get(REGISTRY_VARIABLE)
    return _expanded(named) if named else data_dir("registry") / "models.v2.source.json"


def is_shipped(path: Path) -> bool:
    """Say whether a file is one that came with the package."""
    return path.absolute().is_relative_to(data_dir("registry"))
