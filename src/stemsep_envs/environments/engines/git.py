"""Calling git: which program, with which environment, and how its failures become errors.

git is given an explicit environment: what says how to reach repositories (configuration, proxies, certificates,
credentials, ssh) passes, and what would lead it to another repository (``GIT_DIR`` and its like) does not. The user's
and the system's configuration holds, so that ``url.<mirror>.insteadOf`` works; hooks, submodules and helpers that run
commands from an address are off whatever it says.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from stemsep_envs.errors import BlockedError, BuildError, LimitError, Reason, StemsepEnvError
from stemsep_envs.host.child_environ import passed_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import describe_exit
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.redaction import redact

_FETCH_SECONDS = 3600.0
_LOCAL_SECONDS = 600.0
_OUTPUT_CHARACTERS = 6000

_PROTOCOLS = ("file", "git", "http", "https", "ssh")
"""What an address may be rewritten to; the commit's hash holds whatever way it comes."""

_ALWAYS = (
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "fetch.recurseSubmodules=false"),
    *("-c", "transfer.bundleURI=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
)


_MISSING = Reason("git_missing", "git is not installed, or not on PATH", hint="install git, version 2.29 or newer")


def git_reason() -> Reason | None:
    """Return why git cannot be called, or None when it can."""
    return _MISSING if shutil.which("git") is None else None


def is_reached_locally(repository: str) -> bool:
    """Say whether git's configuration leads an address to a folder of this machine."""
    command = git_command(["ls-remote", "--get-url", repository], offline=True)
    address = run(command, timeout_seconds=_LOCAL_SECONDS).stdout.strip()
    return urlsplit(address).scheme == "file" or Path(address).is_absolute()


def git_environment(environ: Mapping[str, str], *, offline: bool) -> dict[str, str]:
    """Return what of this process's environment git gets, and what it is told besides."""
    allowed = environ.get("GIT_ALLOW_PROTOCOL", "").split(":") if environ.get("GIT_ALLOW_PROTOCOL") else _PROTOCOLS
    protocols = [name for name in _PROTOCOLS if name in allowed and (name == "file" or not offline)]
    return {
        **passed_variables("git", environ),
        "LC_ALL": "C",  # its words are looked at
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": ":".join(protocols) or "none",
    }


def git_command(arguments: Sequence[str], *, offline: bool) -> Command:
    """Return the command line that calls git with these arguments.

    Raises:
        BlockedError: git is not here.
    """
    program = shutil.which("git")
    if program is None:
        raise BlockedError(f"an engine cannot be fetched: {_MISSING.message}", (_MISSING,), hint=_MISSING.hint)
    nowhere = Path(Path(sys.executable).anchor)  # in no repository, whose own configuration would hold
    return Command((program, *_ALWAYS, *arguments), git_environment(os.environ, offline=offline), nowhere)


def call_git(
    arguments: Sequence[str], *, offline: bool, what: str, repeat: Sequence[Sequence[str]] | None = None
) -> Completed:
    """Call git and wait for it.

    Args:
        arguments: The subcommand and its options.
        offline: Accept only what lies on this machine.
        what: What is being done, for the message.
        repeat: The arguments of calls that do the same somewhere else, when what is worked on is gone after a failure.

    Raises:
        BlockedError: git is not here.
        BuildError: git failed; its own words and commands to repeat it are carried.
        LimitError: It took too long, or the disk is full.
    """
    command = git_command(arguments, offline=offline)
    done = run(command, timeout_seconds=_FETCH_SECONDS)
    if done.status != 0:
        lines = [Command(("git", *one), command.env, command.cwd).shown() for one in repeat or (arguments,)]
        raise _failure(done, what, " && ".join(lines))
    return done


_HINTS = {
    "not our ref": "the repository, or the mirror that git's configuration leads to, does not have this commit",
    "unadvertised object": "the server gives out no single commits: set uploadpack.allowAnySHA1InWant there",
    "dumb http": "the server gives out no single commits: serve it with git's own http-backend, or use an archive",
    "not allowed": "git's configuration leads to a protocol that is not accepted: use https, ssh or file",
    "dubious ownership": "the repository belongs to another user: git's safe.directory says which are trusted",
    "could not resolve host": "check the network, or let git's configuration (insteadOf) lead to a mirror",
    "could not read username": "the repository does not exist, or needs credentials that git's helpers do not have",
}


def _failure(done: Completed, what: str, command: str) -> StemsepEnvError:
    words = redact(done.stderr.strip()[-_OUTPUT_CHARACTERS:])
    if "no space left on device" in words.lower():
        return LimitError(f"no space left while {what}", hint="free some space", code="no_space")
    hint = next((hint for sign, hint in _HINTS.items() if sign in words.lower()), "git's own words are below")
    first = next((line for line in words.splitlines() if line.startswith("fatal:")), words.partition("\n")[0])
    return BuildError(
        f"{what} failed: {first or describe_exit(done.status)}",
        hint=hint,
        code="fetch_failed",
        output=words,
        command=command,
    )
