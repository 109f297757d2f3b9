"""Checks of a converted checkpoint, from its header alone: the converter read a stranger's file and isn't believed.

The header says where each tensor's bytes lie and, in its metadata, how the checkpoint's values hang together
(`inside/checkpoints/tree.py` has the format). All of it is held to bounds here; tensors may be any bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stemsep_envs.documents.strict_json import load_json
from stemsep_envs.errors import InvalidDocumentError

MAX_HEADER_BYTES = 16 << 20
"""Of a safetensors file that this process parses. That of a checkpoint with ten thousand tensors has 3 MiB."""

MAX_NAMES = 10_000
MAX_NOTES = 100
TREE_KEY = "stemsep.tree"
REPORT_KEY = "stemsep.report"
TREE_VERSION = 1

_MAX_NODES = 2_000_000
_MAX_DIMENSIONS = 65
_MAX_NAME_CHARACTERS = 600
_MAX_NOTE_CHARACTERS = 4000
MAX_KEY_PARTS = 1000
_MAX_DEVICES = 128
_MAX_ELEMENTS = 1 << 50

_ENTRY_ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
_TORCH_ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "uint32": 4,
    "int32": 4,
    "uint64": 8,
    "int64": 8,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex32": 4,
    "complex64": 8,
    "complex128": 16,
}
_BACKWARD = ("tuple", "frozenset", "complex")
"""Kinds that are made with their members, which therefore come before them where they are of such a kind too."""
_UNHASHABLE = ("list", "set", "dict", "ordered", "array")


class BrokenOutputError(ValueError):
    """The converter's output is not what it writes."""


@dataclass(frozen=True)
class Facts:
    """What a converted checkpoint holds.

    Attributes:
        tensors: How many tensors.
        parameters: Elements of all of them.
        dtypes: How many tensors of each type.
        arrays: How many arrays of numpy's.
        values: Everything else.
        report: What the converter says of the rest.
    """

    tensors: int
    parameters: int
    dtypes: Mapping[str, int]
    arrays: int
    values: int
    report: Mapping[str, Any]


def check_converted(stream: BinaryIO, file_bytes: int) -> Facts:
    """Check the header of a converted checkpoint and say what it holds.

    Args:
        stream: The file, at its beginning.
        file_bytes: How large it is.

    Raises:
        BrokenOutputError: It breaks a rule.
    """
    length = int.from_bytes(stream.read(8), "little")
    _hold(file_bytes >= 8 and length <= min(file_bytes - 8, MAX_HEADER_BYTES), "its header is longer than itself")
    header = _object(stream.read(length), "header")
    metadata = header.pop("__metadata__", None)
    _hold(isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values()), "no metadata")
    entries = _check_entries(header, file_bytes - 8 - length)
    tree = _object(metadata.get(TREE_KEY, ""), "tree")
    report = _object(metadata.get(REPORT_KEY, ""), "report")
    _hold(tree.get("version") == TREE_VERSION, "another version of the tree")
    nodes = tree.get("nodes")
    if not isinstance(nodes, list) or not 0 < len(nodes) <= _MAX_NODES:
        raise BrokenOutputError("it has a tree without nodes, or with too many")
    checker = _Nodes(nodes, entries)
    checker.reference(tree.get("root"))
    checker.check()
    counts = checker.kinds
    return Facts(
        tensors=counts["tensor"],
        parameters=checker.parameters,
        dtypes=dict(sorted(checker.dtypes.items())),
        arrays=counts["array"],
        values=len(nodes) - counts["tensor"] - counts["array"],
        report=_checked_report(report),
    )


