"""torch's file formats: the zip archive (since 1.6), the stream before it, and plain pickles.

Only stored (not compressed) members of an archive are taken, each within the file and overlapping no other, so that
what comes out is never more than what went in.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from typing import IO, Any, Dict, List, NamedTuple, Optional, Tuple

from . import rebuilding
from .pickle_machine import MAX_PICKLE_BYTES, Machine
from .values import ITEM_BYTES, CheckpointError, Data, Series, Storage, Table, is_count

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_MEMBERS = 1_000_000
_LOCAL_HEADER_BYTES = 30
_MAX_LEVELS = 4


class Contents(NamedTuple):
    """A checkpoint followed.

    Attributes:
        root: The value that it is.
        format: "zip", "legacy" or "pickle".
        machine: What was met on the way.
    """

    root: Any
    format: str
    machine: Machine


def read_checkpoint(stream: IO[bytes]) -> Contents:
    """Follow the checkpoint in a file.

    Raises:
        CheckpointError: It is none, damaged, or of a kind that isn't converted.
    """
    start = stream.read(512)
    stream.seek(0)
    if start.startswith(b"PK\3\4"):
        return _read_zip(stream)
    if start[257:262] == b"ustar":
        raise CheckpointError("it has the tar format of torch before 0.4: load it with a newer torch and save it again")
    if start[8:9] == b"{" and 8 + int.from_bytes(start[:8], "little") <= os.fstat(stream.fileno()).st_size:
        raise CheckpointError("it is a safetensors file: rename it to .safetensors; it needs no conversion")
    return _read_stream(stream)


class _Storages:
    """The storages of a file, by key; the same key is the same data."""

    def __init__(self) -> None:
        self.by_key: Dict[str, Data] = {}

    def persistent(self, value: Any) -> Any:
        """The value of one of torch's persistent ids."""
        items = value.items if isinstance(value, Series) and value.kind == "tuple" else []
        if len(items) >= 2 and items[0] == "module":  # a class with its source code, which nobody runs
            return items[1]
        if len(items) < 5 or items[0] != "storage" or not is_count(items[4]) or items[4] >= 1 << 60:
            raise CheckpointError("its pickle refers to something that is not in the file")
        dtype = rebuilding.storage_type(items[1])
        key, elements = str(items[2])[:200], items[4]
        item_bytes = 1 if dtype is None else ITEM_BYTES[dtype]
        data = self.by_key.setdefault(key, Data(elements * item_bytes, item_bytes))
        data.byte_count = max(data.byte_count, elements * item_bytes)
        return Storage(data, dtype, _view_start(items[5] if len(items) > 5 else None))


def _view_start(view: Any) -> int:
    """Where the view of a storage begins, in elements, as torch before 0.4 has it: key, offset, size."""
    if view is None:
        return 0
    items = getattr(view, "items", [])
    if len(items) != 3 or not is_count(items[1]):
        raise CheckpointError("a storage is damaged")
    return int(items[1])


# -- zip


def _read_zip(stream: IO[bytes]) -> Contents:
    members = _members(stream)
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError("it is a zip archive, but not one of torch's: it has no single data.pkl")
    folder = pickles[0][: -len("data.pkl")]
    start, length = members[pickles[0]]
    if length > MAX_PICKLE_BYTES:
        raise CheckpointError("its pickle is larger than that of a real checkpoint")
    storages = _Storages()
    machine = Machine(rebuilding.name_value, rebuilding.rebuild, rebuilding.set_state, storages.persistent)
    root = machine.run(io.BytesIO(_bytes_at(stream, start, length)))
    swapped = _text_of(stream, members.get(folder + "byteorder")) == b"big"
    for key, data in storages.by_key.items():
        if folder + "data/" + key not in members:
            raise CheckpointError(f"the data of a tensor is missing: {key!r}")
        data.position, length = members[folder + "data/" + key]
        if length < data.byte_count:
            raise CheckpointError(f"the data of a tensor is cut short: {key!r}")
        data.swapped = swapped
    return Contents(root, "zip", machine)


