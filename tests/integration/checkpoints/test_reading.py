"""What adapters get from a file, in a Python that has torch."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

PRELUDE = f"""
import sys
sys.path.append({str(CHECKOUT / "src" / "stemsep_envs")!r})
import torch
from inside.adapters import Context
from inside.checkpoints.inert import Inert
from inside.failures import RequestError
context = Context(1, "load", lambda *message: None, lambda: False)
def read(path, format="tree"):
    return context.read_checkpoint({{"path": path, "filename": "model.ckpt", "kind": "checkpoint", "format": format}})
path = sys.argv[1]
"""


def safetensors(path: Path, entries: Mapping[str, tuple[str, Sequence[int], bytes]], **metadata: Any) -> Path:
    header: dict[str, Any] = {}
    position = 0
    for name, (dtype, shape, data) in entries.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + len(data)]}
        position += len(data)
    if metadata:
        header["__metadata__"] = {f"stemsep.{key}": json.dumps(value) for key, value in metadata.items()}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in entries.values()))
    return path


@pytest.fixture
def in_torch(torch_python: Path) -> Any:
    def run(script: str, path: Path) -> str:
        done = subprocess.run(
            [torch_python, "-I", "-c", PRELUDE + script, path], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_plain_safetensors_are_tensors_by_name(in_torch: Any, tmp_path: Path) -> None:
    path = safetensors(tmp_path / "m", {"a": ("F32", [2, 2], floats(1, 2, 3, 4)), "empty": ("I64", [0, 3], b"")})
    script = """
tensors = read(path, "raw")
assert list(tensors) == ["a", "empty"]
assert torch.equal(tensors["a"], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
assert tensors["empty"].shape == (0, 3) and tensors["empty"].dtype is torch.int64
tensors["a"].mul_(2)  # an engine may; the file stays as it is
assert read(path, "raw")["a"][0, 0] == 1
linear = torch.nn.Linear(2, 2, bias=False)
linear.load_state_dict({"weight": tensors["a"]}, assign=True)
print(linear.weight.data_ptr() == tensors["a"].data_ptr())
"""
    assert in_torch(script, path) == "True"


def test_a_tree_gives_the_objects_back(in_torch: Any, tmp_path: Path) -> None:
    view = {"at": "s", "dtype": "float32", "shape": [2], "stride": [2], "offset": 1}
    nodes: list[list[Any]] = [
        ["ordered", [1, 2, 3, 4, 5, 0], 6],
        ["str", "w"],
        ["tensor", {**view, "parameter": True, "grad": True}],
        ["str", "same memory"],
        ["tensor", {**view, "shape": [4], "stride": [1], "offset": 0}],
        ["tuple", [1, 7, 8]],
        ["dict", [1, 7]],
        ["int", "0x10000000000000000"],
        ["inert", {"name": "os.system", "args": [1], "state": 6}],
    ]
    path = safetensors(
        tmp_path / "m", {"s": ("F32", [4], floats(0, 1, 2, 3))}, tree={"version": 1, "root": 0, "nodes": nodes}
    )
    script = """
from collections import OrderedDict
made = read(path)
assert type(made) is OrderedDict
assert type(made["w"]) is torch.nn.Parameter and made["w"].requires_grad
assert made["w"].tolist() == [1, 3]
made["same memory"][3] = 5
assert made["w"].tolist() == [1, 5]
key = [key for key in made if isinstance(key, tuple)][0]
assert made[key] is made
assert key[:2] == ("w", 2**64)
inert = key[2]
assert isinstance(inert, Inert) and inert.name == "os.system" and inert.args == ("w",)
print(inert.state == made._metadata == {"w": 2**64})
"""
    assert in_torch(script, path) == "True"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"shape": [5], "stride": [1], "offset": 0}, "beyond its data"),
        ({"shape": [2], "stride": [-1], "offset": 3}, "impossible shape"),
        ({"shape": [1 << 62], "stride": [1 << 62], "offset": 0}, "beyond its data"),
        ({"shape": [1], "stride": [1], "offset": 0, "dtype": "load"}, "no type 'load'"),
        ({"shape": [1], "stride": [1], "offset": 0, "at": "t"}, "damaged"),
    ],
)
def test_a_damaged_tree_is_refused(in_torch: Any, tmp_path: Path, members: dict[str, Any], said: str) -> None:
    node = ["tensor", {"at": "s", "dtype": "float32", **members}]
    entries = {"s": ("F32", [4], floats(0, 1, 2, 3))}
    path = safetensors(tmp_path / "m", entries, tree={"version": 1, "root": 0, "nodes": [node]})
    script = """
try:
    read(path)
except RequestError as error:
    print(error.kind, error.message)
"""
    assert said in in_torch(script, path)


def test_a_pickle_is_refused(in_torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x06\x00\x00\x00exit 1\x85R.")
    script = """
for format in ("raw", "tree"):
    try:
        read(path, format)
    except RequestError as error:
        print(error.message)
"""
    assert in_torch(script, path).count("not a safetensors file") == 2
