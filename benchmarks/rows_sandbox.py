"""Rows about confinement: what starting at each level takes, torch inside against outside, and checkpoints.

Those with torch need a build of it for the processor in a folder that ``UV_FIND_LINKS`` names.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import NotPossibleError, answer_of, timed
from benchmarks.place import Place
from benchmarks.rows import About, Group, Missing, Outcomes, absolute, difference, ratio, share
from benchmarks.rows_torch import torch_minor

_CONFINED = Path(__file__).with_name("confined.py")
_START_BARS = {"namespaces": 0.06}
_LEVELS = ("namespaces", "landlock", "hygiene")
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


def _sandbox(place: Place) -> Outcomes:
    """Start and end a bare interpreter at each level."""
    if sys.platform != "linux":
        raise NotPossibleError("the start of the levels is measured on Linux only")
    answer = _confined(place, "starts", place.rounds(40), *_LEVELS)
    times, missing = answer["seconds"], answer["missing"]
    for level in _LEVELS:
        name = f"start-{level}"
        if level in missing:
            yield Missing(name, "not_possible", missing[level])
            continue
        about = About(
            name,
            f"starting and ending at the level {level}, beyond a bare interpreter",
            "PYTHON -I -S -c pass, confined, its control groups made and removed",
            "PYTHON -I -S -c pass",
            bar=_START_BARS.get(level),
        )
        yield difference(about, times[level], times["plain"])


def _checkpoints(place: Place) -> Outcomes:
    """All rows with torch: they share its environment."""
    minor = torch_minor()
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


def _work(place: Place, folder: Path, python: str) -> Outcomes:
    script = folder / "work.py"
    script.write_text(_WORK)
    timed([python, "-I", str(script)], place.env)
    try:
        sides = _confined(place, "work", place.rounds(12), python, str(script))
    except NotPossibleError as error:  # the conversion may be confined at another level
        yield from (Missing(name, "not_possible", str(error)) for name in ("inside-import", "inside-inference"))
        return
    for part, words in (("import", "import torch"), ("inference", "twenty passes of a transformer layer on CPU")):
        about = About(
            f"inside-{part}",
            f"{words}, inside the sandbox against outside",
            "level namespaces",
            "the same interpreter with the same environment variables",
        )
        yield ratio(about, *([one[part] for one in sides[side]] for side in ("namespaces", "plain")))


def _conversion(place: Place, folder: Path, python: str) -> Outcomes:
    checkpoint = folder / "model.ckpt"
    timed([python, "-I", "-c", _MAKE, str(checkpoint), str(_GIGABYTE_LAYERS)], place.env)
    n = place.rounds(8)
    made = _confined(place, "convert", n, str(checkpoint), str(folder))
    about = About(
        "convert",
        "conversion of a 1 GB checkpoint: confined, checked, hashed, on the disk",
        "what comes before a model's first load",
        bar=8.0,
        note="once for each checkpoint",
    )
    yield absolute(about, made["seconds"])
    about = About(
        "convert-memory",
        "peak memory of the conversion, as a share of the checkpoint",
        "convert.py CHECKPOINT OUTPUT",
        bar=1.5,
    )
    yield share(about, made["peak_bytes"], made["bytes"])
    loads: dict[str, list[dict[str, float]]] = {"ours": [], "torch": []}
    for _ in range(n):
        for how, path in (("ours", folder / "converted.safetensors"), ("torch", checkpoint)):
            argv = [python, "-I", "-c", _LOAD, how, str(path), str(place.package)]
            loads[how].append(answer_of(argv, place.env))
    for part, words in (("load", "loading it"), ("use", "loading it and reading every value once")):
        about = About(
            f"converted-{part}",
            f"{words}, converted against torch.load",
            "context.read_checkpoint",
            "torch.load(weights_only=True)",
            note="1 GB in 256 tensors; torch is imported before",
        )
        yield ratio(about, *([one[part] for one in loads[how]] for how in ("ours", "torch")))


def _confined(place: Place, verb: str, rounds: int, *arguments: str) -> Any:
    return answer_of([place.python, "-I", str(_CONFINED), verb, str(rounds), *arguments], place.env)


GROUPS = (
    Group("sandbox", tuple(f"start-{level}" for level in _LEVELS), _sandbox),
    Group(
        "checkpoints",
        ("inside-import", "inside-inference", "convert", "convert-memory", "converted-load", "converted-use"),
        _checkpoints,
    ),
)
