"""Failures that a request may end in, each with a stable kind, and how exceptions become one."""

from __future__ import annotations

import errno
import traceback
from typing import Optional

KINDS = (
    "input_missing",
    "input_unreadable",
    "input_empty",
    "input_channels",
    "input_nonfinite",
    "range_empty",
    "cancelled",
    "no_space",
    "output_failed",
    "out_of_memory",
    "unsupported_format",
    "unsupported_setting",
    "model_failed",
)

_TRACEBACK_CHARACTERS = 16_000


class RequestError(Exception):
    """A request that cannot be done: `kind` for programs, the message and `hint` for people."""

    def __init__(self, kind: str, message: str, hint: Optional[str] = None, traceback: Optional[str] = None) -> None:
        super().__init__(message)
        if kind not in KINDS:
            raise ValueError(f"no kind of failure is called {kind!r}")
        self.kind = kind
        self.message = message
        self.hint = hint
        self.traceback = traceback


def from_exception(error: BaseException) -> RequestError:
    """What the host is told about `error`, raised by an adapter or its engine."""
    if isinstance(error, RequestError):
        return error
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))[-_TRACEBACK_CHARACTERS:]
    name = type(error).__name__
    message = f"{name}: {error}" if str(error) else name
    # torch's error is not a MemoryError, and torch need not be here to ask.
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        hint = "Use a smaller segment or batch size, or a machine with more memory."
        return RequestError("out_of_memory", message, hint, trace)
    return RequestError("model_failed", message, None, trace)


def from_output_error(error: OSError, path: str) -> RequestError:
    """What the host is told when `path` could not be written."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        hint = "Free some space, or choose another output folder or a smaller format."
        return RequestError("no_space", f"no space left to write {path}: {reason}", hint)
    advice = None
    if error.errno == errno.EFBIG:
        advice = "A limit on file size was met (4 GiB on FAT32, or the sandbox's): choose a smaller format or range."
    return RequestError("output_failed", f"cannot write {path}: {reason}", advice)
