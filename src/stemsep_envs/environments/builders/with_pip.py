"""Building with the standard library's ``venv`` and ``pip --require-hashes``: for hosts where uv must not build.

The pip is that of the base interpreter; where it has none, the one that came with it (``ensurepip``), in a throw-away
folder. It works on the environment from outside, so that the environment holds what is locked and no pip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from packaging.version import Version

from stemsep_envs.documents.lock import Lock, Pin
from stemsep_envs.environments import environment_store, torch_index
from stemsep_envs.environments.builders.installation import Installation
from stemsep_envs.environments.builders.relocatable import make_movable, make_scripts_movable
from stemsep_envs.errors import BuildError, MismatchError, StemsepEnvError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.child_environ import passed_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import describe_exit
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.redaction import redact
from stemsep_envs.host.scratch_dirs import scratch_dir

_CREATE_SECONDS = 120.0
_INSTALL_SECONDS = 7200.0
_ASK_SECONDS = 120.0
_HASH_MISMATCH = "DO NOT MATCH THE HASHES"
"""What pip says, and says in no other way, of a file that is not the one that is locked."""
_OUTPUT_CHARACTERS = 6000
_OLDEST = Version("22.3")
"""The first pip that can work on another interpreter's environment."""

_SAME_MEANING = {
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_FIND_LINKS": "PIP_FIND_LINKS",
    "SSL_CERT_FILE": "PIP_CERT",
}
"""The lock was resolved by uv: what it was told of the way to packages holds for pip too, unless pip was told more."""


def version(interpreter: Path, *, home: Home) -> str:
    """Return pip's version."""
    with _pip(interpreter, home) as (_, found):
        return found


def create(job: Installation, *, home: Home) -> None:
    """Make ``venv``; see `builders.Tool.create`."""
    make_venv(job.interpreter, job.folder / "venv", home=home, what=job.what)


def make_venv(interpreter: Path, venv: Path, *, home: Home, what: str) -> None:
    """Make an empty virtual environment that can be moved.

    Raises:
        BuildError: The interpreter could not; some systems package its module apart.
    """
    done = run(_create_command(interpreter, venv, home), timeout_seconds=_CREATE_SECONDS)
    if done.status != 0:
        raise _failure(done, f"creating the environment of {what}")
    make_movable(venv)


def install(job: Installation, *, home: Home) -> None:
    """Install what is locked; see `builders.Tool.install`."""
    if job.index.kind == "builtin" and any("+" in pin.version for pin in job.lock.pins):
        raise BuildError(
            f"{job.what} cannot be installed by pip: it does not know where builds of torch for "
            f"{job.lock.inputs.target.accelerator} come from",
            hint=f"set {torch_index.VARIABLE} to the base address of their indexes, or build with uv",
            code="torch_index_unknown",
        )
    with _pip(job.interpreter, home) as (pip, _):
        done = run(_install_command(job, pip, home), timeout_seconds=_INSTALL_SECONDS)
        if done.status != 0:
            missing = _missing_pins(job, pip, home) if job.offline else ()
            raise _failure(done, f"installing {job.what}", missing=missing)
    make_scripts_movable(job.folder / "venv")


def commands(job: Installation, *, home: Home) -> tuple[Command, ...]:
    """Return the commands to repeat by hand; see `builders.Tool.commands`."""
    return (
        _create_command(job.interpreter, job.folder / "venv", home),
        _install_command(job, (str(job.interpreter), "-m", "pip"), home),
    )


def pip_environment(environ: Mapping[str, str], home: Home) -> dict[str, str]:
    """Return what of this process's environment pip gets."""
    passed = passed_variables("pip", environ)
    for theirs, ours in _SAME_MEANING.items():
        if environ.get(theirs):
            passed.setdefault(ours, environ[theirs].replace(",", " "))
    if "PIP_FIND_LINKS" in passed:  # pip runs in another folder: a relative path would mean another place there
        places = passed["PIP_FIND_LINKS"].split()
        passed["PIP_FIND_LINKS"] = " ".join(
            place if "://" in place else str(Path(place).absolute()) for place in places
        )
    passed.setdefault("PIP_CACHE_DIR", str(home.cache_dir / "pip"))
    return passed


