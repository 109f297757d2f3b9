"""Answering ``ensure`` in a few milliseconds when nothing has changed since it was last answered.

An answer is kept with its witnesses: the stamp (size, times, inode) of every file that it rests on: registry, recipe,
lock, receipt, interpreter. It is given again only while all of them are as they were and the environment variables that
steer it are the same; anything else goes the long way. This module imports almost nothing, since that is its point.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

from stemsep_envs._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemsep_envs.commands.ensure import Ensured
    from stemsep_envs.documents.ensure import EnsureReport

_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{1,127}")
_STEERING = ("STEMSEP_ENV_HOME", "STEMSEP_ENV_REGISTRY", "PATH", "VIRTUAL_ENV")
_STEERING_PREFIXES = ("STEMSEP_ENV_", "UV_")


def answer(arguments: list[str]) -> bool:
    """Print the remembered answer to ``ensure ARGUMENTS`` and return True, or return False."""
    as_json = arguments[-1:] == ["--json"]
    models = arguments[:-1] if as_json else arguments
    place = _place(models)
    if place is None:
        return False
    try:
        with open(place, encoding="utf-8") as stream:  # noqa: PTH123 - pathlib costs more than all the rest here
            memory = json.load(stream)
        holds = memory["version"] == __version__ and memory["environ"] == _environ()
        if not holds or any(_stamp(path) != stamp for path, stamp in memory["witnesses"]):
            return False
        text = memory["json"] if as_json else memory["text"]
        for used in memory["used"]:
            os.utime(used)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    sys.stdout.write(text + "\n")
    return True


def remember(models: Sequence[str], ensured: Ensured) -> None:
    """Keep an answer that plain ``ensure MODEL...`` got, with its witnesses. Failing to is no error."""
    from contextlib import suppress
    from pathlib import Path

    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.host.files import write_atomic

    place = _place(models)
    if place is None:
        return
    reused = tuple(model.model_copy(update={"reused": True, "steps_seconds": {}}) for model in ensured.report.models)
    report = ensured.report.model_copy(update={"models": reused})
    memory = {
        "version": __version__,
        "environ": _environ(),
        "witnesses": [(path, _stamp(path)) for path in map(str, ensured.witnesses)],
        "used": [str(path) for path in ensured.used_marks],
        "text": answer_text(report),
        "json": report.model_dump_json(indent=2),
    }
    if any(stamp is None for _, stamp in memory["witnesses"]):
        return
    with suppress(StemsepEnvError, OSError):
        write_atomic(Path(place), json.dumps(memory).encode())


def answer_text(report: EnsureReport) -> str:
    """Return the answer for people: a line for each model."""
    lines = []
    for model in report.models:
        state = "reused" if model.reused else f"built in {sum(model.steps_seconds.values()):.1f} s"
        lines.append(f"{model.model_id}  {model.environment[:12]}  {state}  {model.environment_dir}")
    return "\n".join(lines)


def _place(models: Sequence[str]) -> str | None:
    home = os.environ.get("STEMSEP_ENV_HOME") or _default_home()
    if not home or not models or not all(_MODEL.fullmatch(model) for model in models):
        return None
    name = "+".join(models)
    return os.path.join(home, "cache", "ensure", f"{name}.json") if len(name) < 200 else None  # noqa: PTH118


def _default_home() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("stemsep-env", appauthor=False)


def _environ() -> dict[str, str]:
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name in _STEERING or name.startswith(_STEERING_PREFIXES)
    }


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - see above
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
