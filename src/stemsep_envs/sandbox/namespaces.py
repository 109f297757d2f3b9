"""The `namespaces` level: bubblewrap, started by an unprivileged user, with a system-call filter.

The worker sees the system's libraries, what its policy names, and nothing else: no other process, no network interface,
no file of the user's. Whatever it makes outside of its one folder is in memory, bounded, and gone at its end. Started
by root, the launcher stops being root first (`launcher.root`): bubblewrap run by real root is not a boundary.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from stemsep_envs.errors import UsageError
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.sandbox.cgroups import groups_for
from stemsep_envs.sandbox.launcher.privilege_drop import staged
from stemsep_envs.sandbox.launcher_command import (
    ConfinedCommand,
    Option,
    common_options,
    launch,
    process_limit,
    unprivileged_uid,
)
from stemsep_envs.sandbox.policy import OWN_FOLDERS, LevelName, Measurement, Policy
from stemsep_envs.sandbox.probing import measure
from stemsep_envs.sandbox.system_files import System, find_system

NAME: LevelName = "namespaces"

_LIMIT_PROCESSES = """
for letter in u p; do
    least=$(ulimit -H -$letter 2>/dev/null) || continue
    [ "$least" != unlimited ] && [ "$least" -le "$0" ] && exec "$@"
    ulimit -$letter "$0" && exec "$@"
done
exit 126
"""
"""Run inside, where the count begins at none; outside, all of the user's tasks count. Shells differ in the letter (in
bash ``-p`` is something else), and say no to a limit above the one that holds already."""


class Namespaces:
    """Starts a worker in bubblewrap."""

    @property
    def name(self) -> LevelName:
        """Return the level's name."""
        return NAME

    def measure(self) -> Measurement:
        """Run the probes inside and look from outside at what happened."""
        if _bubblewrap() is None:
            return Measurement.unavailable(
                "bubblewrap is not installed", "install the package bubblewrap (apt, dnf, pacman, apk), at least 0.8"
            )
        return measure(self)

    @contextmanager
    def confine(self, argv: tuple[str, ...], policy: Policy) -> Iterator[ConfinedCommand]:
        """Yield the command that runs ``argv`` in namespaces of its own; its control groups are removed at the end."""
        ensure_dir(policy.writable_dir / "tmp")
        program = _bubblewrap() or "bwrap"
        with groups_for(policy.limits) as groups:
            options = common_options(policy, groups, os.getpid())
            mounts = policy_mounts(policy, find_system())
            links = links_among(mounts)
            mounts = tuple(mount for mount in mounts if mount[1] not in links)
            if os.geteuid() == 0:
                options += root_options(mounts, policy, unprivileged_uid())
                source = staged_source(mounts)
            else:
                source = str
            options += [("seccomp", "namespaces"), ("bwrap-program", program)]
            options += [("bwrap", word) for word in arguments(policy, mounts, find_system(), source, links)]
            processes = process_limit(policy, groups)
            if processes is not None:
                argv = ("/bin/sh", "-c", _LIMIT_PROCESSES, str(processes), *argv)
            yield launch(options, argv, policy, groups)


def _bubblewrap() -> str | None:
    return shutil.which("bwrap")


Mount = tuple[Path, Path, bool]
"""What to show, where, and whether it may be written."""


def policy_mounts(policy: Policy, system: System) -> tuple[Mount, ...]:
    """Return what of the policy must be mounted, outer folders first, without what another shows already.

    A path that is a link, or lies behind one, is shown under both its names.

    Raises:
        UsageError: The policy names a folder that no worker may have.
    """
    wanted = {policy.writable_dir: True, policy.writable_dir.resolve(): True}
    for path in policy.readable:
        wanted.setdefault(path, False)
        wanted.setdefault(path.resolve(), False)
    shown = dict.fromkeys(system.readable, False)
    mounts: list[Mount] = []
    for path in sorted(wanted, key=lambda path: (len(path.parts), path)):
        if len(path.parts) < 2 or any(path.is_relative_to(own) for own in OWN_FOLDERS):
            raise UsageError(
                f"a worker cannot be shown {path}", hint="keep the home, models and engines out of /dev and /proc"
            )
        outer = next((parent for parent in path.parents if parent in shown), None)
        if wanted[path] or outer is None or shown[outer]:
            if path not in shown:
                mounts.append((path.resolve(), path, wanted[path]))
            shown[path] = wanted[path]
    return tuple(mounts)


def links_among(mounts: Sequence[Mount]) -> Mapping[Path, Path]:
    """Return the links among what is shown, with where they lead: an interpreter finds its library by being one.

    What lies in a folder that is shown as well is shown with it.
    """
    shown = {target for _, target, _ in mounts}
    return {
        target: origin
        for origin, target, writable in mounts
        if not writable and target.is_symlink() and shown.isdisjoint(target.parents)
    }


def root_options(mounts: Sequence[Mount], policy: Policy, uid: int) -> list[Option]:
    """Return what the launcher must do first when root starts it."""
    readable = dict.fromkeys(source for source, _, writable in mounts if not writable)
    return [
        ("uid", str(uid)),
        ("own", str(policy.writable_dir)),
        *(("stage-read", str(source)) for source in readable),
        ("stage-write", str(policy.writable_dir.resolve())),
    ]


def staged_source(mounts: Sequence[Mount]) -> Callable[[Path], str]:
    """Return where each source is found on the stage: the readable in their order, then the writable."""
    readable = dict.fromkeys(source for source, _, writable in mounts if not writable)
    places = {source: staged(number) for number, source in enumerate(readable)}
    return lambda source: places.get(source, staged(len(places)))


def arguments(
    policy: Policy,
    mounts: Sequence[Mount],
    system: System,
    source: Callable[[Path], str],
    links: Mapping[Path, Path] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Return bubblewrap's arguments.

    Args:
        policy: What the worker may do.
        mounts: The policy's paths, from `policy_mounts`.
        system: What of the machine it sees besides.
        source: Where to find the source of a mount.
        links: Links to make, each with where it leads.
    """
    bounded = ("--size", str(policy.limits.tmpfs_bytes), "--tmpfs")
    words = [
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--disable-userns", "--new-session", "--die-with-parent", "--hostname", "worker"),
        *(word for path in system.readable for word in ("--ro-bind", str(path), str(path))),
        *(word for path, target in system.links for word in ("--symlink", target, str(path))),
        *("--proc", "/proc", "--tmpfs", "/proc/sys", "--remount-ro", "/proc/sys"),
        *("--dev", "/dev", *bounded, "/dev/shm"),  # noqa: S108 - the worker's own
        *(bounded[0], bounded[1], "--perms", "1777", bounded[2], "/tmp"),  # noqa: S108 - likewise
    ]
    if policy.gpu:
        words += [word for node in system.gpu_nodes for word in ("--dev-bind", str(node), str(node))]
        words += [word for path in system.gpu_readable for word in ("--ro-bind", str(path), str(path))]
    for origin, target, writable in mounts:
        words += ["--bind" if writable else "--ro-bind", source(origin), str(target)]
    words += [word for link, origin in links.items() for word in ("--symlink", str(origin), str(link))]
    # Bubblewrap's own root and /dev are in memory without a bound.
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(policy.writable_dir), "--clearenv"]
    return (*words, *(word for name, value in policy.env.items() for word in ("--setenv", name, value)))
