"""The names and calls in pickles that are data: torch's tensors, numpy's arrays, containers of the standard library.

Everything that is not in this module's tables is kept as a record by the machine. What would silently lose weights
(quantised, sparse and nested tensors) is refused.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Callable, Dict, List, Optional

from .values import (
    ITEM_BYTES,
    Array,
    Call,
    CheckpointError,
    Data,
    Named,
    NumpyType,
    Series,
    Storage,
    Table,
    Tensor,
    Torch,
    is_count,
)

_MAX_DIMENSIONS = 64
_MAX_ELEMENTS = 1 << 50
_MAX_DEVICES = 128
"""torch counts devices with eight bits."""

_STORAGE_TYPES: Dict[str, Optional[str]] = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "UntypedStorage": None,
    "_UntypedStorage": None,
}
_TORCH_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w*Storage)")
_QUANTISED_STORAGE = re.compile(r"Q\w+Storage")
_WITH_DATA = ("numpy.ndarray", "builtins.object")
"""What calls that are data name beside their data."""

_SCALAR_CODES = {"b1": "?", "f2": "e", "f4": "f", "f8": "d", "c8": "ff", "c16": "dd"}
for _kind, _codes in (("i", "bhiq"), ("u", "BHIQ")):
    _SCALAR_CODES.update({f"{_kind}{1 << power}": code for power, code in enumerate(_codes)})


def name_value(name: str) -> Any:
    """What a name stands for, where that is a value of torch's; otherwise None."""
    module, _, last = name.rpartition(".")
    if module == "torch" and last in ITEM_BYTES:
        return Torch("dtype", (last,))
    known = name in _REBUILDERS or name in _WITH_DATA or _TORCH_STORAGE.fullmatch(name)
    return Named(name) if known else None


def storage_type(value: Any) -> Optional[str]:
    """The element type that a storage's class says, or None for one without."""
    name = value.name if isinstance(value, Named) else ""
    found = _TORCH_STORAGE.fullmatch(name)
    if found is None or found.group(1) not in _STORAGE_TYPES:
        if found is not None and _QUANTISED_STORAGE.fullmatch(found.group(1)):
            raise CheckpointError("it holds quantised tensors, which safetensors has no form for")
        raise CheckpointError(f"it holds a storage of an unknown type: {name[:100]!r}")
    return _STORAGE_TYPES[found.group(1)]


def rebuild(name: str, args: List[Any]) -> Any:
    """The value of a call, or `NotImplemented` where it is not known."""
    if name in _REBUILDERS:
        return _REBUILDERS[name](args)
    if name.startswith(("torch._utils._rebuild_", "torch._tensor._rebuild_")):
        kind = name.rpartition("_rebuild_")[2]
        raise CheckpointError(f"it holds a tensor that safetensors has no form for: {kind[:100]}")
    return NotImplemented


def set_state(value: Any, state: Any) -> str:
    """Give a value the state that its pickle has for it; returns what of it is left out, in words."""
    if isinstance(value, Call):
        value.state = state
    elif isinstance(value, Array):
        _fill_array(value, state)
    elif isinstance(value, NumpyType):
        _fill_dtype(value, state)
    elif isinstance(value, Table) and value.kind == "ordered":
        value.metadata = state.get("_metadata") if isinstance(state, Table) else None
        if not isinstance(state, Table) or [key for key, _ in state.pairs if key != "_metadata"]:
            return "attributes of an ordered dict"
    elif isinstance(value, Named):
        return f"attributes that were to be set on {value.name}"
    else:
        return f"attributes of a {type(value).__name__.lower()}"
    return ""


# -- torch


def _tensor(args: List[Any]) -> Tensor:
    """_rebuild_tensor(storage, offset, size, stride)."""
    storage, offset, size, stride = args[:4]
    if not isinstance(storage, Storage):
        raise CheckpointError("a tensor has no storage")
    if storage.dtype is None:
        raise CheckpointError("a tensor has no type")
    return _laid_out(storage.data, storage.dtype, offset, storage.start, size, stride)


def _tensor_v2(args: List[Any]) -> Tensor:
    """_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, metadata=None)."""
    return _with_metadata(_tensor(args), args[4], args[6] if len(args) > 6 else None)


