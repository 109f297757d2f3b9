"""Answering ``ensure`` in a few milliseconds when nothing has changed since it was last answered.

An answer is kept with its witnesses: the stamp (size, times, inode) of every file and folder that it rests on, absence
included: registry, runtimes, locks, receipt, interpreter, artifacts, and the folders that interpreters are looked for
in. It is given again only while all of them are as they were, by the same installation, on the same start of the
machine, with the same environment variables among those that steer it. Anything else goes the long way.

The module imports next to nothing, since that is its point: no ``re``, ``json``, ``typing`` or ``pathlib`` until an
answer is written.
"""

from __future__ import annotations

import os
import sys

from stemsep_envs._version import __version__

TYPE_CHECKING = False  # importing typing for its constant would double the time of an answer
if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemsep_envs.commands.ensure import Ensured
    from stemsep_envs.documents.ensure_report import EnsureReport

_ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789._-"
_STEERING = {
    *("PATH", "VIRTUAL_ENV", "PYENV_ROOT", "XDG_DATA_HOME", "HOME"),
    *("USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES", "PROGRAMDATA", "SYSTEMDRIVE"),
}
_STEERING_PREFIXES = ("STEMSEP_ENV_", "UV_", "CUDA_", "HIP_", "ROCR_", "NVIDIA_")
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SECTION, _ITEM = "\x1e", "\x1f"
"""What ASCII has for separating records and units; a text that holds one is not remembered."""

_END = "end"
_ABSENT = "absent"
_SETTLED_SECONDS = 2.0
"""A file that changed this shortly before it was read may change again under the same time stamp."""


def answer(arguments: list[str]) -> int | None:
    """Print the remembered answer to ``ensure ARGUMENTS`` and return the exit code; None when none holds.

    When another process is finding the same answer, wait for it and look again.
    """
    as_json = arguments[-1:] == ["--json"]
    models = arguments[:-1] if as_json else arguments
    place = _place(models)
    if place is None:
        return None
    memory = _recall(place)
    if memory is None:
        from stemsep_envs.host.single_flight import lead_or_wait

        lead_or_wait(_turnstile(place), lambda: _say_that_it_waits(models))
        memory = _recall(place)
    return None if memory is None else _print_answer(memory, as_json=as_json)


def remember(models: Sequence[str], ensured: Ensured, *, warnings: str, asked_at: float) -> None:
    """Keep an answer that plain ``ensure MODEL...`` got, with its witnesses. Failing to is no error.

    Args:
        models: As they were asked for.
        ensured: The answer.
        warnings: What was printed on stderr beside it.
        asked_at: When the question was put (seconds since 1970). What changed since, or just before, was perhaps not
            what the answer was found with: then nothing is kept, and the next question goes the long way once more.
    """
    from contextlib import suppress
    from pathlib import Path

    from stemsep_envs.documents.writing import json_text
    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.host.atomic_write import write_atomic
    from stemsep_envs.host.folders import ensure_dir
    from stemsep_envs.host.last_use import record_use

    place = _place(models)
    if place is None:
        return
    found = ensured.witnesses
    read, searched, made = (list(map(str, paths)) for paths in (found.read, found.searched, found.made))
    if any(_changed_at(path) > asked_at - _SETTLED_SECONDS for path in read + searched):
        return
    stamps = {path: _stamp(path) for path in searched + read + made}
    if any(stamps[path] == _ABSENT for path in read + made):
        return
    reused = tuple(model.model_copy(update={"reused": True, "steps_seconds": {}}) for model in ensured.report.models)
    report = ensured.report.model_copy(update={"models": reused})
    facts = [item for fact in stamps.items() for item in fact]
    marks = [str(path) for path in found.used_marks]
    lists = [_key().split(_ITEM), facts, marks]
    texts = [warnings, answer_text(report), json_text(report)]
    if any(mark in value for mark in (_SECTION, _ITEM) for value in [*facts, *marks, *texts]):
        return
    memory = _SECTION.join([*map(_ITEM.join, lists), *texts, _END])
    with suppress(StemsepEnvError, OSError, UnicodeError):
        write_atomic(Path(place), memory.encode("utf-8", "surrogateescape"))
        for path in found.used_marks:
            ensure_dir(path.parent)
            record_use(path)


