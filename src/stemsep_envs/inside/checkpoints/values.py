"""What the machine makes of a pickle: plain Python scalars, and these."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

SCALARS = (type(None), bool, int, float, complex, str, bytes)

ITEM_BYTES = {
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
"""torch's types and the bytes of one element."""


class CheckpointError(ValueError):
    """A checkpoint that is not converted. The message says why, to a person who has one."""


class Series:
    """A list, tuple, set or frozenset."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: str, items: List[Any]) -> None:
        self.kind = kind
        self.items = items


class Table:
    """A dict or an ordered one, as pairs in the order they were set; a later one replaces an earlier one."""

    __slots__ = ("kind", "metadata", "pairs")

    def __init__(self, kind: str, pairs: List[Tuple[Any, Any]]) -> None:
        self.kind = kind
        self.pairs = pairs
        self.metadata: Any = None

    def get(self, key: str) -> Any:
        """The value of a textual key, or None."""
        return next((value for found, value in reversed(self.pairs) if type(found) is str and found == key), None)


class Named:
    """A class or function that was named, not called."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Call:
    """A call of something that is not known, kept as a record. See `inert.Inert` for what the members are."""

    __slots__ = ("args", "items", "kwargs", "name", "pairs", "state")

    def __init__(self, name: str, args: List[Any], kwargs: Optional[List[Tuple[Any, Any]]] = None) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs or []
        self.state: Any = None
        self.pairs: List[Tuple[Any, Any]] = []
        self.items: List[Any] = []


class Torch(NamedTuple):
    """A small value of torch's: kind "size", "dtype" or "device", and what its node holds."""

    kind: str
    members: Tuple[Any, ...]


class Data:
    """The bytes of a storage: a range of the file, or, rarely, of bytes that were in the pickle.

    Attributes:
        byte_count: How many there are to be.
        item_bytes: Of one element.
        position: Where they begin; None while that is not known.
        held: What they are a range of, where that is not the file.
        swapped: Whether the elements have their bytes in the other order than here.
    """

    __slots__ = ("byte_count", "held", "item_bytes", "position", "swapped")

    def __init__(self, byte_count: int, item_bytes: int, position: Optional[int] = None) -> None:
        self.byte_count = byte_count
        self.item_bytes = item_bytes
        self.position = position
        self.held: Optional[bytes] = None
        self.swapped = False


class Storage(NamedTuple):
    """A typed view of data. `dtype` is None for untyped storages; `start` counts elements."""

    data: Data
    dtype: Optional[str]
    start: int


class Tensor:
    """A tensor: how it lies in its data. Offset and strides count elements."""

    __slots__ = ("conj", "data", "dtype", "grad", "neg", "offset", "parameter", "shape", "stride")

    def __init__(self, data: Data, dtype: str, offset: int, shape: List[int], stride: List[int]) -> None:
        self.data = data
        self.dtype = dtype
        self.offset = offset
        self.shape = shape
        self.stride = stride
        self.grad = False
        self.parameter = False
        self.conj = False
        self.neg = False


class NumpyType:
    """A dtype of numpy's: its letter and size, and the byte order once that is known."""

    __slots__ = ("code", "order", "plain")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "|"
        self.plain = True  # no fields, no sub-array

    @property
    def text(self) -> str:
        """As numpy takes it."""
        return self.order + self.code


class Array:
    """An array of numpy's; until its state comes, nothing is known of it."""

    __slots__ = ("data", "dtype", "fortran", "members", "shape")

    def __init__(self) -> None:
        self.dtype: Optional[NumpyType] = None
        self.shape: List[int] = []
        self.fortran = False
        self.data: Optional[bytes] = None
        self.members: Any = None  # instead of data, of arrays of objects


def is_count(value: Any) -> bool:
    """Whether a value is an integer that is not negative and not a bool."""
    return type(value) is int and value >= 0


def product(sizes: List[int]) -> int:
    """How many elements a shape has."""
    count = 1
    for size in sizes:
        count *= size
    return count