def _tensor_v3(args: List[Any]) -> Tensor:
    """_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None)."""
    storage, offset, size, stride, grad, _, dtype = args[:7]
    if not isinstance(storage, Storage) or not isinstance(dtype, Torch) or dtype.kind != "dtype":
        raise CheckpointError("a tensor has no storage or no type that safetensors has a form for")
    tensor = _laid_out(storage.data, dtype.members[0], offset, storage.start, size, stride)
    return _with_metadata(tensor, grad, args[7] if len(args) > 7 else None)


def _with_metadata(tensor: Tensor, grad: Any, metadata: Any) -> Tensor:
    tensor.grad = grad is True
    if isinstance(metadata, Table):
        tensor.conj = metadata.get("conj") is True
        tensor.neg = metadata.get("neg") is True
    return tensor


def _laid_out(data: Data, dtype: str, offset: Any, start: int, size: Any, stride: Any) -> Tensor:
    shape, steps = _sizes(size), _sizes(stride)
    if not _is_size(offset) or len(shape) != len(steps):
        raise CheckpointError("a tensor has an impossible shape")
    elements = 1
    for count in shape:
        elements *= count
        if elements > _MAX_ELEMENTS:
            raise CheckpointError("a tensor has more elements than any machine can hold")
    return Tensor(data, dtype, start + offset, shape, steps)


def _sizes(value: Any) -> List[int]:
    items = list(value.members) if isinstance(value, Torch) and value.kind == "size" else getattr(value, "items", None)
    if not isinstance(items, list) or len(items) > _MAX_DIMENSIONS or not all(map(_is_size, items)):
        raise CheckpointError("a tensor has an impossible shape: sizes and strides are counts")
    return items


def _is_size(value: Any) -> bool:
    return is_count(value) and value < 1 << 60


def _parameter(args: List[Any]) -> Any:
    """_rebuild_parameter(data, requires_grad, backward_hooks), and with a state behind."""
    if not isinstance(args[0], Tensor):
        return Call("torch.nn.parameter.Parameter", args)
    given = args[0]
    made = Tensor(given.data, given.dtype, given.offset, given.shape, given.stride)
    made.conj, made.neg = given.conj, given.neg
    made.parameter, made.grad = True, args[1] is True
    return made


def _from_type(args: List[Any]) -> Any:
    """_rebuild_from_type_v2(function, type, arguments, state): a tensor of a class of its own, or with attributes."""
    function, _, arguments = args[:3]
    if not isinstance(function, Named) or not isinstance(arguments, Series):
        return NotImplemented
    return rebuild(function.name, arguments.items)


def _size(args: List[Any]) -> Any:
    return Torch("size", tuple(_sizes(args[0]))) if args else Torch("size", ())


def _device(args: List[Any]) -> Any:
    index = args[1] if len(args) > 1 else None
    if type(args[0]) is not str or not re.fullmatch(r"[a-z]{1,20}", args[0]):
        return NotImplemented
    if index is not None and not (is_count(index) and index < _MAX_DEVICES):
        return NotImplemented
    return Torch("device", (args[0], index))


# -- numpy


def _fill_dtype(dtype: NumpyType, state: Any) -> None:
    items = getattr(state, "items", [])
    if len(items) < 5 or items[1] not in ("<", ">", "|", "="):
        raise CheckpointError("a dtype of numpy's is damaged")
    dtype.order = items[1]
    dtype.plain = items[2] is None and items[3] is None and items[4] is None


def _dtype(args: List[Any]) -> Any:
    code = args[0]
    return NumpyType(code) if type(code) is str and re.fullmatch(r"[a-zA-Z]\d{0,4}", code) else NotImplemented


def _array(args: List[Any]) -> Any:
    """_reconstruct(class, shape, letter): what it holds comes as its state."""
    cls = args[0]
    return Array() if isinstance(cls, Named) and cls.name == "numpy.ndarray" else NotImplemented


def _fill_array(array: Array, state: Any) -> None:
    items = list(getattr(state, "items", []))
    shape, dtype, fortran, data = items[-4:] if len(items) >= 4 else (None,) * 4
    if not isinstance(dtype, NumpyType):
        raise CheckpointError("an array of numpy's is damaged")
    array.dtype = dtype
    array.shape = _sizes(shape)
    array.fortran = bool(fortran)
    array.data, array.members = (None, data) if isinstance(data, Series) else (_as_bytes(data), None)


def _array_from_buffer(args: List[Any]) -> Any:
    """_frombuffer(buffer, dtype, shape, order)."""
    buffer, dtype, shape, order = args[:4]
    array = Array()
    _fill_array(array, Series("tuple", [shape, dtype, order == "F", buffer]))
    return array


