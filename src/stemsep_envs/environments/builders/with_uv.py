"""Building with uv, the default: some hundred milliseconds from a warm cache, files shared with it."""

from __future__ import annotations

import os
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.lock import Lock, Pin
from stemsep_envs.environments import environment_store, torch_index, uv
from stemsep_envs.environments.builders.installation import Installation
from stemsep_envs.environments.uv_words import would_download
from stemsep_envs.errors import BuildError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.command import Command
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.host.tree_removal import remove_file

_CREATE_SECONDS = 120.0
_INSTALL_SECONDS = 7200.0
_ASK_SECONDS = 60.0


def version(_: Path, *, home: Home) -> str:  # noqa: ARG001 - the interface's
    """Return uv's version."""
    return uv.version()


def create(job: Installation, *, home: Home) -> None:
    """Make ``venv``; see `builders.Tool.create`."""
    uv.call_uv(
        _create_arguments(job),
        home=home,
        what=f"creating the environment of {job.what}",
        offline=False,
        timeout_seconds=_CREATE_SECONDS,
    )
    _remove_lock(job)


def install(job: Installation, *, home: Home) -> None:
    """Install what is locked; see `builders.Tool.install`."""
    try:
        uv.call_uv(
            _install_arguments(job, home),
            home=home,
            what=f"installing {job.what}",
            offline=job.offline,
            timeout_seconds=_INSTALL_SECONDS,
        )
    except BuildError as error:
        missing = missing_pins(job, home=home) if error.code == "offline" else ()
        if not missing:
            raise
        raise BuildError(
            f"{job.what} cannot be built offline: {len(missing)} of {len(job.lock.pins)} packages are not in the cache",
            hint="build it once with the network, or bring the package cache along",
            code="offline",
            output=f"missing: {', '.join(f'{pin.name} {pin.version}' for pin in missing)}",
            command=error.command,
        ) from None
    _remove_lock(job)


def commands(job: Installation, *, home: Home) -> tuple[Command, ...]:
    """Return the commands to repeat by hand; see `builders.Tool.commands`."""
    return (
        uv.uv_command(_create_arguments(job), home=home, offline=False),
        uv.uv_command(_install_arguments(job, home), home=home, offline=job.offline),
    )


def missing_pins(job: Installation, *, home: Home) -> tuple[Pin, ...]:
    """Return the distributions of a lock that cannot be installed without the network; nothing is installed.

    The installer stops at the first it misses, so each is asked for alone; and for the base interpreter: the
    environment's own would run what was installed before the one that is missing.

    Args:
        job: What is to be installed.
        home: Whose package cache is looked in.
    """
    with scratch_dir(ensure_dir(home.cache_dir), "asking-") as nothing_installed:
        return tuple(pin for pin in job.lock.pins if _is_missing(pin, job, home, nothing_installed))


def _is_missing(pin: Pin, job: Installation, home: Home, nothing_installed: Path) -> bool:
    # Into an empty folder: what the interpreter has would count as there, and with --reinstall nothing would.
    alone = Lock(job.lock.inputs, job.lock.resolver, job.lock.resolved_on, (pin,))
    arguments = (
        *("pip", "install", "--dry-run", "--no-deps", "--target", str(nothing_installed)),
        *("--require-hashes", "--only-binary", ":all:", "--python", str(job.interpreter)),
        *_folders(job),
        *torch_index.uv_arguments(job.index, job.lock.inputs.target),
        *("--requirements", "-"),
    )
    try:
        done = uv.call_uv(
            arguments,
            home=home,
            what=f"looking for {pin.name}",
            offline=True,
            timeout_seconds=_ASK_SECONDS,
            stdin=alone.body if not torch_index.unlabelled_pins(alone, job.index) else _exactly(alone),
        )
    except BuildError:
        return True
    return would_download(done.stderr)  # then its description is here, and its file is not


def _remove_lock(job: Installation) -> None:
    """Remove the file that uv takes its lock on: every user may write it, and it is no part of what was built."""
    remove_file(job.folder / "venv" / ".lock")


def _create_arguments(job: Installation) -> tuple[str, ...]:
    venv = str(job.folder / "venv")
    return ("venv", "--quiet", "--relocatable", "--no-project", "--python", str(job.interpreter), venv)


def _install_arguments(job: Installation, home: Home) -> tuple[str, ...]:
    inputs = job.lock.inputs
    # Every version and file is pinned, so which index has it does not matter: a torch index that also carries other
    # packages must not hide them.
    any_index = ("--index-strategy", "unsafe-best-match") if inputs.torch_packages else ()
    options = torch_index.uv_arguments(job.index, inputs.target)
    unlabelled = torch_index.unlabelled_pins(job.lock, job.index)
    constraints = ("--constraints", str(_kept_constraints(unlabelled, home))) if unlabelled else ()
    return (
        *("pip", "sync", "--quiet", "--require-hashes", "--link-mode", job.link_mode),
        *("--python", str(environment_store.python_path(job.folder))),
        *("--only-binary", ":all:"),
        *_folders(job),
        *(options if "--index-strategy" in options else (*options, *any_index)),
        *constraints,
        str(job.lock_path),
    )


def _folders(job: Installation) -> tuple[str, ...]:
    """Return the options that name the folders of wheels built here, and those of the environment, which they hide."""
    if not job.built:
        return ()
    told = uv.uv_environment(os.environ).get("UV_FIND_LINKS", "")
    folders = (*map(str, job.built), *(place for place in told.split(",") if place))
    return tuple(word for folder in folders for word in ("--find-links", folder))


def _kept_constraints(text: str, home: Home) -> Path:
    """Write constraints to a file that stays, so that the command that names it can be repeated."""
    path = home.cache_dir / "constraints" / f"{digest_of_bytes(text.encode())[:16]}.txt"
    if not path.is_file():
        write_atomic(path, text.encode())
    return path


def _exactly(lock: Lock) -> str:
    """Return the text of a lock of one pin, taking no labelled build for one without a label."""
    return lock.body.replace("==", "===", 1)