def answer_text(report: EnsureReport) -> str:
    """Return the answer for people: a line for each model."""
    lines = []
    for model in report.models:
        state = "reused" if model.reused else f"built in {sum(model.steps_seconds.values()):.1f} s"
        lines.append(f"{model.model_id}  {model.environment[:12]}  {state}  {model.environment_dir}")
    return "\n".join(lines)


def default_home() -> str:
    """Return the home when no variable names it: what ``platformdirs`` says, without loading that on every start."""
    if sys.platform == "win32":
        from platformdirs import user_data_dir

        return user_data_dir("stemsep-env", appauthor=False)
    user = os.path.expanduser("~")  # noqa: PTH111 - see the module
    if sys.platform == "darwin":
        return os.path.join(user, "Library", "Application Support", "stemsep-env")  # noqa: PTH118
    data = os.environ.get("XDG_DATA_HOME", "").strip() or os.path.join(user, ".local", "share")  # noqa: PTH118
    return os.path.join(data, "stemsep-env")  # noqa: PTH118


def _recall(place: str) -> list[str] | None:
    """Return what is remembered (files to mark as used, warnings, text, JSON) while all its witnesses hold."""
    try:
        with open(place, encoding="utf-8", errors="surrogateescape", newline="") as stream:  # noqa: PTH123
            key, facts, *memory, end = stream.read().split(_SECTION)
    except (OSError, ValueError):
        return None
    return memory if len(memory) == 4 and end == _END and key == _key() and _hold(facts.split(_ITEM)) else None


def _print_answer(memory: list[str], *, as_json: bool) -> int:
    used, warnings, text, document = memory
    for path in used.split(_ITEM):
        try:
            os.utime(path)
        except OSError:
            continue  # a home that cannot be written: nobody can remove from it either
    try:
        _tell(warnings)
        sys.stdout.write((document if as_json else text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def _turnstile(place: str) -> str:
    """Return the file that the first process to find an answer holds."""
    cache, name = os.path.split(place)
    home = os.path.dirname(os.path.dirname(cache))  # noqa: PTH120
    return os.path.join(home, "holds", f"ensure-{name}")  # noqa: PTH118


def _say_that_it_waits(models: Sequence[str]) -> None:
    _tell(f"another process ensures {', '.join(models)}; waiting for it ...\n")


def _tell(text: str) -> None:
    """Say something beside the answer; where that cannot be written, the answer is given all the same."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _place(models: Sequence[str]) -> str | None:
    """Return the file of an answer, or None for a question that is never remembered."""
    home = os.environ.get("STEMSEP_ENV_HOME") or default_home()
    name = "+".join(models)
    plain = all(model[:1].isalnum() and not model.strip(_ID_CHARACTERS) for model in models)
    if not (models and plain and len(name) < 200 and os.path.isabs(home)):  # noqa: PTH117
        return None
    return os.path.join(home, "cache", "ensure", name)  # noqa: PTH118


def _key() -> str:
    """Return what must be the same for an answer to hold, beside its witnesses."""
    try:
        with open(_BOOT_ID, encoding="ascii") as stream:  # noqa: PTH123
            started = stream.read().strip()
    except OSError:  # not Linux
        started = ""
    steering = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name in _STEERING or name.startswith(_STEERING_PREFIXES)
    ]
    return _ITEM.join([__version__, __file__, sys.executable, sys.version, started, *steering])


def _hold(facts: list[str]) -> bool:
    """Say whether every file of ``path, stamp, path, stamp...`` is as it was."""
    return len(facts) > 1 and facts[1::2] == [_stamp(path) for path in facts[::2]]


def _stamp(path: str) -> str:
    """Return what tells a file from any that stood or will stand in its place; ctime cannot be set, as mtime can."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return _ABSENT
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _changed_at(path: str) -> float:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0.0
    return max(found.st_mtime, found.st_ctime)
