"""The adapter of a runtime: loaded by path, given a context. The package's docstring defines its interface."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from types import ModuleType
from typing import Any, Callable, Dict, Mapping, NoReturn, Optional

from .failures import KINDS, RequestError

_LEVELS = ("debug", "info", "warning", "error")
_MESSAGE_CHARACTERS = 4000
_PROGRESS_INTERVAL_SECONDS = 0.1

Notify = Callable[[str, Dict[str, Any]], None]


def load_adapter(path: str) -> ModuleType:
    """The module, or the package, at `path`. Whatever its import raises comes through."""
    is_package = os.path.isdir(path)
    file = os.path.join(path, "__init__.py") if is_package else path
    places = [path] if is_package else None
    spec = importlib.util.spec_from_file_location("adapter", file, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise RequestError("model_failed", f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["adapter"] = module
    spec.loader.exec_module(module)
    for name in ("describe", "load"):
        if not callable(getattr(module, name, None)):
            raise RequestError("model_failed", f"the adapter {path} has no function {name!r}")
    return module


class Context:
    """What an adapter may tell the host, and be told, during one request."""

    def __init__(self, request_id: Any, stage: str, notify: Notify, is_cancelled: Callable[[], bool]) -> None:
        self._request_id = request_id
        self._stage = stage
        self._notify = notify
        self._is_cancelled = is_cancelled
        self._reported_at: Optional[float] = None
        self._reported: Any = None

    def at_stage(self, stage: str) -> Context:
        """The same request at its next stage."""
        return Context(self._request_id, stage, self._notify, self._is_cancelled)

    def progress(self, done_frames: int, total_frames: Optional[int]) -> None:
        """Report how far this stage is; at most ten times a second reach the host."""
        now = time.monotonic()
        if self._reported_at is None or now - self._reported_at >= _PROGRESS_INTERVAL_SECONDS:
            self._reported_at = now
            self._report(done_frames, total_frames)

    def finish(self, frames: int) -> None:
        """Report the end of this stage, which always reaches the host."""
        if self._reported != (frames, frames):
            self._report(frames, frames)

    def _report(self, done_frames: int, total_frames: Optional[int]) -> None:
        self._reported = (int(done_frames), None if total_frames is None else int(total_frames))
        done, total = self._reported
        members = {"id": self._request_id, "stage": self._stage, "done_frames": done, "total_frames": total}
        self._notify("progress", members)

    def check_cancelled(self) -> None:
        """Raise if the host has cancelled the request."""
        if self._is_cancelled():
            raise RequestError("cancelled", "the request was cancelled")

    def log(self, level: str, message: str) -> None:
        """Pass a line on to the host's log."""
        known = level if level in _LEVELS else "info"
        self._notify("log", {"level": known, "message": str(message)[:_MESSAGE_CHARACTERS]})

    def read_checkpoint(self, artifact: Mapping[str, str]) -> Any:
        """What the file of an artifact holds (`checkpoints.reading`); a pickle that was not converted is refused.

        Args:
            artifact: One value of the request's `artifacts`.
        """
        from .checkpoints import reading

        try:
            return reading.read(artifact["path"], tree=artifact["format"] == "tree")
        except ImportError as error:
            raise RequestError(
                "model_failed", f"reading a checkpoint needs torch, which is not installed here: {error}"
            ) from error
        except (reading.UnreadableError, OSError) as error:
            raise RequestError("model_failed", "{}: {}".format(artifact["filename"], error)) from error

    def fail(self, kind: str, message: str, hint: Optional[str] = None) -> NoReturn:
        """End the request with a failure that its user can understand."""
        raise RequestError(kind if kind in KINDS else "model_failed", message, hint)
