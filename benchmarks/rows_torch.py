"""Rows about environments with torch, which most models have: disk of a second one, import time, build, locks.

They need a build of torch for the processor in a folder that ``UV_FIND_LINKS`` names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import by_hand
from benchmarks.environment_rows import Models, build_row, disk_row, lock_row
from benchmarks.measure import NotPossibleError, in_turns, timed
from benchmarks.place import Place
from benchmarks.rows import About, Group, Outcomes, Row, ratio

_RUNTIME = "bench-torch"
_WHEEL = re.compile(r"torch-[0-9.]+\+cpu-cp3(?P<minor>\d+)-.*linux.*x86_64\.whl")
_RECIPE = """
schema_version = 1
id = "bench-torch"
title = "Torch"
description = "What most engines have in common."
accelerators = ["cpu"]
packages = ["numpy>=2", "soundfile>=0.13,<1", "einops"]
decodes = ["wav"]
encodes = ["wav"]

[python]
min = "3.MINOR"
max = "3.MINOR"

[torch]
min = "2.3"

[health]
imports = ["numpy", "torch", "soundfile", "einops"]

[model_types.plain]
stems = ["one"]
"""


def torch_minor() -> str:
    """Return the Python minor that a folder of wheels has a build of torch for the processor for.

    Raises:
        NotPossibleError: There is none, or this is not Linux.
    """
    if sys.platform != "linux":
        raise NotPossibleError("rows with torch are measured on Linux only")
    folders = os.environ.get("UV_FIND_LINKS", "").replace(",", " ").split()
    names = [path.name for folder in folders for path in sorted(Path(folder).glob("torch-*.whl"))]
    minors = [match["minor"] for match in map(_WHEEL.fullmatch, names) if match]
    if not minors:
        raise NotPossibleError("no folder of UV_FIND_LINKS has a build of torch for the processor")
    return minors[0]


def _torch(place: Place) -> Outcomes:
    """All rows: they share what takes long to set up."""
    with _models(place, torch_minor()) as models:
        about = About(
            "torch-disk",
            "disk of a second environment with the same torch",
            "the lock of torch, numpy, soundfile, einops and packaging",
            "the same without packaging",
        )
        yield disk_row(place, models, about)
        yield _import_row(place)
        yield build_row(place, models, "torch-build", "ensure, build with torch, warm caches", n=place.rounds(8))
        note = "ours finds the build for the accelerator first, which is a resolution of its own; theirs is told"
        yield lock_row(place, models, "torch-lock", "lock one model with torch for one target", note=note)


@contextmanager
def _models(place: Place, minor: str) -> Iterator[Models]:
    """Give the installed package a runtime with torch, and two models on it."""
    folder = place.package / "_data" / "runtimes" / _RUNTIME
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "runtime.toml").write_text(_RECIPE.replace("MINOR", minor))
        (folder / "adapter.py").write_text("")
        models = Models("bench-torch-one", "bench-torch-two", place.dir / "torch.json")
        entries = [_entry(models.first, ()), _entry(models.second, ("packaging==25.0",))]
        models.registry.write_text(json.dumps({**place.registry(), "models": entries}))
        yield models
    finally:
        shutil.rmtree(folder)


def _entry(model_id: str, packages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": model_id,
        "name": model_id,
        "architecture": "Other",
        "links": {},
        "trust": "reviewed",
        "stems": ["one"],
        "runtime": {"allowed": [_RUNTIME], "preferred": _RUNTIME, "model_type": "plain"},
        "requirements": {"pip": {"packages": list(packages)}},
    }


def _import_row(place: Place) -> Row:
    """Import torch in our environment, read-only as a worker has it, and in a plain one that was used before."""
    plain = by_hand.build_of(place)
    plain.make(place.env)
    argv = ["-I", "-c", "import torch"]
    ours = [str(place.environment() / "venv" / "bin" / "python"), "-B", *argv]
    theirs = [str(plain.python), *argv]
    mine, reference = in_turns([lambda: timed(ours, place.env), lambda: timed(theirs, place.env)], n=place.rounds(12))
    about = About(
        "torch-import",
        "import torch in our environment, against a plain one that was imported from before",
        "ENVIRONMENT/venv/bin/python -B -I -c 'import torch'",
        "the same in an environment of uv venv && uv pip sync",
        note="the first import after a build is meant: ours was compiled by the health check",
    )
    return ratio(about, mine, reference)


GROUPS = (Group("torch", ("torch-disk", "torch-import", "torch-build", "torch-lock"), _torch),)
