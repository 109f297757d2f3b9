"""The steps of a build that uv does: make a virtual environment, install what is locked, or say all that is missing."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.documents.environment import LinkMode
from stemsep_envs.documents.lock import Lock
from stemsep_envs.environments import store, torch_index, uv
from stemsep_envs.environments.locking import wheels_only
from stemsep_envs.errors import BuildError
from stemsep_envs.host.paths import Home

_CREATE_SECONDS = 120.0
_INSTALL_SECONDS = 7200.0
_ASK_SECONDS = 60.0


def create(folder: Path, interpreter: Path, *, home: Home, what: str) -> None:
    """Make ``venv`` in an environment's folder, such that the folder can be moved.

    Raises:
        BuildError: uv could not.
    """
    uv.call_uv(
        create_arguments(folder, interpreter),
        home=home,
        what=f"creating the environment of {what}",
        offline=False,
        timeout_seconds=_CREATE_SECONDS,
    )


def create_arguments(folder: Path, interpreter: Path) -> tuple[str, ...]:
    """Return uv's arguments for `create`."""
    venv = str(folder / "venv")
    return ("venv", "--quiet", "--relocatable", "--no-project", "--python", str(interpreter), venv)


def install(folder: Path, lock: Lock, link_mode: LinkMode, *, home: Home, offline: bool, what: str) -> None:
    """Install exactly what is locked, each file checked against its hash.

    Raises:
        BuildError: uv could not; offline, everything that is missing is named.
    """
    try:
        uv.call_uv(
            install_arguments(folder, lock, folder / store.LOCK, link_mode),
            home=home,
            what=f"installing {what}",
            offline=offline,
            timeout_seconds=_INSTALL_SECONDS,
        )
    except BuildError as error:
        missing = missing_packages(folder, lock, home=home) if error.code == "offline" else ()
        if not missing:
            raise
        raise BuildError(
            f"{what} cannot be built offline: {len(missing)} of {len(lock.pins)} packages are not in the cache",
            hint="build it once with the network, or bring the package cache along",
            code="offline",
            output=f"missing: {', '.join(missing)}",
            command=error.command,
        ) from None


def install_arguments(folder: Path, lock: Lock, lock_path: Path, link_mode: LinkMode) -> tuple[str, ...]:
    """Return uv's arguments for `install`."""
    inputs = lock.inputs
    # Every version and file is pinned, so which index has it does not matter: a torch index that also carries other
    # packages must not hide them.
    any_index = ("--index-strategy", "unsafe-best-match") if inputs.torch_packages else ()
    return (
        *("pip", "sync", "--quiet", "--require-hashes", "--link-mode", link_mode),
        *("--python", str(store.python_path(folder))),
        *wheels_only(inputs),
        *torch_index.resolve_arguments(inputs.target, inputs.torch_packages),
        *any_index,
        str(lock_path),
    )


def missing_packages(folder: Path, lock: Lock, *, home: Home) -> tuple[str, ...]:
    """Return the distributions of a lock that cannot be installed without the network, as ``name version``.

    The installer stops at the first it misses, so each is asked for alone; nothing is installed.
    """
    inputs = lock.inputs
    missing = []
    for pin in lock.pins:
        alone = Lock(inputs, lock.resolver, lock.resolved_on, (pin,))
        arguments = (
            *("pip", "install", "--dry-run", "--no-deps", "--require-hashes"),
            *("--python", str(store.python_path(folder))),
            *torch_index.resolve_arguments(inputs.target, inputs.torch_packages),
            *("--requirements", "-"),
        )
        try:
            done = uv.call_uv(
                arguments,
                home=home,
                what=f"looking for {pin.name}",
                offline=True,
                timeout_seconds=_ASK_SECONDS,
                stdin=alone.body,
            )
        except BuildError:
            missing.append(f"{pin.name} {pin.version}")
        else:
            if "Would download" in done.stderr:  # its description is here, its file is not
                missing.append(f"{pin.name} {pin.version}")
    return tuple(missing)
