"""The `container` level: docker or podman, no network, read-only root, no capabilities, our system-call filter, limits.

Used on request: an engine takes half a second to start a worker. The container's image holds nothing but links: the
system's libraries and the policy's folders are shown to it from this machine, read-only, so that a worker finds the
same paths at every level. The engine must therefore run on this machine. The launcher watches over the engine's client
as over any worker, and has the container removed at its end: what runs in one does not end with the client.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.child_environ import passed_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.scratch_dirs import scratch_dir, sweep_scratch
from stemsep_envs.sandbox.cgroups import Groups
from stemsep_envs.sandbox.launcher.privilege_drop import chown_tree
from stemsep_envs.sandbox.launcher.seccomp import rules
from stemsep_envs.sandbox.launcher_command import SHARED_LIMITS, launch, output_options, unprivileged_uid
from stemsep_envs.sandbox.namespaces import policy_mounts
from stemsep_envs.sandbox.policy import LevelName, Measurement, Policy
from stemsep_envs.sandbox.probing import measure
from stemsep_envs.sandbox.system_files import System, find_system

NAME: LevelName = "container"

_IMAGE = "stemsep-env-empty:2"
_PREFIX = "stemsep-env-worker-"
_FILTER_PARENT, _FILTER_PREFIX = Path("/tmp"), "stemsep-env-filter-"  # noqa: S108 - a folder of our own is made in it
_ENGINES = ("docker", "podman")
_ENGINE_SECONDS = 60.0

_ULIMITS = {"core": "core", "files": "nofile", "locked": "memlock", "signals": "sigpending", "queues": "msgqueue"}
"""The engines' names of the limits that every worker is held to."""

_SBIN = Path("/sbin")
"""Not shown: docker puts its init there, and no worker needs what a system administrator runs."""


@dataclass(frozen=True)
class ContainerEngine:
    """A container engine's command-line program."""

    name: str
    program: str

    def run(self, *arguments: str, stdin: bytes = b"") -> Completed:
        """Run a command of the engine to its end."""
        return run(
            Command((self.program, *arguments), _environ(), Path("/")), timeout_seconds=_ENGINE_SECONDS, stdin=stdin
        )


class Container:
    """Starts a worker in a container of its own."""

    @property
    def name(self) -> LevelName:
        """Return the level's name."""
        return NAME

    def measure(self) -> Measurement:
        """Run the probes inside and look from outside at what happened."""
        engine = find_engine()
        if engine is None:
            return Measurement.unavailable("neither docker nor podman is installed", "install podman or docker")
        answer = engine.run("info")
        if answer.status != 0:
            said = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
            return Measurement.unavailable(
                f"{engine.name} is installed, but its engine does not answer: {said}",
                f"start the engine, then try `{engine.name} info`",
            )
        return measure(self)

    @contextmanager
    def confine(self, argv: tuple[str, ...], policy: Policy) -> Iterator[Command]:
        """Yield the command that runs ``argv`` in a container; the container is removed at the end, running or not.

        Raises:
            StemsepEnvError: There is no engine, or it cannot take the image.
        """
        engine = find_engine()
        if engine is None:
            raise StemsepEnvError("neither docker nor podman is installed", hint="use another sandbox level")
        ensure_dir(policy.writable_dir / "tmp")
        system = find_system()
        _import_image(engine, system)
        _remove_abandoned(engine)
        uid, gid = _identity(policy)
        container = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        sweep_scratch(_FILTER_PARENT, _FILTER_PREFIX)
        with scratch_dir(_FILTER_PARENT, _FILTER_PREFIX) as folder:
            profile = folder / "seccomp.json"
            write_atomic(profile, json.dumps(seccomp_profile()).encode())
            words = arguments(policy, system, engine.name, container=container, profile=profile, user=f"{uid}:{gid}")
            groups = Groups(bounds_memory=policy.limits.memory_bytes is not None, bounds_processes=True)
            options = [
                ("parent", str(os.getpid())),
                *output_options(policy),
                *(("env", name, value) for name, value in _environ().items()),
                *(("afterwards", word) for word in (engine.program, "rm", "--force", container)),
                ("shell-statuses",),
            ]
            try:
                yield launch(options, (engine.program, *words, _IMAGE, *argv), policy, groups)
            finally:
                engine.run("rm", "--force", container)


def _environ() -> dict[str, str]:
    """Return what the engine's own program is told: where to find its engine and its configuration."""
    return {name: value for name, value in passed_variables("container-engine", os.environ).items() if value}


def find_engine() -> ContainerEngine | None:
    """Return the engine to use: the first that is installed; None on other systems than Linux."""
    if sys.platform != "linux":
        return None
    found = ((name, shutil.which(name)) for name in _ENGINES)
    return next((ContainerEngine(name, program) for name, program in found if program), None)