def _numpy_scalar(args: List[Any]) -> Any:
    dtype, data = args[0], args[1] if len(args) > 1 else None
    if not isinstance(dtype, NumpyType) or not dtype.plain:
        return NotImplemented
    if dtype.code.startswith("O"):
        return data
    raw = _as_bytes(data)
    order = ">" if dtype.order == ">" else "<"
    if dtype.code[0] == "U":
        return raw.decode("utf-32-be" if order == ">" else "utf-32-le", "replace").rstrip("\0")
    if dtype.code[0] == "S":
        return raw.rstrip(b"\0")
    code = _SCALAR_CODES.get(dtype.code)
    if code is None or len(raw) != struct.calcsize(order + code):
        return NotImplemented
    numbers = struct.unpack(order + code, raw)
    return complex(*numbers) if len(numbers) == 2 else numbers[0]


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")  # Python 2's text, which the machine decoded
    if not isinstance(value, bytes):
        raise CheckpointError("an array of numpy's has no data")
    return value


# -- the standard library


def _items_of(args: List[Any]) -> Optional[List[Any]]:
    if not args:
        return []
    return list(args[0].items) if isinstance(args[0], Series) else None


def _series(kind: str) -> Callable[[List[Any]], Any]:
    def made(args: List[Any]) -> Any:
        items = _items_of(args)
        return NotImplemented if items is None else Series(kind, items)

    return made


def _table(kind: str) -> Callable[[List[Any]], Any]:
    def made(args: List[Any]) -> Any:
        if not args:
            return Table(kind, [])
        if isinstance(args[0], Table):
            return Table(kind, list(args[0].pairs))
        rows = [getattr(row, "items", None) for row in _items_of(args) or [None]]
        pairs = [(row[0], row[1]) for row in rows if isinstance(row, list) and len(row) == 2]
        return Table(kind, pairs) if len(pairs) == len(rows) or not _items_of(args) else NotImplemented

    return made


def _default_table(args: List[Any]) -> Any:
    return Table("dict", list(args[1].pairs) if len(args) > 1 and isinstance(args[1], Table) else [])


def _encoded(args: List[Any]) -> Any:
    """_codecs.encode(text, "latin1"): how protocol 2 writes bytes."""
    if len(args) == 2 and type(args[0]) is str and args[1] in ("latin1", "latin-1"):
        return args[0].encode("latin-1")
    return NotImplemented


def _byte_string(args: List[Any]) -> Any:
    if not args:
        return b""
    if len(args) == 2 and type(args[0]) is str:
        return _encoded([args[0], "latin1"])
    return args[0] if len(args) == 1 and type(args[0]) is bytes else NotImplemented


def _complex(args: List[Any]) -> Any:
    return complex(*args) if len(args) == 2 and all(type(arg) is float for arg in args) else NotImplemented


def _reconstructed(args: List[Any]) -> Any:
    """copyreg._reconstructor(class, base, what the base is made of): an object of a class, before its state."""
    cls, base, content = args[:3]
    if not isinstance(cls, Named):
        return NotImplemented
    return Call(cls.name, [] if isinstance(base, Named) and base.name == "builtins.object" else [content])


def _new_object(args: List[Any]) -> Any:
    """copyreg.__newobj__(class, *arguments)."""
    return Call(args[0].name, args[1:]) if isinstance(args[0], Named) else NotImplemented


_REBUILDERS: Dict[str, Callable[[List[Any]], Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Size": _size,
    "torch.device": _device,
    "numpy.dtype": _dtype,
    "collections.OrderedDict": _table("ordered"),
    "collections.defaultdict": _default_table,
    "collections.Counter": _table("dict"),
    "collections.deque": _series("list"),
    "builtins.dict": _table("dict"),
    "builtins.list": _series("list"),
    "builtins.tuple": _series("tuple"),
    "builtins.set": _series("set"),
    "builtins.frozenset": _series("frozenset"),
    "builtins.bytes": _byte_string,
    "builtins.bytearray": _byte_string,
    "builtins.complex": _complex,
    "_codecs.encode": _encoded,
    "copyreg._reconstructor": _reconstructed,
    "copyreg.__newobj__": _new_object,
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _numpy_scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _array_from_buffer for core in ("core", "_core")},
}
