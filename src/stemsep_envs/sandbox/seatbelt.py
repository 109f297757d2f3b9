"""The `seatbelt` level of macOS: `sandbox-exec` with a profile of our own. Written without a Mac; untried.

It denies by default and allows the policy's folders, the system's libraries, and no network. It hides neither processes
nor names of files, and has no filter of system calls: what it holds is measured like any level's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.host.command import Command
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.sandbox.hygiene import shell_limits
from stemsep_envs.sandbox.policy import LevelName, Measurement, Policy
from stemsep_envs.sandbox.probing import measure

NAME: LevelName = "seatbelt"

_SYSTEM_FOLDERS = (
    *("/usr/lib", "/usr/share", "/usr/bin", "/bin", "/System", "/Library/Apple"),
    *("/private/var/db/dyld", "/private/var/db/timezone"),
)
_READ_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


class Seatbelt:
    """Starts a worker in macOS's sandbox."""

    @property
    def name(self) -> LevelName:
        """Return the level's name."""
        return NAME

    def measure(self) -> Measurement:
        """Run the probes inside and look from outside at what happened."""
        if shutil.which("sandbox-exec") is None:
            return Measurement.unavailable("there is no sandbox-exec here", "it comes with macOS")
        return measure(self)

    @contextmanager
    def confine(self, argv: tuple[str, ...], policy: Policy) -> Iterator[Command]:
        """Yield the command that runs ``argv`` under the profile, in the policy's environment and limits."""
        ensure_dir(policy.writable_dir / "tmp")
        confined = ("/usr/bin/sandbox-exec", "-p", profile(policy))
        yield Command((*shell_limits(policy), *confined, *argv), policy.env, policy.writable_dir)


def profile(policy: Policy) -> str:
    """Return the profile in the sandbox's own language. Later rules win."""
    readable = [*_SYSTEM_FOLDERS, *_both_names(policy.readable)]
    writable = _both_names((policy.writable_dir,))
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-fork)",
        "(allow signal (target same-sandbox))",
        "(allow sysctl-read)",
        "(allow file-read-metadata)",
        f"(allow file-read* process-exec {_paths([*readable, *writable])})",
        f"(allow file-read* (literal {_quoted('/')}) {_literals(_READ_DEVICES)})",
        f"(allow file-write-data {_literals(_READ_DEVICES[:2])})",
        f"(allow file-write* {_paths(writable)})",
        "(deny network*)",
    ]
    if policy.gpu:  # Metal's driver, its compiler service and its cache
        lines += [
            "(allow iokit-open)",
            '(allow mach-lookup (global-name "com.apple.MTLCompilerService"))',
            '(allow mach-lookup (global-name "com.apple.cvmsServ"))',
        ]
    return "\n".join(lines)


def _both_names(paths: tuple[Path, ...]) -> list[str]:
    """Return each path as it is named and as it is: the sandbox looks at the latter, ``/tmp`` being a link there."""
    return list(dict.fromkeys(str(name) for path in paths for name in (path, path.resolve())))


def _paths(names: list[str]) -> str:
    return " ".join(f"(subpath {_quoted(name)})" for name in names)


def _literals(names: tuple[str, ...]) -> str:
    return " ".join(f"(literal {_quoted(name)})" for name in names)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