def _members(stream: IO[bytes]) -> Dict[str, Tuple[int, int]]:
    """Where in the file the bytes of each member are: position and length."""
    try:
        with zipfile.ZipFile(stream) as archive:
            listed = archive.infolist()
            end = archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, UnicodeError) as error:
        raise CheckpointError(f"it is a damaged zip archive: {str(error)[:200]}") from error
    if len(listed) > _MAX_MEMBERS:
        raise CheckpointError("it is an archive of more than a million members")
    if any(info.filename.endswith("/constants.pkl") or "/code/" in info.filename for info in listed):
        raise CheckpointError("it is a TorchScript program, whose code would have to run")
    members: Dict[str, Tuple[int, int]] = {}
    taken: List[Tuple[int, int]] = []
    for info in listed:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
            raise CheckpointError("its members are compressed or encrypted, which torch's never are")
        start = _data_start(stream, info.header_offset)
        if info.filename in members:
            raise CheckpointError(f"it has two members of one name: {info.filename[:100]!r}")
        members[info.filename] = (start, info.file_size)
        taken.append((info.header_offset, start + info.file_size))
    taken.sort()
    for (_, last), (first, _) in zip(taken, [*taken[1:], (end, end)]):
        if last > first:
            raise CheckpointError("its members overlap")
    return members


def _data_start(stream: IO[bytes], header: int) -> int:
    local = _bytes_at(stream, header, _LOCAL_HEADER_BYTES)
    if local[:4] != b"PK\3\4":
        raise CheckpointError("it is a damaged zip archive: a member is not where it is said to be")
    name_bytes, extra_bytes = struct.unpack("<HH", local[26:30])
    return int(header + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes)


def _bytes_at(stream: IO[bytes], position: int, length: int) -> bytes:
    stream.seek(max(position, 0))
    data = stream.read(length)
    if position < 0 or len(data) < length:
        raise CheckpointError("the file is cut short")
    return data


def _text_of(stream: IO[bytes], member: Optional[Tuple[int, int]]) -> bytes:
    return b"" if member is None else _bytes_at(stream, member[0], min(member[1], 16))


# -- before zip


def _read_stream(stream: IO[bytes], held: Optional[bytes] = None, level: int = 0, instructions: int = 0) -> Contents:
    """Follow torch's earlier format or a plain pickle.

    Args:
        stream: What to read.
        held: What the stream reads where that is not the file but bytes in another pickle.
        level: In how many other pickles it is.
        instructions: How many were followed already: those of all pickles within each other count together.
    """
    storages = _Storages()

    def rebuild(name: str, args: List[Any]) -> Any:
        # How tensors are pickled without torch.save: each brings a file of its own.
        if name == "torch.storage._load_from_bytes" and len(args) == 1 and type(args[0]) is bytes:
            if level == _MAX_LEVELS:
                raise CheckpointError(f"it holds pickles within pickles, more than {_MAX_LEVELS} levels of them")
            within = _read_stream(io.BytesIO(args[0]), args[0], level + 1, machine.instructions)
            machine.take(within.machine)
            return within.root
        return rebuilding.rebuild(name, args)

    machine = Machine(rebuilding.name_value, rebuild, rebuilding.set_state, storages.persistent)
    machine.instructions = instructions
    first = machine.run(stream)
    if type(first) is not int or first != _LEGACY_MAGIC:
        if storages.by_key:
            raise CheckpointError("its pickle refers to tensors that are not in the file")
        return Contents(first, "pickle", machine)
    machine.run(stream)  # the version of the format, which never changed
    system = machine.run(stream)
    root = machine.run(stream)
    keys = machine.run(stream)
    size = len(held) if held is not None else os.fstat(stream.fileno()).st_size
    _place(stream, storages, [str(key)[:200] for key in getattr(keys, "items", [])], size)
    for data in storages.by_key.values():
        data.swapped = isinstance(system, Table) and system.get("little_endian") is False
        data.held = held
    return Contents(root, "legacy", machine)


def _place(stream: IO[bytes], storages: _Storages, keys: List[str], size: int) -> None:
    """Find the data of each storage: they follow each other, each after its count of elements."""
    for key in keys:
        data = storages.by_key.get(key)
        count = int.from_bytes(stream.read(8), "little")
        if data is None or count * data.item_bytes != data.byte_count:
            raise CheckpointError("its list of tensors does not fit its pickle")
        data.position = stream.tell()
        if data.position + data.byte_count > size:
            raise CheckpointError("the file is cut short")
        stream.seek(data.byte_count, os.SEEK_CUR)
    missing = [key for key, data in storages.by_key.items() if data.position is None]
    if missing:
        raise CheckpointError(f"the data of a tensor is missing: {missing[0]!r}")
