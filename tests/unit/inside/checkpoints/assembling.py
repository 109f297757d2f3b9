"""Pickles put together instruction by instruction, and archives around them: what no torch would write."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

from stemsep_envs.artifacts.safetensors import Facts, check_converted
from stemsep_envs.inside.checkpoints.converting import convert
from stemsep_envs.inside.checkpoints.tree import objects_from

MARK, REDUCE, BUILD, TUPLE, EMPTY_DICT, SETITEMS, STOP, PERSID = b"(", b"R", b"b", b"t", b"}", b"u", b".", b"Q"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = pickle.encode_long(value)
    return b"\x8b" + struct.pack("<i", len(data)) + data


def row(*members: bytes) -> bytes:
    return MARK + b"".join(members) + TUPLE


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + row(*arguments) + REDUCE


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + STOP


def storage(key: str = "0", elements: int = 4, kind: str = "FloatStorage") -> bytes:
    return row(text("storage"), name("torch", kind), text(key), text("cpu"), number(elements)) + PERSID


def tensor(
    shape: tuple[int, ...] = (4,), stride: tuple[int, ...] = (1,), offset: int = 0, data: bytes | None = None
) -> bytes:
    return call(
        "torch._utils",
        "_rebuild_tensor_v2",
        data or storage(),
        number(offset),
        row(*map(number, shape)),
        row(*map(number, stride)),
        b"\x89",
        call("collections", "OrderedDict"),
    )


def archive(code: bytes, **data: bytes) -> bytes:
    """A zip as torch writes it; keys of the data have a leading underscore."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        made.writestr("m/data.pkl", code)
        for key, content in data.items():
            made.writestr(f"m/data/{key.lstrip('_')}", content)
    return buffer.getvalue()


FLOATS = struct.pack("<4f", 0, 1, 2, 3)


def converted(folder: Path, content: bytes) -> tuple[Any, dict[str, Any], Facts]:
    """Convert, let the host check what came out, and read its values: the root, the report, the facts."""
    source, output = folder / "m.ckpt", folder / "m.safetensors"
    source.write_bytes(content)
    output.unlink(missing_ok=True)
    report = convert(str(source), str(output))
    with output.open("rb") as stream:
        facts = check_converted(stream, output.stat().st_size)
    data = output.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tree = json.loads(header["__metadata__"]["stemsep.tree"])
    return objects_from(tree, lambda kind, node: (kind, node[1])), report, facts
