"""What the worker gives an adapter, as far as it is used here; `stemsep_envs.inside` tells the whole."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NoReturn, Optional, Protocol


class Context(Protocol):
    """What may be told to the host during a request."""

    def progress(self, done_frames: int, total_frames: Optional[int]) -> None:
        """Say how far it is."""

    def check_cancelled(self) -> None:
        """Raise if the host has cancelled."""

    def log(self, level: str, message: str) -> None:
        """Write a line into the host's log."""

    def read_checkpoint(self, artifact: Mapping[str, str]) -> Any:
        """Read what a checkpoint holds."""

    def fail(self, kind: str, message: str, hint: Optional[str] = None) -> NoReturn:
        """End the request with a failure in words."""


class Source(Protocol):
    """The track."""

    sample_rate: int
    channels: int
    frames: Optional[int]

    def read_all(self) -> Any:
        """All frames that are left, float32 (frames, channels)."""


class Sink(Protocol):
    """Where a stem goes."""

    def write(self, block: Any) -> None:
        """Take the next frames, float32 (frames, channels)."""


Sinks = Dict[str, Sink]
