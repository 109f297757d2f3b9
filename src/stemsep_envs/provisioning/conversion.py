"""Checkpoints in pickle form become safetensors, once, before anything loads them.

The converter executes nothing of a checkpoint's and runs confined all the same: it parses a stranger's file. It needs
no environment, only an interpreter, so that a checkpoint can be looked at before anything is built.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from stemsep_envs.artifacts.converted import Converted, ensure_converted
from stemsep_envs.artifacts.safetensors import tensor_names
from stemsep_envs.errors import BlockedError, LimitError, ModelError
from stemsep_envs.host.paths import INSIDE_DIR, Home
from stemsep_envs.host.processes import run
from stemsep_envs.planning.plan import Plan, PlannedArtifact
from stemsep_envs.registry.weights import weights_reasons
from stemsep_envs.sandbox.launcher_command import worker_exit_cause
from stemsep_envs.sandbox.levels import quick_level
from stemsep_envs.sandbox.policy import Level, Limits, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ

_CONVERTER = INSIDE_DIR / "convert.py"

_MEMORY_BYTES = 2 << 30
"""For the pickle and what is made of it; tensors are copied without passing through memory."""

_SECONDS = 60.0
_SLOWEST_BYTES_PER_SECOND = 5_000_000  # of a network disk

_DATA_SUFFIXES = (
    *(".safetensors", ".onnx", ".gguf", ".npy", ".npz"),
    *(".yaml", ".yml", ".json", ".toml", ".ini", ".txt", ".md", ".csv", ".tsv", ".xml"),
    *(".py", ".wav", ".flac"),
)
"""Files that hold data, or code, and that nobody unpickles. Any other may be a pickle, and is taken for one."""

Report = Callable[[str, str], None]
"""Told of each step: its name and what it is about."""


def is_pickle(filename: str, kind: str) -> bool:
    """Say whether a model's file is a checkpoint that Python would unpickle: weights of any other name than data's."""
    return kind in ("checkpoint", "aux") and PurePath(filename.lower()).suffix not in _DATA_SUFFIXES


def convert_artifacts(plan: Plan, *, report: Report) -> Plan:
    """Return the plan with every checkpoint in pickle form replaced by its converted form, converting what is not yet.

    Raises:
        ModelError: A checkpoint cannot be converted, or what came of it was refused.
        LimitError: It took too long, or too much memory or disk.
    """
    return replace(plan, artifacts=tuple(_converted(plan.home, artifact, report) for artifact in plan.artifacts))


def refuse_other_weights(plan: Plan, *, report: Report) -> None:
    """Look at the names of a model's weights before anything is built for them.

    Raises:
        BlockedError: They are those of another variant of the engine.
        ModelError: The checkpoint cannot be converted, or what came of it was refused.
        LimitError: Converting took too long, or too much memory or disk.
    """
    recipe = plan.runtime.recipe
    if not any(variant.weights is not None for variant in recipe.variants.values()):
        return
    for artifact in convert_artifacts(plan, report=report).artifacts:
        names = tensor_names(artifact.path) if artifact.record.name == "primary" else ()
        reasons = weights_reasons(names, recipe, plan.model.variant) if names else ()
        if reasons:
            raise BlockedError(f"{plan.entry.id}: {reasons[0].message}", reasons, hint=reasons[0].hint)


def _converted(home: Home, artifact: PlannedArtifact, report: Report) -> PlannedArtifact:
    record = artifact.record
    if artifact.format != "raw" or artifact.pickle == "full" or not is_pickle(record.filename, artifact.kind):
        return artifact
    made = convert_checkpoint(home, artifact.path, record.sha256, record.size_bytes, record.filename, report)
    return replace(artifact, path=made.path, format="tree", converted=made.report)


def convert_checkpoint(home: Home, path: Path, sha256: str, size: int, name: str, report: Report) -> Converted:
    """Return the converted form of a checkpoint, converting it if it is not here.

    Args:
        home: Where converted forms are kept.
        path: The checkpoint, whose content is what the hash says.
        sha256: Its hash.
        size: Its size in bytes.
        name: What people call it.
        report: Told when a conversion begins.

    Raises:
        ModelError: It cannot be converted, or what came of it was refused.
        LimitError: It took too long, or too much memory or disk.
    """
    level = quick_level(home.cache_dir)  # the converter itself is ours and runs at any

    def convert(folder: Path) -> Path:
        report("convert", f"converting {name}")
        return _run(level, path, size, name, folder)

    return ensure_converted(home, sha256, size, sandbox=level.name, convert=convert)


def _run(level: Level, checkpoint: Path, size: int, name: str, folder: Path) -> Path:
    seconds = _SECONDS + size / _SLOWEST_BYTES_PER_SECOND
    output = folder / "out.safetensors"
    bound = 2 * size + (512 << 20)
    policy = Policy(
        readable=(*interpreter_dirs(), INSIDE_DIR, checkpoint),
        writable_dir=folder,
        env=worker_environ(folder, keep_memory=False),
        limits=Limits(
            memory_bytes=_MEMORY_BYTES,
            processes=16,
            file_bytes=bound,
            cpu_seconds=int(seconds),
            output_bytes=bound,
            tmpfs_bytes=1 << 20,
        ),
    )
    argv = (sys.executable, "-I", "-S", "-B", str(_CONVERTER), str(checkpoint), str(output))
    with level.confine(argv, policy) as command:
        try:
            done = run(command, timeout_seconds=seconds)
        except LimitError as error:
            raise LimitError(f"converting {name} took longer than {seconds:.0f} s", code="deadline") from error
        if done.status == 0:
            return output
        said = _refusal(done.stdout)
        if said is not None:
            raise said.error(name, bound)
        cause = worker_exit_cause(command, done.status)
        words = f"converting {name} failed: {cause.words}"
        if cause.over_limit:
            raise LimitError(words, hint="no checkpoint of that size needs so much; it may be an attack")
        raise ModelError(words, hint=done.stderr.strip()[-500:] or None, code="conversion_broken")


@dataclass(frozen=True)
class _Refusal:
    """What the converter says instead of converting: why, and whether it only had no room to write."""

    words: str
    no_room: bool

    def error(self, name: str, bound: int) -> ModelError | LimitError:
        """Return the error for a checkpoint that may not take more than so many bytes of disk."""
        if self.no_room:
            return LimitError(
                f"converting {name} ran out of space: {self.words}",
                hint=f"its converted form takes about as much disk as it does; more than {bound} bytes are not given",
                code="no_space",
            )
        return ModelError(
            f"{name} cannot be converted: {self.words}",
            hint="a version of it in safetensors form needs no conversion",
            code="checkpoint_refused",
        )


def _refusal(stdout: str) -> _Refusal | None:
    try:
        said = json.loads(stdout)
        text, no_room = str(said["message"])[:1000], said["no_room"] is True
    except (ValueError, KeyError, TypeError):
        return None
    return _Refusal(text if text.isprintable() else ascii(text)[1:-1], no_room)
