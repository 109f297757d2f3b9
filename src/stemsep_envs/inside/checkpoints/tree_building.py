"""Values as the table of `tree`, and which bytes of which storages they need."""

from __future__ import annotations

import base64
import math
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

from .tree import VERSION, Node
from .values import (
    ITEM_BYTES,
    SCALARS,
    Array,
    Call,
    CheckpointError,
    Data,
    Named,
    NumpyType,
    Series,
    Table,
    Tensor,
    Torch,
    product,
)

MAX_NODES = 2_000_000
MAX_KEY_PARTS = 1000
_MAX_NAME_CHARACTERS = 300
_EXACT_INTEGER = 1 << 53
_ALIGNMENT = 16
_ARRAY_CODE = re.compile(r"(b1|[iu][1248]|f[248]|c8|c16)")

_SAFETENSORS_TYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    # As pairs of real numbers: not every reader of safetensors knows complex ones.
    "complex64": "F32",
    "complex128": "F64",
}


class Entry(NamedTuple):
    """One entry of the safetensors file.

    Attributes:
        name: Its name there.
        dtype: Its type, in the words of safetensors.
        shape: Its shape.
        source: The storage whose bytes it has, or an array's bytes.
        start: Where in the source it begins, in bytes.
        byte_count: How many bytes of the source it has.
        padding: How many zeros follow.
        alignment: What its position in the file must be a multiple of.
        swap: Bytes of one number where their order is to be turned round; otherwise 1.
    """

    name: str
    dtype: str
    shape: List[int]
    source: Union[Data, bytes]
    start: int
    byte_count: int
    padding: int
    alignment: int
    swap: int


class Stored(NamedTuple):
    """A checkpoint as it is to be written: the table, and the entries in the order of the file."""

    tree: Dict[str, Any]
    entries: List[Entry]


def stored(root: Any) -> Stored:
    """How a value is to be stored.

    Raises:
        CheckpointError: It contains what has no form in the table.
    """
    return _Writer().write(root)


class _Writer:
    """Numbers every value once, breadth first; a tuple's members before the tuple."""

    def __init__(self) -> None:
        self._nodes: List[Optional[Node]] = []
        self._indexes: Dict[Any, int] = {}
        self._alive: List[Any] = []  # values stay, so that their identities do
        self._queue: List[Tuple[Any, str]] = []
        self._tensors: List[Tuple[int, Tensor, str]] = []
        self._arrays: List[Tuple[int, Array, str]] = []

    def write(self, root: Any) -> Stored:
        at = self._index(root, "")
        done = 0
        while done < len(self._queue):
            value, path = self._queue[done]
            self._nodes[self._indexes[id(value)]] = self._filled(value, path)
            done += 1
        entries = _Entries()
        for _, tensor, path in self._tensors:
            entries.add(tensor, path)
        for index, tensor, _ in self._tensors:
            self._nodes[index] = ["tensor", entries.node_of(tensor)]
        for index, array, path in self._arrays:
            self._nodes[index] = ["array", entries.add_array(array, path)]
        return Stored({"version": VERSION, "root": at, "nodes": self._nodes}, entries.in_order())

    def _new(self, key: Any, node: Optional[Node]) -> int:
        if len(self._nodes) >= MAX_NODES:
            raise CheckpointError(f"it holds more than {MAX_NODES} values")
        self._nodes.append(node)
        self._indexes[key] = index = len(self._nodes) - 1
        return index

    def _index(self, value: Any, path: str) -> int:
        """The number of a value; tuples within tuples are gone through without recursion."""
        pending: List[Tuple[Any, bool]] = [(value, False)]
        open_: Dict[int, None] = {}
        while pending:
            current, ready = pending.pop()
            if _key(current) in self._indexes:
                continue
            if not isinstance(current, Series) or current.kind not in ("tuple", "frozenset"):
                self._add(current, path)
            elif ready:
                self._alive.append(current)
                members = [self._indexes[_key(member)] for member in current.items]
                if current.kind == "frozenset":
                    _check_keys(current.items)
                self._new(id(current), [current.kind, members])
            elif id(current) in open_:
                raise CheckpointError("it holds a tuple that contains itself")
            else:
                open_[id(current)] = None
                pending.append((current, True))
                pending.extend((member, False) for member in reversed(current.items))
        return self._indexes[_key(value)]

    def _add(self, value: Any, path: str) -> None:
        if isinstance(value, SCALARS):
            self._add_scalar(value)
            return
        self._alive.append(value)
        if isinstance(value, Torch):
            members = list(value.members)
            self._new(_key(value), [value.kind, members] if value.kind == "size" else [value.kind, *members])
        elif isinstance(value, Named):
            self._new(_key(value), ["inert", {"name": value.name}])
        elif isinstance(value, Tensor):
            self._tensors.append((self._new(id(value), None), value, path))
        elif isinstance(value, Array) and _is_plain(value):
            self._arrays.append((self._new(id(value), None), value, path))
        else:
            self._new(id(value), None)
            self._queue.append((value, path))

    def _add_scalar(self, value: Any) -> None:
        if isinstance(value, complex):
            parts = [self._index(part, "") for part in (value.real, value.imag)]
            self._new(_key(value), ["complex", *parts])
        else:
            self._new(_key(value), _scalar_node(value))

    def _filled(self, value: Any, path: str) -> Node:
        if isinstance(value, Series):
            if value.kind == "set":
                _check_keys(value.items)
            return [value.kind, [self._index(item, f"{path}.{number}") for number, item in enumerate(value.items)]]
        if isinstance(value, Table):
            members = self._pairs(value.pairs, path)
            if value.kind == "dict":
                return ["dict", members]
            return ["ordered", members, None if value.metadata is None else self._index(value.metadata, "")]
        if isinstance(value, Call):
            return ["inert", self._call(value, path)]
        if isinstance(value, NumpyType):
            return ["inert", {"name": "numpy.dtype", "args": [self._index(value.text, "")]}]
        if isinstance(value, Array):
            members = [] if value.members is None else [self._index(value.members, path)]
            return ["inert", {"name": "numpy.ndarray", "args": members}]
        raise CheckpointError(f"it holds a {type(value).__name__.lower()} by itself, which nothing can use")

    def _call(self, value: Call, path: str) -> Dict[str, Any]:
        members: Dict[str, Any] = {
            "name": value.name,
            "args": [self._index(argument, f"{path}.args") for argument in value.args],
        }
        if value.state is not None:
            members["state"] = self._index(value.state, path)
        if value.kwargs:
            members["kwargs"] = self._pairs(value.kwargs, path)
        if value.pairs:
            members["mapping"] = self._pairs(value.pairs, path)
        if value.items:
            members["sequence"] = [self._index(item, path) for item in value.items]
        return members

    def _pairs(self, pairs: Iterable[Tuple[Any, Any]], path: str) -> List[int]:
        members: List[int] = []
        for key, value in pairs:
            _check_keys([key])
            name = key if isinstance(key, str) else str(key) if isinstance(key, int) else type(key).__name__
            members += (self._index(key, ""), self._index(value, f"{path}.{name}" if path else name))
        return members


