"""The safetensors file: a header, then the bytes, copied from the checkpoint without passing through this process."""

from __future__ import annotations

import array
import json
import os
from typing import Any, Dict, List

from .tree_building import Entry
from .values import CheckpointError, Data

MAX_HEADER_BYTES = 16 << 20
_HEADER_ALIGNMENT = 64
_BLOCK_BYTES = 4 << 20
_CODES = {2: "H", 4: "I", 8: "Q"}


def write(output: int, source: int, entries: List[Entry], metadata: Dict[str, str]) -> None:
    """Write a safetensors file.

    Args:
        output: Descriptor of an empty file.
        source: Descriptor of the checkpoint.
        entries: In the order of the file.
        metadata: For the header.
    """
    _write_all(output, _header(entries, metadata))
    for entry in entries:
        held = entry.source.held if isinstance(entry.source, Data) else entry.source
        start = entry.start + ((entry.source.position or 0) if isinstance(entry.source, Data) else 0)
        if held is not None:
            _write_all(output, _swapped(held[start : start + entry.byte_count], entry.swap))
        elif entry.swap > 1:
            _copy_swapped(source, output, start, entry.byte_count, entry.swap)
        else:
            _copy(source, output, start, entry.byte_count)
        _write_all(output, bytes(entry.padding))


def _header(entries: List[Entry], metadata: Dict[str, str]) -> bytes:
    members: Dict[str, Any] = {"__metadata__": metadata}
    position = 0
    for entry in entries:
        end = position + entry.byte_count + entry.padding
        members[entry.name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(members, separators=(",", ":")).encode("ascii")
    text += b" " * (-(8 + len(text)) % _HEADER_ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise CheckpointError("it holds more beside its tensors than the converted form can")
    return len(text).to_bytes(8, "little") + text


def _copy(source: int, output: int, start: int, byte_count: int) -> None:
    done = 0
    in_kernel = hasattr(os, "copy_file_range")
    while done < byte_count:
        if in_kernel:
            try:
                copied = os.copy_file_range(source, output, byte_count - done, start + done)
            except OSError:
                in_kernel = False  # not between these file systems, or not in this kernel
                continue
        else:
            copied = _write_all(output, _read(source, min(_BLOCK_BYTES, byte_count - done), start + done))
        if not copied:
            raise CheckpointError("the file is cut short")
        done += copied


def _copy_swapped(source: int, output: int, start: int, byte_count: int, number_bytes: int) -> None:
    for done in range(0, byte_count, _BLOCK_BYTES):
        block = _read(source, min(_BLOCK_BYTES, byte_count - done), start + done)
        _write_all(output, _swapped(block, number_bytes))


def _swapped(data: bytes, number_bytes: int) -> bytes:
    if number_bytes == 1:
        return data
    numbers = array.array(_CODES[number_bytes], data)
    numbers.byteswap()
    return numbers.tobytes()


def _read(source: int, byte_count: int, position: int) -> bytes:
    data = b""
    os.lseek(source, position, os.SEEK_SET)
    while len(data) < byte_count:
        more = os.read(source, byte_count - len(data))
        if not more:
            raise CheckpointError("the file is cut short")
        data += more
    return data


def _write_all(output: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]
    return len(data)