def tensor_names(path: Path) -> tuple[str, ...]:
    """Return the names of the tensors in a safetensors file, from its header; none of a file that is none."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(path.stat().st_size, MAX_HEADER_BYTES):
                return ()
            header = _object(stream.read(length), "header")
    except (OSError, BrokenOutputError):
        return ()
    return tuple(name for name in header if name != "__metadata__")


def _object(text: bytes | str, what: str) -> dict[str, Any]:
    try:
        value = load_json(text, origin=what)
    except InvalidDocumentError as error:
        raise BrokenOutputError(f"its {what} is not strict JSON: {error.problems[0]}") from error
    _hold(isinstance(value, dict), f"its {what} is not an object")
    return dict(value)


def _check_entries(header: Mapping[str, Any], data_bytes: int) -> dict[str, int]:
    """Return the bytes of every entry; together they must cover the data without gap or overlap."""
    ranges, sizes = [], {}
    for name, entry in header.items():
        _hold(isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}, "an entry of another form")
        _hold(0 < len(name) <= _MAX_NAME_CHARACTERS and name.isprintable(), "an entry with an impossible name")
        item_bytes = _ENTRY_ITEM_BYTES.get(str(entry["dtype"]))
        offsets = _counts(entry["data_offsets"])
        _hold(item_bytes is not None and len(offsets) == 2 and offsets[0] <= offsets[1], "an impossible entry")
        _hold(
            _elements(_counts(entry["shape"])) * (item_bytes or 0) == offsets[1] - offsets[0], "a shape beside its data"
        )
        ranges.append(offsets)
        sizes[name] = offsets[1] - offsets[0]
    end = 0
    for first, last in sorted(ranges):
        _hold(first == end, "gaps or overlaps between entries")
        end = last
    _hold(end == data_bytes, "entries that do not cover the file")
    return sizes


class _Nodes:
    """The nodes of the tree, checked one by one."""

    def __init__(self, nodes: list[Any], entries: Mapping[str, int]) -> None:
        self.kinds: Counter[str] = Counter()
        self.dtypes: Counter[str] = Counter()
        self.parameters = 0
        self._nodes = nodes
        self._keys: list[int] = []
        self._parts: dict[int, int] = {}
        self._entries = entries

    def check(self) -> None:
        for index, node in enumerate(self._nodes):
            _hold(isinstance(node, list) and len(node) >= 2 and isinstance(node[0], str), "a node of another form")
            check = _CHECKS.get(node[0])
            if check is None:
                raise BrokenOutputError(f"it has a node of unknown kind {node[0][:50]!r}")
            self.kinds[node[0]] += 1
            if node[0] in _BACKWARD:
                self._check_backward(index, node[1] if node[0] != "complex" else node[1:])
            check(self, node)
            if node[0] in ("tuple", "frozenset"):
                self._parts[index] = 1 + sum(self._parts.get(member, 1) for member in node[1])
            if node[0] in ("set", "frozenset"):
                self._keys += node[1]
        self._check_keys()

    def _check_keys(self) -> None:
        """Hold keys of dicts, and members of sets, to be such as Python can hash, and soon."""
        _hold(all(self._parts.get(key, 1) <= MAX_KEY_PARTS for key in self._keys), "a key of too many parts")
        pending, seen = list(set(self._keys)), set(self._keys)
        while pending:
            node = self._nodes[pending.pop()]
            _hold(node[0] not in _UNHASHABLE, "a key that is a container")
            if node[0] in ("tuple", "frozenset"):
                members = set(node[1]) - seen
                seen |= members
                pending += members

    def reference(self, value: Any) -> None:
        """Hold a value to be the number of a node."""
        _hold(type(value) is int and 0 <= value < len(self._nodes), "a reference to no node")

    def references(self, values: Any) -> None:
        """Hold a value to be a list of those."""
        _hold(isinstance(values, list), "references that are no list")
        for value in values:
            self.reference(value)

    def _check_backward(self, index: int, members: Any) -> None:
        self.references(members)
        for member in members:
            other = self._nodes[member]
            forward = member >= index and isinstance(other, list) and other[:1] and other[0] in _BACKWARD
            _hold(not forward, "a tuple before its members")

    def pairs(self, values: Any) -> None:
        """Hold a value to be references to keys and values in turn."""
        self.references(values)
        _hold(len(values) % 2 == 0, "a key without a value")
        self._keys += values[::2]

    def tensor(self, node: list[Any]) -> None:
        """Hold a tensor to lie within its entry."""
        members = _members(node, {"at", "dtype", "shape", "stride", "offset"}, {"grad", "parameter", "conj", "neg"})
        item_bytes = _TORCH_ITEM_BYTES.get(str(members["dtype"]))
        shape, stride = _counts(members["shape"]), _counts(members["stride"])
        (offset,) = _counts([members["offset"]])
        _hold(item_bytes is not None and len(shape) == len(stride), "an impossible tensor")
        elements = _elements(shape)
        if elements:
            last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
            held = self._entries.get(members["at"], -1) if isinstance(members["at"], str) else -1
            _hold((last + 1) * (item_bytes or 0) <= held, "a tensor beyond its entry")
        self.dtypes[members["dtype"]] += 1
        self.parameters += elements

    def array(self, node: list[Any]) -> None:
        """Hold an array to fit its entry."""
        members = _members(node, {"at", "dtype", "shape", "fortran"}, set())
        dtype = str(members["dtype"])
        digits = dtype[2:]
        _hold(
            dtype[:1] in "<>|=" and dtype[1:2] in "biufc" and digits in ("1", "2", "4", "8", "16"),
            "an array of no type",
        )
        count = _elements(_counts(members["shape"])) * int(digits)
        held = self._entries.get(members["at"], -1) if isinstance(members["at"], str) else 0
        _hold(held - 16 < count <= held if count else True, "an array beyond its entry")

    def inert(self, node: list[Any]) -> None:
        """Hold a record to refer to nodes only."""
        members = _members(node, {"name"}, {"args", "state", "kwargs", "mapping", "sequence"})
        _hold(
            isinstance(members["name"], str) and len(members["name"]) <= _MAX_NAME_CHARACTERS, "a record with no name"
        )
        for name in ("args", "sequence"):
            self.references(members.get(name, []))
        for name in ("kwargs", "mapping"):
            self.pairs(members.get(name, []))
        if "state" in members:
            self.reference(members["state"])


def _members(node: list[Any], needed: set[str], allowed: set[str]) -> dict[str, Any]:
    members = node[1]
    _hold(len(node) == 2 and isinstance(members, dict), "a node without members")
    _hold(needed <= set(members) <= needed | allowed, "a node with other members")
    return dict(members)


def _counts(values: Any) -> list[int]:
    _hold(isinstance(values, list) and len(values) <= _MAX_DIMENSIONS, "a shape that is no list")
    _hold(all(type(value) is int and value >= 0 for value in values), "a shape that is no list of counts")
    return list(values)


def _elements(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
        _hold(count <= _MAX_ELEMENTS, "more elements than any machine can hold")
    return count


def _hold(true: bool, otherwise: str) -> None:
    if not true:
        raise BrokenOutputError(f"it has {otherwise}")


def _of(*kinds: type) -> Callable[[_Nodes, list[Any]], None]:
    return lambda _, node: _hold(len(node) == 2 and type(node[1]) in kinds, f"a {node[0]} of another form")


def _ordered(nodes: _Nodes, node: list[Any]) -> None:
    nodes.pairs(node[1])
    _hold(len(node) == 3, "an ordered dict of another form")
    if node[2] is not None:
        nodes.reference(node[2])


def _device(_: _Nodes, node: list[Any]) -> None:
    _hold(len(node) == 3 and isinstance(node[1], str) and len(node[1]) <= 20, "a device without a name")
    _hold(node[2] is None or (type(node[2]) is int and 0 <= node[2] < _MAX_DEVICES), "a device with no number")


_CHECKS: Mapping[str, Callable[[_Nodes, list[Any]], None]] = {
    "const": _of(type(None), bool),
    "int": _of(int, str),
    "float": _of(float, int, str),
    "complex": lambda _, node: _hold(len(node) == 3, "a complex number of another form"),
    "str": _of(str),
    "text": _of(str),
    "bytes": _of(str),
    "list": lambda nodes, node: nodes.references(node[1]),
    "set": lambda nodes, node: nodes.references(node[1]),
    "tuple": _of(list),
    "frozenset": _of(list),
    "dict": lambda nodes, node: nodes.pairs(node[1]),
    "ordered": _ordered,
    "size": lambda _, node: _hold(bool(_counts(node[1])) or node[1] == [], "a size of another form"),
    "dtype": lambda _, node: _hold(isinstance(node[1], str) and node[1] in _TORCH_ITEM_BYTES, "an unknown type"),
    "device": _device,
    "tensor": _Nodes.tensor,
    "array": _Nodes.array,
    "inert": _Nodes.inert,
}


def _checked_report(report: Mapping[str, Any]) -> Mapping[str, Any]:
    names = report.get("inert")
    _hold(isinstance(report.get("format"), str) and len(report["format"]) <= 20, "a report of another form")
    _hold(isinstance(names, list) and len(names) <= MAX_NAMES, "a report of another form")
    for found in names or []:
        _hold(isinstance(found, dict) and set(found) == {"name", "named", "called"}, "a report of another form")
        _hold(isinstance(found["name"], str) and len(found["name"]) <= _MAX_NAME_CHARACTERS, "a report of another form")
        _counts([found["named"], found["called"]])
    left_out = report.get("left_out")
    _hold(isinstance(left_out, list) and len(left_out) <= MAX_NOTES, "a report of another form")
    for words in left_out or []:
        _hold(isinstance(words, str) and len(words) <= _MAX_NOTE_CHARACTERS, "a report of another form")
    return report