@contextmanager
def _pip(interpreter: Path, home: Home) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the command that begins a call of pip, and its version; a pip made for this is gone afterwards."""
    own = (str(interpreter), "-I", "-m", "pip")
    found = _version_of(own, home)
    if found is not None:
        yield own, found
        return
    with scratch_dir(ensure_dir(home.cache_dir), "pip-") as scratch:
        venv = scratch / "venv"
        made = run(_command((str(interpreter), "-I", "-m", "venv", str(venv)), home), timeout_seconds=_CREATE_SECONDS)
        tool = (str(venv / ("Scripts" if os.name == "nt" else "bin") / "python"), "-I", "-m", "pip")
        found = _version_of(tool, home) if made.status == 0 else None
        if found is None:
            raise BuildError(
                f"{interpreter} has no pip {_OLDEST} or newer, and cannot make one",
                hint="install pip (or ensurepip, which some systems package apart) for it, or build with uv",
                code="pip_missing",
                output=redact((made.stderr or made.stdout).strip()[-_OUTPUT_CHARACTERS:]),
                command=made.command.shown(),
            )
        yield tool, found


def _version_of(pip: tuple[str, ...], home: Home) -> str | None:
    try:
        done = run(_command((*pip, "--version"), home), timeout_seconds=_ASK_SECONDS)
    except StemsepEnvError:
        return None
    match = re.match(r"pip (\d+(?:\.\d+)*)", done.stdout) if done.status == 0 else None
    return match[1] if match and Version(match[1]) >= _OLDEST else None


def _create_command(interpreter: Path, venv: Path, home: Home) -> Command:
    # Without site (-S): what the interpreter has of packages, and the lines of their .pth files, has no part in it.
    return _command((str(interpreter), "-I", "-S", "-m", "venv", "--without-pip", str(venv)), home)


def _install_command(job: Installation, pip: tuple[str, ...], home: Home) -> Command:
    return _command(
        (
            *_install_options(job, pip, environment_store.python_path(job.folder)),
            *("--quiet", "--no-compile", "--no-warn-script-location"),
            *("--requirement", str(job.lock_path)),
        ),
        home,
    )


def _install_options(job: Installation, pip: tuple[str, ...], python: Path) -> tuple[str, ...]:
    return (
        *(*pip, "--python", str(python), "install", "--require-hashes", "--no-deps"),
        *("--no-input", "--disable-pip-version-check", "--only-binary", ":all:"),
        *(word for folder in job.built for word in ("--find-links", str(folder))),
        *torch_index.pip_arguments(job.index),
        *(("--no-index",) if job.offline else ()),
    )


def _missing_pins(job: Installation, pip: tuple[str, ...], home: Home) -> tuple[Pin, ...]:
    """Return the distributions that are in no folder pip was told of; it stops at the first, so each is asked alone.

    Asked of the base interpreter: the environment's own would run what was installed before the one that is missing.
    """
    missing = []
    with scratch_dir(job.folder, "asking-") as scratch:
        for pin in job.lock.pins:
            alone = Lock(job.lock.inputs, job.lock.resolver, job.lock.resolved_on, (pin,))
            write_atomic(scratch / "one.txt", alone.body.encode())
            options = (*_install_options(job, pip, job.interpreter), "--dry-run", "--ignore-installed", "--quiet")
            command = _command((*options, "--requirement", str(scratch / "one.txt")), home)
            if run(command, timeout_seconds=_ASK_SECONDS).status != 0:
                missing.append(pin)
    return tuple(missing)


def _command(argv: tuple[str, ...], home: Home) -> Command:
    return Command(argv, pip_environment(os.environ, home), ensure_dir(home.root))


def _failure(done: Completed, what: str, *, missing: tuple[Pin, ...] = ()) -> StemsepEnvError:
    words = redact((done.stderr.strip() or done.stdout.strip())[-_OUTPUT_CHARACTERS:])
    shown = done.command.shown()
    if _HASH_MISMATCH in words:
        return MismatchError(
            f"{what} failed: a file that was fetched is not the one that is locked\n{words}",
            hint=f"the index serves another file, or something between changed it; to repeat it: {shown}",
            code="hash_mismatch",
        )
    if missing:
        return BuildError(
            f"{what} failed offline: {len(missing)} packages are in no folder of wheels",
            hint="offline, pip installs from folders alone (PIP_FIND_LINKS); uv also from its cache",
            code="offline",
            output=f"missing: {', '.join(f'{pin.name} {pin.version}' for pin in missing)}",
            command=shown,
        )
    first = next((line for line in words.splitlines() if line.lower().startswith("error")), None)
    first = first or (words.splitlines()[0].strip() if words else describe_exit(done.status))
    return BuildError(f"{what} failed: {first}", hint="the tool's own words are above", output=words, command=shown)
