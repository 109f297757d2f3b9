"""The table of a converted checkpoint, and objects from it.

The objects are a flat list of nodes that refer to each other by index, so that neither depth nor sharing costs
anything: what a checkpoint holds once is one node, however often it is referred to, and an object may contain itself.
Each node is a list whose first member is its kind:

    ["const", null | true | false]
    ["int", number | hexadecimal text]     text beyond 53 bits
    ["float", number | "nan" | "inf" | "-inf"]
    ["complex", node, node]                real and imaginary part
    ["str", text]
    ["text", base64]                       of text with halves of characters, in UTF-8
    ["bytes", base64]
    ["list", nodes]  ["set", nodes]        may refer to any node
    ["tuple", nodes]  ["frozenset", nodes]     refer to each other only backwards, as they are made
    ["dict", [key, value, ...]]  ["ordered", [key, value, ...], metadata | null]
    ["size", [integers]]  ["dtype", name]  ["device", type, index | null]      of torch
    ["tensor", {...}]                      see `TensorNode`
    ["array", {...}]                       numpy's: at, dtype, shape, fortran
    ["inert", {...}]                       name, and nodes for args, kwargs, state, mapping, sequence

"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Tuple

from .inert import Inert

VERSION = 1
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_CONTAINERS: Dict[str, Callable[[], Any]] = {"list": list, "set": set, "dict": dict, "ordered": OrderedDict}
_LEAVES = ("size", "dtype", "device", "tensor", "array")

Node = List[Any]
MakeLeaf = Callable[[str, Node], Any]


class TreeError(ValueError):
    """The table is not one that the converter writes."""


def objects_from(tree: Any, make_leaf: MakeLeaf) -> Any:
    """The object at the table's root.

    Args:
        tree: The table, as JSON gave it.
        make_leaf: Makes what takes torch or numpy, from kind and node: size, dtype, device, tensor, array.

    Raises:
        TreeError: It is not a table of this version, or damaged.
    """
    try:
        if tree["version"] != VERSION:
            raise TreeError(f"the converted checkpoint has version {tree['version']!r}, not {VERSION}")
        return _Builder(tree["nodes"], make_leaf).object_at(tree["root"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, TreeError):
            raise
        raise TreeError(f"the table of the converted checkpoint is damaged: {error!r}") from error


class _Builder:
    """Makes all objects: what has no members or can be made empty, then what is made of its members; then fills."""

    def __init__(self, nodes: List[Node], make_leaf: MakeLeaf) -> None:
        self._nodes = nodes
        self._objects: List[Any] = [None] * len(nodes)
        for index, node in enumerate(nodes):
            self._objects[index] = make_leaf(node[0], node) if node[0] in _LEAVES else self._empty(node)
        self._made = 0
        for index, node in enumerate(nodes):
            self._made = index
            if node[0] == "tuple":
                self._objects[index] = tuple(self._earlier(member) for member in node[1])
            elif node[0] == "frozenset":
                self._objects[index] = frozenset(self._earlier(member) for member in node[1])
            elif node[0] == "complex":
                self._objects[index] = complex(self._earlier(node[1]), self._earlier(node[2]))
        for index, node in enumerate(nodes):
            self._fill(self._objects[index], node)

    def object_at(self, index: int) -> Any:
        if type(index) is not int or index < 0:
            raise TreeError(f"no node is called {index!r}")
        return self._objects[index]

    def _earlier(self, index: int) -> Any:
        if index >= self._made and self._nodes[index][0] in ("tuple", "frozenset", "complex"):
            raise TreeError("a tuple comes before its members")
        return self.object_at(index)

    def _empty(self, node: Node) -> Any:
        kind = node[0]
        if kind in _CONTAINERS:
            return _CONTAINERS[kind]()
        if kind == "inert":
            return Inert(str(node[1]["name"]))
        return scalar(node) if kind in _SCALARS else None

    def _fill(self, made: Any, node: Node) -> None:
        kind = node[0]
        if kind == "list":
            made.extend(map(self.object_at, node[1]))
        elif kind == "set":
            made.update(map(self.object_at, node[1]))
        elif kind in ("dict", "ordered"):
            made.update(self._pairs(node[1]))
            if kind == "ordered" and node[2] is not None:
                # Where torch keeps the versions of a state dict's modules.
                made._metadata = self.object_at(node[2])  # noqa: SLF001
        elif kind == "inert":
            self._fill_inert(made, node[1])

    def _fill_inert(self, made: Inert, members: Dict[str, Any]) -> None:
        if members.get("args") is not None:
            made.args = tuple(map(self.object_at, members["args"]))
        if members.get("state") is not None:
            made.state = self.object_at(members["state"])
        made.kwargs = {str(key): value for key, value in self._pairs(members.get("kwargs") or [])}
        if members.get("mapping") is not None:
            made.mapping = dict(self._pairs(members["mapping"]))
        if members.get("sequence") is not None:
            made.sequence = list(map(self.object_at, members["sequence"]))

    def _pairs(self, indexes: List[int]) -> List[Tuple[Any, Any]]:
        objects = list(map(self.object_at, indexes))
        return list(zip(objects[::2], objects[1::2]))


def scalar(node: Node) -> Any:
    """The plain value of a node without members."""
    return _SCALARS[node[0]](node[1])


def _int(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _float(value: Any) -> float:
    return _FLOATS[value] if isinstance(value, str) else float(value)


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise TreeError("bytes are not in base64") from error


_SCALARS: Dict[str, Callable[[Any], Any]] = {
    "const": lambda value: value,
    "int": _int,
    "float": _float,
    "str": str,
    "text": lambda value: _bytes(value).decode("utf-8", "surrogatepass"),
    "bytes": _bytes,
}
