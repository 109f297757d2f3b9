"""Rows about environments with torch, which most models have: build, disk of a second one, import time, locks.

They need a build of torch for the processor in a folder that ``UV_FIND_LINKS`` names, and are left out without one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row, fastest_ratio, in_turns, median_ratio, timed
from benchmarks.place import Place
from benchmarks.rows_ensure import disk_bytes

_RUNTIME = "bench-torch"
_FIRST, _SECOND = "bench-torch-one", "bench-torch-two"
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


def torch(place: Place) -> Iterator[Row]:
    """All rows: they share what takes long to set up."""
    minor = torch_minor()
    if minor is None or sys.platform != "linux":
        return
    folder = place.package / "_data" / "runtimes" / _RUNTIME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runtime.toml").write_text(_RECIPE.replace("MINOR", minor))
    (folder / "adapter.py").write_text("")
    registry = place.dir / "torch.json"
    models = [_entry(_FIRST, ()), _entry(_SECOND, ("packaging==25.0",))]
    document = json.loads((place.package / "_data" / "registry" / "models.v2.source.json").read_bytes())
    registry.write_text(json.dumps({**document, "models": models}))
    with_registry = {"STEMSEP_ENV_REGISTRY": str(registry)}
    place.remove_environments()
    try:
        place.ensure(_FIRST, **with_registry)
        yield from _disk(place, with_registry)
        yield from _imports(place)
        yield from _build(place, with_registry)
        yield from _lock(place, with_registry, minor)
    finally:
        shutil.rmtree(folder)
        place.remove_environments()


def torch_minor() -> str | None:
    """Return the Python minor that a folder of wheels has a build of torch for the processor for, if any."""
    for named in os.environ.get("UV_FIND_LINKS", "").replace(",", " ").split():
        for path in sorted(Path(named).glob("torch-*.whl")):
            match = _WHEEL.fullmatch(path.name)
            if match:
                return match["minor"]
    return None


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


def _disk(place: Place, variables: dict[str, str]) -> Iterator[Row]:
    first = place.environment()
    place.ensure(_SECOND, **variables)
    receipts = place.home.glob("environments/*/receipt.json")
    (second,) = (receipt.parent for receipt in receipts if receipt.parent != first)
    counted: set[int] = set()
    whole, own = disk_bytes(first, counted), disk_bytes(second, counted)
    link = json.loads((second / "receipt.json").read_bytes())["builder"]["link_mode"]
    shutil.rmtree(second)
    yield Row(
        name="torch-disk",
        what="disk of a second environment with the same torch",
        comparison="share",
        ours=own,
        reference=whole,
        value=own / whole,
        bar=0.05,
        n=1,
        ours_command="the lock of torch, numpy, soundfile, einops and packaging",
        reference_command="the same without packaging",
        note=f"link mode {link}; blocks of files, each inode counted once",
    )


def _imports(place: Place) -> Iterator[Row]:
    """Import torch in our environment, read-only as a worker has it, and in a plain one that was used before."""
    environment = place.environment()
    plain = _plain(place)
    argv = ["-I", "-c", "import torch"]
    ours = [str(environment / "venv" / "bin" / "python"), "-B", *argv]
    theirs = [str(plain), *argv]
    n = place.rounds(12)
    mine, reference = in_turns([lambda: timed(ours, place.env), lambda: timed(theirs, place.env)], n=n)
    yield Row(
        name="torch-import",
        what="import torch in our environment, against a plain one that was imported from before",
        comparison="ratio",
        ours=median(mine),
        reference=median(reference),
        value=median_ratio(mine, reference),
        fastest=fastest_ratio(mine, reference),
        bar=None,
        n=n,
        ours_command="ENVIRONMENT/venv/bin/python -B -I -c 'import torch'",
        reference_command="the same in an environment of uv venv && uv pip sync",
        note="the first import after a build is meant: ours was compiled by the health check",
    )


def _by_hand(place: Place) -> tuple[Path, tuple[list[str], ...]]:
    receipt = place.receipt()
    lock = place.dir / "torch-lock.txt"
    shutil.copyfile(place.environment() / "lock.txt", lock)
    venv = place.dir / "by-hand" / "venv"
    python = venv / "bin" / "python"
    imports = "; ".join(f"import {name}" for name in receipt["health"]["imports"])
    return venv, (
        [place.uv, "venv", "--quiet", "--no-project", "--python", receipt["base_interpreter"]["path"], str(venv)],
        [
            *(place.uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:"),
            *("--link-mode", receipt["builder"]["link_mode"], "--python", str(python), str(lock)),
        ],
        [str(python), "-I", "-c", imports],
        [place.uv, "pip", "check", "--quiet", "--python", str(python)],
    )


def _plain(place: Place) -> Path:
    venv, steps = _by_hand(place)
    shutil.rmtree(venv.parent, ignore_errors=True)
    for argv in steps:
        timed(argv, place.env)
    return venv / "bin" / "python"


def _build(place: Place, variables: dict[str, str]) -> Iterator[Row]:
    venv, steps = _by_hand(place)
    env = {**place.env, **variables}

    def ours() -> float:
        place.remove_environments()
        return timed([place.tool, "ensure", _FIRST], env)

    def reference() -> float:
        shutil.rmtree(venv.parent, ignore_errors=True)
        venv.parent.mkdir()
        return sum(timed(argv, place.env) for argv in steps)

    n = place.rounds(8)
    mine, theirs = in_turns([ours, reference], n=n)
    yield Row(
        name="torch-build",
        what="ensure, build with torch, warm caches",
        comparison="ratio",
        ours=median(mine),
        reference=median(theirs),
        value=median_ratio(mine, theirs),
        fastest=fastest_ratio(mine, theirs),
        bar=1.15,
        n=n,
        ours_command="stemsep-env ensure MODEL  (environment removed before)",
        reference_command="uv venv && uv pip sync LOCK && python -I -c 'import ...' && uv pip check",
        note="the same link mode on both sides",
    )


def _lock(place: Place, variables: dict[str, str], minor: str) -> Iterator[Row]:
    wanted = place.dir / "torch.in"
    text = (place.environment() / "lock.txt").read_text()
    wanted.write_text("".join(f"{line}\n" for line in re.findall(r"^# requires: (.+)$", text, re.MULTILINE)))
    by_hand = [place.uv, "pip", "compile", "--quiet", "--offline", "--generate-hashes", "--no-header", "--no-annotate"]
    by_hand += [
        "--only-binary",
        ":all:",
        "--python-platform",
        "x86_64-manylinux_2_28",
        "--python-version",
        f"3.{minor}",
    ]
    by_hand += ["--constraints", str(_torch_pin(place, text)), "--python", sys.executable]
    by_hand += ["--output-file", str(place.dir / "compiled-torch.txt"), str(wanted)]
    ours = [place.tool, "lock", _FIRST, "--target", "linux-x86_64-cpu", "--python", f"3.{minor}", "--upgrade"]
    ours += ["--offline", "--output", str(place.dir / "torch-locks")]
    env = {**place.env, **variables}
    for side in ([part for part in argv if part != "--offline"] for argv in (ours, by_hand)):
        timed(side, env)
    n = place.rounds(12)
    mine, theirs = in_turns([lambda: timed(ours, env), lambda: timed(by_hand, env)], n=n)
    yield Row(
        name="torch-lock",
        what="lock one model with torch for one target",
        comparison="ratio",
        ours=median(mine),
        reference=median(theirs),
        value=median_ratio(mine, theirs),
        fastest=fastest_ratio(mine, theirs),
        bar=None,
        n=n,
        ours_command="stemsep-env lock MODEL --target linux-x86_64-cpu --upgrade --offline --output DIR",
        reference_command="uv pip compile --offline --generate-hashes IN, told which build of torch to take",
        note="ours finds the build for the accelerator first, which is a resolution of its own",
    )


def _torch_pin(place: Place, lock: str) -> Path:
    path = place.dir / "torch-pin.txt"
    path.write_text("".join(f"{pin}\n" for pin in re.findall(r"^torch==\S+", lock, re.MULTILINE)))
    return path
