"""A safetensors file as objects: converted checkpoints, and those that were safetensors to begin with.

Tensors are views of the file, mapped into memory: nothing is read before it is used, and pages are shared between
processes. They may be written to, which changes this process's copy only.
"""

from __future__ import annotations

import json
import mmap
import os
from typing import Any, Dict, List, Literal, NamedTuple

from .tree import Node, TreeError, objects_from

TREE_KEY = "stemsep.tree"
"""Where in the file's metadata a converted checkpoint has its table."""

_MAX_HEADER_BYTES = 256 << 20
_TORCH_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}


class UnreadableError(ValueError):
    """The file is not safetensors, or damaged."""


def read(path: str, tree: bool) -> Any:
    """What a file holds: the object of a converted checkpoint if `tree`, otherwise its tensors by name.

    Raises:
        UnreadableError: It is not that.
        OSError: It cannot be read.
        ImportError: torch is not here.
    """
    try:
        file = _MappedFile(path)
        if not tree:
            return {name: file.whole(name) for name in file.entries}
        if TREE_KEY not in file.metadata:
            raise UnreadableError("it is not a converted checkpoint: its table is missing")
        return objects_from(json.loads(file.metadata[TREE_KEY]), file.leaf)
    except UnreadableError as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from error
    except TreeError as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError, OverflowError) as error:
        raise UnreadableError(f"{path} is damaged: {error!r}") from error


class _Entry(NamedTuple):
    """A range of the file's data, in bytes from its beginning, and what the header calls it."""

    dtype: str
    shape: List[int]
    start: int
    end: int


class _MappedFile:
    def __init__(self, path: str) -> None:
        import torch

        self._torch = torch
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
                raise UnreadableError("it is not a safetensors file")
            header = stream.read(length)
            if not header.startswith(b"{"):
                raise UnreadableError("it is not a safetensors file")
            # Copy on write: torch has no tensors that may not be written, and an engine that did would crash.
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        members = json.loads(header)
        self.metadata: Dict[str, str] = members.pop("__metadata__", {})
        self.entries = {name: _entry(member, 8 + length, size) for name, member in members.items()}
        self._bytes: Dict[str, Any] = {}

    def whole(self, name: str) -> Any:
        """The tensor that an entry is by itself."""
        entry = self.entries[name]
        if entry.dtype not in _TORCH_NAMES:
            raise UnreadableError(f"the tensor {name!r} has the type {entry.dtype}, which is not known here")
        dtype = getattr(self._torch, _TORCH_NAMES[entry.dtype])
        if entry.start == entry.end:
            return self._torch.empty(entry.shape, dtype=dtype)
        return self._bytes_of(name).view(dtype).reshape(entry.shape)

    def leaf(self, kind: str, node: Node) -> Any:
        """What a node of torch's or numpy's stands for."""
        if kind == "size":
            return self._torch.Size(node[1])
        if kind == "dtype":
            return self._dtype(node[1])
        if kind == "device":
            return self._torch.device(node[1]) if node[2] is None else self._torch.device(node[1], node[2])
        return self._tensor(node[1]) if kind == "tensor" else self._array(node[1])

    def _dtype(self, name: str) -> Any:
        dtype = getattr(self._torch, name, None)
        if not isinstance(dtype, self._torch.dtype):
            raise UnreadableError(f"this torch has no type {name!r}")
        return dtype

    def _bytes_of(self, name: str) -> Any:
        """An entry as bytes; one storage an entry, so that what shared memory in the checkpoint shares it here."""
        if name not in self._bytes:
            entry = self.entries[name]
            count = entry.end - entry.start
            self._bytes[name] = self._torch.frombuffer(
                self._map, dtype=self._torch.uint8, count=count, offset=entry.start
            )
        return self._bytes[name]

    def _tensor(self, members: Dict[str, Any]) -> Any:
        torch = self._torch
        dtype = self._dtype(members["dtype"])
        shape, stride, offset = members["shape"], members["stride"], members["offset"]
        if members["at"] is None:
            tensor = torch.empty_strided(shape, stride, dtype=dtype)
        else:
            data = self._bytes_of(members["at"])
            _check_extent(shape, stride, offset, len(data) // dtype.itemsize)
            # `set_` and not a view: torch.load makes no views either.
            tensor = torch.empty(0, dtype=dtype).set_(data.untyped_storage(), offset, shape, stride)
        if members.get("conj"):
            tensor = tensor.conj()
        if members.get("neg"):
            tensor = torch._neg_view(tensor)  # noqa: SLF001 - there is no other way
        if members.get("parameter"):
            return torch.nn.Parameter(tensor, requires_grad=bool(members.get("grad")))
        return tensor.requires_grad_() if members.get("grad") else tensor

    def _array(self, members: Dict[str, Any]) -> Any:
        import numpy as np

        dtype = np.dtype(str(members["dtype"]))
        if dtype.hasobject:
            raise UnreadableError("an array of objects")
        shape: List[int] = members["shape"]
        order: Literal["F", "C"] = "F" if members["fortran"] else "C"
        if members["at"] is None:
            return np.empty(shape, dtype, order)
        entry = self.entries[members["at"]]
        count = int(np.prod(shape, dtype=np.int64))
        if count * dtype.itemsize > entry.end - entry.start:
            raise UnreadableError("an array reaches beyond its data")
        return np.frombuffer(self._map, dtype, count, entry.start).reshape(shape, order=order)


def _entry(member: Dict[str, Any], data_start: int, size: int) -> _Entry:
    start, end = (data_start + int(offset) for offset in member["data_offsets"])
    if not data_start <= start <= end <= size:
        raise UnreadableError("a tensor lies outside of the file")
    return _Entry(str(member["dtype"]), list(member["shape"]), start, end)


def _check_extent(shape: List[int], stride: List[int], offset: int, elements: int) -> None:
    if len(shape) != len(stride) or min([offset, *shape, *stride]) < 0:
        raise UnreadableError("a tensor has an impossible shape")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride))
    if all(shape) and last >= elements:
        raise UnreadableError("a tensor reaches beyond its data")
