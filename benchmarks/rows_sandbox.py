"""Rows about confinement: what starting at each level takes, torch inside against outside, and checkpoints.

Those with torch need a build of it for the processor in a folder that ``UV_FIND_LINKS`` names, and are left out without
one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row, fastest_ratio, median_difference, median_ratio, timed
from benchmarks.place import Place
from benchmarks.rows_torch import torch_minor

_CONFINED = Path(__file__).with_name("confined.py")
_START_BARS = {"namespaces": 0.06}
_GIGABYTE_LAYERS = 256

_WORK = """
import json, time
began = time.perf_counter()
import torch
imported = time.perf_counter()
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(384, 8, 1536, batch_first=True).eval()
x = torch.randn(4, 512, 384)
with torch.inference_mode():
    layer(x)
    started = time.perf_counter()
    for _ in range(20):
        layer(x)
print(json.dumps({"import": imported - began, "inference": time.perf_counter() - started}))
"""
_MAKE = """
import sys, torch
torch.manual_seed(0)
layers = {f"layers.{n}.weight": torch.randn(1024, 1024) for n in range(int(sys.argv[2]))}
torch.save({"state_dict": layers, "epoch": 3}, sys.argv[1])
"""
_LOAD = """
import json, sys, time
import torch
how, path, package = sys.argv[1:4]
if how == "ours":
    sys.path.append(package)
    from inside.checkpoints.reading import read
began = time.perf_counter()
loaded = read(path, tree=True) if how == "ours" else torch.load(path, weights_only=True)
there = time.perf_counter()
total = sum(float(tensor.sum()) for tensor in loaded["state_dict"].values())
print(json.dumps({"load": there - began, "use": time.perf_counter() - began, "total": total}))
"""


def sandbox(place: Place) -> Iterator[Row]:
    """Start and end a bare interpreter at each level."""
    if sys.platform != "linux":
        return
    n = place.rounds(40)
    times = _confined(place, "starts", n)
    plain = times.pop("plain")
    for level, confined in times.items():
        yield Row(
            name=f"start-{level}",
            what=f"starting and ending at the level {level}, beyond a bare interpreter",
            comparison="difference",
            ours=median(confined),
            reference=median(plain),
            value=median_difference(confined, plain),
            fastest=min(confined) - min(plain),
            bar=_START_BARS.get(level),
            n=n,
            ours_command="PYTHON -I -S -c pass, confined, its control groups made and removed",
            reference_command="PYTHON -I -S -c pass",
        )


def checkpoints(place: Place) -> Iterator[Row]:
    """All rows with torch: they share its environment."""
    minor = torch_minor()
    if minor is None or sys.platform != "linux":
        return
    folder = place.dir / "checkpoints"
    folder.mkdir()
    try:
        python = _torch_python(place, folder, minor)
        yield from _work(place, folder, python)
        yield from _conversion(place, folder, python)
    finally:
        shutil.rmtree(folder)


def _torch_python(place: Place, folder: Path, minor: str) -> str:
    python = str(folder / "venv" / "bin" / "python")
    timed([place.uv, "venv", "--quiet", "--no-project", "--python", f"3.{minor}", str(folder / "venv")], place.env)
    # The wheel of the folder alone: an index has builds of torch that are larger by gigabytes.
    install = (place.uv, "pip", "install", "--quiet", "--python", python, "torch==2.13.0+cpu", "numpy")
    timed(install, place.env)
    return python


def _work(place: Place, folder: Path, python: str) -> Iterator[Row]:
    script = folder / "work.py"
    script.write_text(_WORK)
    timed([python, "-I", str(script)], place.env)
    n = place.rounds(12)
    sides = _confined(place, "work", n, python, str(script))
    for what, words in (("import", "import torch"), ("inference", "twenty passes of a transformer layer on CPU")):
        inside, outside = ([one[what] for one in sides[side]] for side in ("namespaces", "plain"))
        yield Row(
            name=f"inside-{what}",
            what=f"{words}, inside the sandbox against outside",
            comparison="ratio",
            ours=median(inside),
            reference=median(outside),
            value=median_ratio(inside, outside),
            fastest=fastest_ratio(inside, outside),
            bar=None,
            n=n,
            ours_command="level namespaces",
            reference_command="the same interpreter with the same environment variables",
        )


def _conversion(place: Place, folder: Path, python: str) -> Iterator[Row]:
    checkpoint = folder / "model.ckpt"
    timed([python, "-I", "-c", _MAKE, str(checkpoint), str(_GIGABYTE_LAYERS)], place.env)
    n = place.rounds(8)
    made = _confined(place, "convert", n, str(checkpoint), str(folder))
    yield Row(
        name="convert",
        what="conversion of a 1 GB checkpoint: confined, checked, hashed, on the disk",
        comparison="absolute",
        ours=median(made["seconds"]),
        reference=None,
        value=median(made["seconds"]),
        fastest=min(made["seconds"]),
        bar=8.0,
        n=n,
        ours_command="what comes before a model's first load",
        note="once for each checkpoint",
    )
    yield Row(
        name="convert-memory",
        what="peak memory of the conversion, as a share of the checkpoint",
        comparison="share",
        ours=made["peak_bytes"],
        reference=made["bytes"],
        value=made["peak_bytes"] / made["bytes"],
        bar=1.5,
        n=1,
        ours_command="convert.py CHECKPOINT OUTPUT",
    )
    package = place.package
    loads: dict[str, list[dict[str, float]]] = {"ours": [], "torch": []}
    for _ in range(n):
        for how, path in (("ours", folder / "converted.safetensors"), ("torch", checkpoint)):
            loads[how].append(_json([python, "-I", "-c", _LOAD, how, str(path), str(package)], place))
    for what, words in (("load", "loading it"), ("use", "loading it and reading every value once")):
        ours, theirs = ([one[what] for one in loads[how]] for how in ("ours", "torch"))
        yield Row(
            name=f"converted-{what}",
            what=f"{words}, converted against torch.load",
            comparison="ratio",
            ours=median(ours),
            reference=median(theirs),
            value=median_ratio(ours, theirs),
            fastest=fastest_ratio(ours, theirs),
            bar=None,
            n=n,
            ours_command="context.read_checkpoint",
            reference_command="torch.load(weights_only=True)",
            note="1 GB in 256 tensors; torch is imported before",
        )


def _confined(place: Place, verb: str, rounds: int, *arguments: str) -> Any:
    return _json([place.python, "-I", str(_CONFINED), verb, str(rounds), *arguments], place)


def _json(argv: Sequence[str], place: Place) -> Any:
    done = subprocess.run(argv, env=place.env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)
