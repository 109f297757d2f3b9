"""Rows about environments: reuse, build, sixteen at once, disk, locks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measure import Row, fastest_ratio, in_turns, median_ratio, timed
from benchmarks.place import MODEL, Place

_AT_ONCE = 16
_SECOND = "bench-second"
_SECOND_PACKAGE = "packaging==25.0"


def reuse(place: Place) -> Iterator[Row]:
    """``ensure`` of an environment that exists."""
    ours = [place.tool, "ensure", MODEL]
    empty = [place.python, "-c", "pass"]
    through_uv = [place.uv, "run", "--no-project", "-p", place.python, "python", "-c", "pass"]
    place.ensure()
    n = place.rounds(60)
    times = in_turns([lambda argv=argv: timed(argv, place.env) for argv in (ours, empty, through_uv)], n=n, warm_ups=3)  # type: ignore[misc]
    what = "ensure when the environment exists, against"
    for name, against, reference, bar, shown in (
        ("reuse", "python -c pass", times[1], 4.0, "PY -c pass"),
        ("reuse-uv", "uv run", times[2], 1.0, "uv run --no-project -p PY python -c pass"),
    ):
        yield Row(
            name=name,
            what=f"{what} {against}",
            comparison="ratio",
            ours=median(times[0]),
            reference=median(reference),
            value=median_ratio(times[0], reference),
            fastest=fastest_ratio(times[0], reference),
            bar=bar,
            n=n,
            ours_command=f"stemsep-env ensure {MODEL}",
            reference_command=shown,
        )


def build(place: Place) -> Iterator[Row]:
    """``ensure`` of an environment that is not there, with a warm package cache."""
    place.ensure()
    receipt = place.receipt()
    lock = place.dir / "lock.txt"
    shutil.copyfile(place.environment() / "lock.txt", lock)
    link = receipt["builder"]["link_mode"]
    venv = place.dir / "by-hand" / "venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    imports = "; ".join(f"import {name}" for name in receipt["health"]["imports"])
    by_hand = (
        [place.uv, "venv", "--quiet", "--no-project", "--python", receipt["base_interpreter"]["path"], str(venv)],
        [
            *(place.uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:"),
            *("--link-mode", link, "--python", str(python), str(lock)),
        ],
        [str(python), "-I", "-c", imports],
        [place.uv, "pip", "check", "--quiet", "--python", str(python)],
    )

    def ours() -> float:
        place.remove_environments()
        return timed([place.tool, "ensure", MODEL], place.env)

    def reference() -> float:
        shutil.rmtree(venv.parent, ignore_errors=True)
        venv.parent.mkdir()
        return sum(timed(argv, place.env) for argv in by_hand)

    n = place.rounds(12)
    mine, theirs = in_turns([ours, reference], n=n)
    yield Row(
        name="build",
        what="ensure, build with warm caches",
        comparison="ratio",
        ours=median(mine),
        reference=median(theirs),
        value=median_ratio(mine, theirs),
        fastest=fastest_ratio(mine, theirs),
        bar=1.15,
        n=n,
        ours_command=f"stemsep-env ensure {MODEL}  (environment removed before)",
        reference_command="uv venv && uv pip sync LOCK && python -I -c 'import ...' && uv pip check",
        note=f"link mode {link} on both sides",
    )


def sixteen(place: Place) -> Iterator[Row]:
    """Sixteen processes ensure the same environment at once."""
    argv = [place.tool, "ensure", MODEL, "--json"]
    built: list[int] = []

    def alone() -> float:
        place.remove_environments()
        return timed(argv, place.env)

    def together() -> float:
        place.remove_environments()
        began = time.perf_counter()
        running = [
            subprocess.Popen(argv, env=place.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(_AT_ONCE)
        ]
        answers = [child.communicate()[0] for child in running]
        elapsed = time.perf_counter() - began
        built.append(sum(not json.loads(answer)["models"][0]["reused"] for answer in answers))
        return elapsed

    n = place.rounds(10)
    many, one = in_turns([together, alone], n=n)
    if set(built) != {1}:
        raise RuntimeError(f"{_AT_ONCE} processes built {built} environments; each time it must be one")
    yield Row(
        name="sixteen",
        what=f"{_AT_ONCE} processes ensure the same environment at once, the last is done",
        comparison="ratio",
        ours=median(many),
        reference=median(one),
        value=median_ratio(many, one),
        fastest=fastest_ratio(many, one),
        bar=1.2,
        n=n,
        ours_command=f"stemsep-env ensure {MODEL}, {_AT_ONCE} times at once",
        reference_command="the same once",
        note="one build each time",
    )


def disk(place: Place) -> Iterator[Row]:
    """What a second environment with the same heavy packages costs."""
    place.ensure()
    first = place.environment()
    registry = json.loads((place.package / "_data" / "registry" / "models.v2.source.json").read_bytes())
    entry = next(model for model in registry["models"] if model["id"] == MODEL)
    needs = entry.setdefault("requirements", {})
    needs["pip"] = {"packages": [*needs.get("pip", {}).get("packages", ()), _SECOND_PACKAGE]}
    entry["id"] = _SECOND
    registry["models"] = [entry]
    path = place.dir / "second.json"
    path.write_text(json.dumps(registry))
    place.ensure(_SECOND, STEMSEP_ENV_REGISTRY=str(path))
    (second,) = (
        receipt.parent for receipt in place.home.glob("environments/*/receipt.json") if first not in receipt.parents
    )
    counted: set[int] = set()
    whole, own = disk_bytes(first, counted), disk_bytes(second, counted)
    link = json.loads((second / "receipt.json").read_bytes())["builder"]["link_mode"]
    place.remove_environments()
    yield Row(
        name="disk",
        what="disk of a second environment that differs by one small package",
        comparison="share",
        ours=own,
        reference=whole,
        value=own / whole,
        bar=0.05,
        n=1,
        ours_command=f"the lock of {MODEL} and {_SECOND_PACKAGE}",
        reference_command=f"the lock of {MODEL}",
        note=f"link mode {link}; blocks of files, each inode counted once",
    )


def disk_bytes(folder: Path, counted: set[int]) -> int:
    """Return the bytes that a folder takes on the disk, without inodes that were counted already."""
    total = 0
    for path in (folder, *folder.rglob("*")):
        info = path.lstat()
        if info.st_ino not in counted:
            counted.add(info.st_ino)
            total += info.st_blocks * 512
    return total


def lock(place: Place) -> Iterator[Row]:
    """Resolving, against the resolver alone."""
    offered = subprocess.run([place.tool, "lock", "--help"], env=place.env, capture_output=True, check=False)
    if offered.returncode != 0:
        return
    place.ensure()
    wanted = place.dir / "wanted.in"
    lines = (place.environment() / "lock.txt").read_text().splitlines()
    header = [line for line in lines if line.startswith("#")]
    wanted.write_text("\n".join(_requirements(header)) + "\n")
    target = place.receipt()["inputs"]["target"]
    version = ".".join(place.receipt()["inputs"]["interpreter"]["version"].split(".")[:2])
    by_hand = [place.uv, "pip", "compile", "--offline", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
    by_hand += ["--only-binary", ":all:", "--python-platform", "x86_64-manylinux_2_28", "--python-version", version]
    by_hand += ["--output-file", str(place.dir / "compiled.txt"), str(wanted)]
    ours = [place.tool, "lock", MODEL, "--target", str(target), "--python", version, "--upgrade", "--offline"]
    ours += ["--output", str(place.dir / "locks")]
    online = [[part for part in side if part != "--offline"] for side in (ours, by_hand)]
    for side in online:  # what they need of the index is then in the package cache
        timed(side, place.env)
    n = place.rounds(12)
    mine, theirs = in_turns([lambda: timed(ours, place.env), lambda: timed(by_hand, place.env)], n=n)
    yield Row(
        name="lock",
        what="lock one model for one target",
        comparison="ratio",
        ours=median(mine),
        reference=median(theirs),
        value=median_ratio(mine, theirs),
        fastest=fastest_ratio(mine, theirs),
        bar=None,
        n=n,
        ours_command=f"stemsep-env lock {MODEL} --target {target} --python {version} --upgrade --offline --output DIR",
        reference_command="uv pip compile --offline --generate-hashes IN",
        note="offline on both sides: online, the index's answers outweigh everything",
    )


def _requirements(header: list[str]) -> list[str]:
    return [line.split("requires:", 1)[1].strip() for line in header if "requires:" in line]