def arguments(
    policy: Policy, system: System, engine: str, *, container: str, profile: Path, user: str
) -> tuple[str, ...]:
    """Return the engine's arguments, up to the image.

    Args:
        policy: What the worker may do.
        system: What of the machine it sees besides.
        engine: ``docker`` or ``podman``.
        container: The container's name.
        profile: The file of the system-call filter.
        user: User and group id.
    """
    limits = policy.limits
    words = [
        *("run", "--rm", "--interactive", "--init", "--name", container, "--pull", "never"),
        *("--network", "none", "--read-only", "--cap-drop", "ALL", "--user", user, "--ipc", "private"),
        *("--security-opt", "no-new-privileges", "--security-opt", f"seccomp={profile}"),
        *("--security-opt", "label=disable"),  # SELinux would want the system's own folders labelled anew
        *("--tmpfs", f"/tmp:rw,nosuid,nodev,size={limits.tmpfs_bytes},mode=1777"),  # noqa: S108 - the container's
        *("--shm-size", str(limits.tmpfs_bytes), "--workdir", str(policy.writable_dir)),
    ]
    for word, name in _ULIMITS.items():
        words += ["--ulimit", f"{name}={SHARED_LIMITS[word]}:{SHARED_LIMITS[word]}"]
    if engine == "podman" and os.geteuid() != 0:
        words += ["--userns", "keep-id"]
    if limits.memory_bytes is not None:
        words += ["--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)]
    if limits.processes is not None:
        words += ["--pids-limit", str(limits.processes)]
    if limits.file_bytes is not None:
        words += ["--ulimit", f"fsize={limits.file_bytes}:{limits.file_bytes}"]
    if limits.cpu_seconds is not None:
        words += ["--ulimit", f"cpu={limits.cpu_seconds}:{limits.cpu_seconds}"]
    if policy.gpu:
        words += [word for node in system.gpu_nodes for word in ("--device", str(node))]
    shown = [(path, path, False) for path in system.readable if not path.is_relative_to("/sys") and path != _SBIN]
    for source, target, writable in (*shown, *policy_mounts(policy, system)):
        words += ["--mount", _mount(source, target, writable=writable)]
    return (*words, *(word for name, value in policy.env.items() for word in ("--env", f"{name}={value}")))


def _mount(source: Path, target: Path, *, writable: bool) -> str:
    """Return a bind mount as engines read it: values with commas or quotes are quoted as in CSV."""
    fields = ["type=bind", f"source={source}", f"target={target}", *([] if writable else ["readonly"])]
    quoted = (f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & {",", '"'} else field for field in fields)
    return ",".join(quoted)


def seccomp_profile() -> Mapping[str, object]:
    """Return the `namespaces` filter in the engines' format."""

    def one(name: str, failure: int, tests: Sequence[tuple[int, int, str, int]]) -> dict[str, object]:
        compared = [_compared(index, mask, relation, value) for index, mask, relation, value in tests]
        return {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": failure, "args": compared}

    expanded = [(name, failure, choice) for name, failure, tests in rules("namespaces") for choice in _choices(tests)]
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [one(*rule) for rule in expanded]}


def _choices(tests: Sequence[tuple[int, int, str, int]]) -> list[list[tuple[int, int, str, int]]]:
    """Spell "some bit of the mask is set" out as one rule a bit: the engines' format knows no other way to say it."""
    spelled: list[list[tuple[int, int, str, int]]] = [[]]
    for index, mask, relation, value in tests:
        if relation == "is not" and value == 0 and mask != 0xFFFFFFFF:
            bits = [1 << number for number in range(32) if mask >> number & 1]
            spelled = [[*before, (index, bit, "is", bit)] for before in spelled for bit in bits]
        else:
            spelled = [[*before, (index, mask, relation, value)] for before in spelled]
    return spelled


def _compared(index: int, mask: int, relation: str, value: int) -> dict[str, object]:
    if relation == "is":
        return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
    return {"index": index, "value": value, "op": "SCMP_CMP_NE"}


def _identity(policy: Policy) -> tuple[int, int]:
    """Return the user and group that the worker runs as: this user, or one that nobody has in place of root."""
    if os.geteuid() != 0:
        return os.getuid(), os.getgid()
    uid = unprivileged_uid()
    chown_tree(str(policy.writable_dir), uid)
    return uid, uid


def _remove_abandoned(engine: ContainerEngine) -> None:
    """Remove the containers of hosts that were killed: the engine keeps them running."""
    listed = engine.run("ps", "--all", "--filter", f"name={_PREFIX}", "--format", "{{.Names}}")
    for container in listed.stdout.split():
        host = container.removeprefix(_PREFIX).split("-", 1)[0]
        if host.isdigit() and not Path(f"/proc/{host}").exists():
            engine.run("rm", "--force", container)


def _import_image(engine: ContainerEngine, system: System) -> None:
    """Give the engine the empty image, if it does not have it yet.

    Raises:
        StemsepEnvError: It does not take it.
    """
    if engine.run("image", "inspect", _IMAGE).status == 0:
        return
    done = engine.run("import", "-", _IMAGE, stdin=_image(system))
    if done.status != 0:
        raise StemsepEnvError(f"{engine.name} did not import the empty image", hint=done.stderr.strip()[-500:])


def _image(system: System) -> bytes:
    """Return an archive of the links that the system's root has (``/lib`` → ``usr/lib``) and nothing else."""
    data = io.BytesIO()
    import tarfile  # noqa: PLC0415 - every command loads this module, and few make images

    with tarfile.open(fileobj=data, mode="w") as archive:
        folder = tarfile.TarInfo(str(_SBIN).lstrip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for path, target in system.links:
            if path == _SBIN:
                continue
            link = tarfile.TarInfo(str(path).lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return data.getvalue()