def _key(value: Any) -> Any:
    """What makes two values one node: equality of plain ones, otherwise identity."""
    if isinstance(value, float):
        return (float, value.hex(), math.copysign(1.0, value))
    if isinstance(value, complex):
        return (complex, _key(value.real), _key(value.imag))
    if isinstance(value, SCALARS):
        return (type(value), value)
    if isinstance(value, Torch):
        return (Torch, value)
    return (Named, value.name) if isinstance(value, Named) else id(value)


def _scalar_node(value: Any) -> Node:
    if value is None or isinstance(value, bool):
        return ["const", value]
    if isinstance(value, int):
        return ["int", value if abs(value) < _EXACT_INTEGER else hex(value)]
    if isinstance(value, float):
        return ["float", value if math.isfinite(value) else repr(value)]
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return ["text", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")]
        return ["str", value]
    return ["bytes", base64.b64encode(value).decode("ascii")]


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse keys, and members of sets, that can't be any, or whose hash would take forever."""
    pending = list(keys)
    for _ in range(len(pending) + MAX_KEY_PARTS):
        if not pending:
            return
        key = pending.pop()
        if isinstance(key, Series) and key.kind in ("tuple", "frozenset"):
            pending.extend(key.items)
        elif isinstance(key, (Series, Table, Array)):
            raise CheckpointError("it has a container as a key or in a set, which Python has no such form for")
    raise CheckpointError("it has keys made of too many parts")


def _is_plain(array: Array) -> bool:
    dtype = array.dtype
    if dtype is None or not dtype.plain or not _ARRAY_CODE.fullmatch(dtype.code) or array.data is None:
        return False
    if product(array.shape) * int(dtype.code[1:]) != len(array.data):
        raise CheckpointError("an array of numpy's does not fit its data")
    return True


class _Entries:
    """Which bytes are needed, by storage.

    What one tensor has alone keeps its name and shape; what several share in different ways is one run of bytes, of
    which each tensor's node says its part.
    """

    def __init__(self) -> None:
        self._by_data: Dict[int, List[Tuple[Tensor, str]]] = {}
        self._made: Dict[int, Entry] = {}
        self._arrays: List[Entry] = []
        self._names: Dict[str, None] = {}

    def add(self, tensor: Tensor, path: str) -> None:
        """Take note of a tensor."""
        first, last = _extent(tensor)
        if last > tensor.data.byte_count:
            raise CheckpointError("a tensor reaches beyond its data")
        if last > first:
            self._by_data.setdefault(id(tensor.data), []).append((tensor, path))

    def node_of(self, tensor: Tensor) -> Dict[str, Any]:
        """What a tensor's node says. All tensors have been added by now."""
        node: Dict[str, Any] = {"at": None, "dtype": tensor.dtype, "shape": tensor.shape, "stride": tensor.stride}
        node["offset"] = 0
        node.update({name: True for name in ("grad", "parameter", "conj", "neg") if getattr(tensor, name)})
        if 0 not in tensor.shape:
            entry = self._entry_of(tensor.data)
            node["at"] = entry.name
            node["offset"] = (tensor.offset * ITEM_BYTES[tensor.dtype] - entry.start) // ITEM_BYTES[tensor.dtype]
        return node

    def add_array(self, array: Array, path: str) -> Dict[str, Any]:
        """What an array's node says."""
        if array.dtype is None or array.data is None:
            raise ValueError("an array without data")
        node: Dict[str, Any] = {"at": None, "dtype": array.dtype.text, "shape": array.shape, "fortran": array.fortran}
        if array.data:
            entry = self._bytes_entry(self._name(path, "array"), array.data, 0, len(array.data), 1)
            self._arrays.append(entry)
            node["at"] = entry.name
        return node

    def in_order(self) -> List[Entry]:
        """The entries as they follow each other in the file: without gaps, each where its type wants it."""
        return sorted((*self._made.values(), *self._arrays), key=lambda entry: -entry.alignment)

    def _entry_of(self, data: Data) -> Entry:
        if id(data) not in self._made:
            self._made[id(data)] = self._make(data, self._by_data[id(data)])
        return self._made[id(data)]

    def _make(self, data: Data, users: List[Tuple[Tensor, str]]) -> Entry:
        tensor, path = users[0]
        item_bytes = ITEM_BYTES[tensor.dtype]
        swap = _number_bytes(users) if data.swapped else 1
        dtype = _SAFETENSORS_TYPES.get(tensor.dtype)
        if dtype is None or not all(_lies_as(tensor, other) for other, _ in users):
            first = min(_extent(other)[0] for other, _ in users) // _ALIGNMENT * _ALIGNMENT
            last = max(_extent(other)[1] for other, _ in users)
            return self._bytes_entry(self._name(path, "storage"), data, first, last - first, swap)
        shape = [*tensor.shape, 2] if tensor.dtype.startswith("complex") else tensor.shape
        start, count = tensor.offset * item_bytes, product(tensor.shape) * item_bytes
        return Entry(self._name(path, "tensor"), dtype, shape, data, start, count, 0, item_bytes, swap)

    def _bytes_entry(self, name: str, source: Union[Data, bytes], start: int, byte_count: int, swap: int) -> Entry:
        padding = -byte_count % _ALIGNMENT
        return Entry(name, "U8", [byte_count + padding], source, start, byte_count, padding, 2 * _ALIGNMENT, swap)

    def _name(self, path: str, kind: str) -> str:
        """The path by which a checkpoint reaches a tensor; a name of our own where that is none, or taken."""
        name = path
        if not path or len(path) > _MAX_NAME_CHARACTERS or not path.isprintable() or path in self._names:
            name = f"{kind}.{len(self._names)}"
        while name in self._names or name == "__metadata__":
            name += "_"
        self._names[name] = None
        return name


def _extent(tensor: Tensor) -> Tuple[int, int]:
    """The bytes of its data that a tensor covers: first, and one behind the last."""
    item_bytes = ITEM_BYTES[tensor.dtype]
    if 0 in tensor.shape:
        return 0, 0
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride))
    return tensor.offset * item_bytes, (last + 1) * item_bytes


def _lies_as(first: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same run of elements, in order and without gaps."""
    expected = 1
    for size, step in zip(reversed(other.shape), reversed(other.stride)):
        if size != 1 and step != expected:
            return False
        expected *= size
    return (first.dtype, first.offset, first.shape) == (other.dtype, other.offset, other.shape)


def _number_bytes(users: List[Tuple[Tensor, str]]) -> int:
    dtypes = {tensor.dtype for tensor, _ in users}
    sizes = {ITEM_BYTES[dtype] // (2 if dtype.startswith("complex") else 1) for dtype in dtypes}
    if len(sizes) != 1:
        raise CheckpointError("it comes from a machine with the other byte order, and shares memory between types")
    return sizes.pop()
