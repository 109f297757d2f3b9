"""Calling uv: which binary, with which environment, and how its failures become errors.

uv is given an explicit environment: what says how to reach packages (proxies, certificates, indexes, credentials)
passes, and what would change an answer (constraints, overrides, resolution modes, link modes) does not. The
configuration of the folder the user stands in is never read; that of the user or the system is.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stemsep_envs.environments import uv_words
from stemsep_envs.errors import BlockedError, BuildError, MismatchError, Reason, StemsepEnvError
from stemsep_envs.host.child_environ import passed_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import describe_exit
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.redaction import redact

_OUTPUT_CHARACTERS = 6000


def version() -> str:
    """Return the version of uv that is called."""
    from importlib.metadata import version as distribution_version  # noqa: PLC0415 - needed only by builds

    return distribution_version("uv")


def cache_dir(home: Home) -> Path:
    """Return the package cache: ``$UV_CACHE_DIR``, else one of this home's own, which no other project links to."""
    named = os.environ.get("UV_CACHE_DIR")
    return Path(named).absolute() if named else home.cache_dir / "uv"


def uv_command(arguments: Sequence[str], *, home: Home, offline: bool, own_project: bool = False) -> Command:
    """Return the command line that calls uv with these arguments, whole enough to repeat it by hand.

    Args:
        arguments: The subcommand and its options.
        home: Whose cache is used.
        offline: Forbid the network.
        own_project: The arguments name a project of ours, whose configuration is to be read beside the user's.
    """
    from uv import find_uv_bin  # noqa: PLC0415 - needed only by builds

    config = _user_config()
    common = ["--cache-dir", str(cache_dir(home)), "--no-progress"]
    if not own_project:
        common += ["--config-file", str(config)] if config else ["--no-config"]
    if offline or _wants_offline():
        common.append("--offline")
    return Command((find_uv_bin(), *arguments, *common), uv_environment(os.environ), ensure_dir(home.root))


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of this process's environment uv gets."""
    passed = passed_variables("uv", environ)
    if "UV_FIND_LINKS" in passed:  # uv runs in another folder: a relative path would mean another place there
        places = [place for place in passed["UV_FIND_LINKS"].replace(",", " ").split() if place]
        passed["UV_FIND_LINKS"] = ",".join(place if "://" in place else str(Path(place).absolute()) for place in places)
    return passed


def call_uv(  # noqa: PLR0913 - what a call is made of
    arguments: Sequence[str],
    *,
    home: Home,
    what: str,
    offline: bool,
    timeout_seconds: float,
    stdin: str = "",
    extra_env: Mapping[str, str] | None = None,
    own_project: bool = False,
) -> Completed:
    """Call uv and wait for it.

    Args:
        arguments: The subcommand and its options.
        home: Whose cache is used.
        what: What is being done, for the message: ``resolving dsp for linux-x86_64-cpu``.
        offline: Forbid the network.
        timeout_seconds: After this it is killed.
        stdin: What it reads.
        extra_env: More variables, which are shown in the command to repeat.
        own_project: See `uv_command`.

    Raises:
        BuildError: uv failed; its own words and the command to repeat it are carried.
        MismatchError: A file does not have the hash that is locked.
        LimitError: The time is over.
    """
    command = uv_command(arguments, home=home, offline=offline, own_project=own_project)
    if extra_env:
        command = Command(command.argv, {**command.env, **extra_env}, command.cwd)
    done = run(command, timeout_seconds=timeout_seconds, stdin=stdin.encode())
    if done.status != 0:
        raise _failure(done, what, offline=offline, stdin=stdin, extra_env=extra_env or {})
    return done


def _failure(done: Completed, what: str, *, offline: bool, stdin: str, extra_env: Mapping[str, str]) -> StemsepEnvError:
    words = redact((done.stderr.strip() or done.stdout.strip())[-_OUTPUT_CHARACTERS:])
    shown = " ".join([*(f"{key}={value}" for key, value in extra_env.items()), done.command.shown()])
    if stdin:
        shown = f"printf %s {shlex.quote(stdin)} | {shown}"
    first = words.splitlines()[0].strip() if words else describe_exit(done.status)
    if uv_words.is_hash_mismatch(words):
        return MismatchError(
            f"{what} failed: a file that was fetched is not the one that is locked\n{words}",
            hint=f"the index serves another file, or something between changed it; to repeat it: {shown}",
            code="hash_mismatch",
        )
    if offline:
        hint = "what is needed is not in the package cache: run once without --offline"
        return BuildError(f"{what} failed offline: {first}", hint=hint, code="offline", output=words, command=shown)
    if uv_words.is_unreachable(words):
        hint = (
            "check the network and its proxy; how to name mirrors and indexes of your own is in "
            "docs/how-to/use-a-mirror-or-index.md; torch's by STEMSEP_ENV_TORCH_INDEX: a base address, a folder of "
            "wheels, or none"
        )
        return BuildError(
            f"{what} failed: an index cannot be reached or does not answer as one",
            hint=hint,
            code="index_unreachable",
            output=words,
            command=shown,
        )
    return BuildError(f"{what} failed: {first}", hint="the tool's own words are above", output=words, command=shown)


def install_python(minor: str, *, into: Path, home: Home, offline: bool) -> None:
    """Let uv install the newest Python of a minor into a folder of this home.

    Raises:
        BlockedError: Offline.
        BuildError: uv could not.
    """
    if offline or _wants_offline():
        reason = Reason("python_missing", f"Python {minor} is not installed here", hint=f"install Python {minor}")
        raise BlockedError(f"{reason.message}, and offline it cannot be fetched", (reason,), hint=reason.hint)
    arguments = ["python", "install", minor, "--install-dir", str(into), "--no-bin"]
    if sys.platform == "win32":
        arguments.append("--no-registry")
    call_uv(arguments, home=home, what=f"installing Python {minor}", offline=False, timeout_seconds=1800)


def _wants_offline() -> bool:
    return os.environ.get("UV_OFFLINE", "").lower() in {"1", "true", "yes", "on"}


def _user_config() -> Path | None:
    """Return the user's or the system's uv.toml: mirrors and certificates of a company are configured there."""
    if sys.platform == "win32":
        folders = [os.environ.get("APPDATA", ""), os.environ.get("PROGRAMDATA", "")]
    else:
        own = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        folders = [own, "/etc"]
    paths = [Path(folder) / "uv" / "uv.toml" for folder in folders if folder]
    return next((path for path in paths if path.is_file()), None)
