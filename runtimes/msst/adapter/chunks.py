"""The engine's chunks, windows and overlap-add, on a stream.

The engine's `demix` pads the whole track, adds every windowed chunk into a result as long as the track and a counter of
that length for each stem, and divides at the end. Here the same sums are taken in the same order, with the same values,
in a buffer of one batch: what the next chunk cannot reach any more is divided and handed on. So the samples are the
same to the last bit, and memory does not grow with the track.

Terms, all in frames of the model's rate:

    padded track   the track with `border` mirrored frames at either end, unless it is too short for that
    chunk          of the padded track; one starts every `step`; the last ones are mirrored or filled up with zeros
    batch          chunks that the model sees together. All of a batch share one window: without its fade-in where the
                   batch ends with the first chunk, without its fade-out where it ends with the last

Chunks that lie wholly in the border at the end are not computed: nothing of them is kept. Only whole batches are left
out, because a model may round differently in a smaller one.

Arrays are float32: audio (channels, frames), what the model makes (stems, channels, frames).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

Read = Callable[[int], "Audio"]
"""Takes a number of frames; gives (channels, that many), fewer only at the end of the track, then none."""

Predict = Callable[["Audio"], "Audio"]
"""The model: (batch, channels, chunk) to (batch, [stems,] channels, chunk)."""


class Grid(NamedTuple):
    """How a track is cut. `demucs` is the engine's other mode: no borders, no fades, never mirrored."""

    chunk: int
    step: int
    batch: int
    demucs: bool

    @property
    def border(self) -> int:
        """Frames put before and after a track that is long enough."""
        return 0 if self.demucs else self.chunk - self.step

    @property
    def fade(self) -> int:
        """Frames of a fade."""
        return 0 if self.demucs else self.chunk // 10


class PaddedTrack:
    """The padded track, frame by frame as far as it is needed."""

    def __init__(self, read: Read, grid: Grid) -> None:
        self.length: Optional[int] = None
        self.border = 0
        self._read = read
        self._grid = grid
        self._start = 0
        first = read(2 * grid.border + 1)
        self._buffer: Audio = first
        if first.shape[1] <= 2 * grid.border:
            self.length = first.shape[1]
        elif grid.border > 0:
            self.border = grid.border
            mirrored = first[:, grid.border : 0 : -1]
            self._buffer = np.concatenate([mirrored, first], axis=1)

    @property
    def end(self) -> Optional[int]:
        """Where the track's own frames end; None while unknown."""
        return None if self.length is None else self.length - self.border

    def reach(self, position: int) -> None:
        """Read until the frame before `position` is here, or the end is known."""
        missing = position - self._start - self._buffer.shape[1]
        if missing <= 0 or self.length is not None:
            return
        block = self._read(missing)
        parts = [self._buffer, block]
        if block.shape[1] < missing:
            self.length = self._start + self._buffer.shape[1] + block.shape[1] + self.border
            if self.border:
                last = np.concatenate([self._buffer[:, -self.border - 1 :], block], axis=1)[:, -self.border - 1 :]
                parts.append(last[:, -2::-1])
        self._buffer = np.concatenate(parts, axis=1)

    def chunk(self, start: int, frames: int) -> Audio:
        """Frames from `start`, at most `frames`, fewer at the end."""
        offset = start - self._start
        part: Audio = self._buffer[:, offset : offset + frames]
        return part

    def forget(self, position: int) -> None:
        """Give up what lies before `position`, but for what the mirrored end is made of."""
        keep_from = min(position, self._start + self._buffer.shape[1] - self.border - 1)
        if keep_from > self._start:
            self._buffer = self._buffer[:, keep_from - self._start :]
            self._start = keep_from


def fill_up(part: Audio, grid: Grid) -> Audio:
    """A part of the track as a whole chunk: mirrored if it is longer than half of one, else followed by silence."""
    missing = grid.chunk - part.shape[1]
    if not missing:
        return part
    if not grid.demucs and part.shape[1] > grid.chunk // 2:
        rest = part[:, -2 : -2 - missing : -1]
    else:
        rest = np.zeros((part.shape[0], missing), np.float32)
    filled: Audio = np.concatenate([part, rest], axis=1)
    return filled


def window_for(window: Audio, grid: Grid, first: bool, last: bool) -> Audio:
    """The window of a batch that ends with the track's first chunk, with its last, or with neither."""
    if grid.demucs:
        return window
    chosen: Audio = window.copy()
    if first:
        chosen[: grid.fade] = 1
    elif last:
        chosen[-grid.fade :] = 1
    return chosen


class OverlapAdd:
    """Windowed chunks, added up; frames are final when no later chunk can reach them."""

    def __init__(self, stems: int, channels: int, grid: Grid) -> None:
        frames = (grid.batch - 1) * grid.step + grid.chunk
        self._start = 0
        self._sums = np.zeros((stems, channels, frames), np.float32)
        self._weights = np.zeros(frames, np.float32)

    def add(self, start: int, made: Audio, window: Audio) -> None:
        """Add what the model made of the chunk at `start`, cut to the track."""
        place = slice(start - self._start, start - self._start + made.shape[-1])
        shared = window[: made.shape[-1]]
        self._sums[..., place] += made * shared
        self._weights[place] += shared

    def take(self, position: int) -> Audio:
        """The frames before `position`, finished."""
        frames = position - self._start
        with np.errstate(all="ignore"):
            finished: Audio = self._sums[..., :frames] / self._weights[:frames]
        np.nan_to_num(finished, copy=False, nan=0.0)
        for held in (self._sums, self._weights):
            rest = held[..., frames:].copy()
            held[..., : rest.shape[-1]] = rest
            held[..., rest.shape[-1] :] = 0
        self._start = position
        return finished


def separate(
    read: Read, grid: Grid, window: Audio, predict: Predict, stems: int, augmented: bool = False
) -> Iterator[Audio]:
    """Blocks of the stems (stems, channels, frames) that together are as long as the track.

    `augmented`: average over the track, the track with its channels in reverse and the track inverted, as the engine's
    test-time augmentation does.
    """
    track = PaddedTrack(read, grid)
    views = _VIEWS if augmented else _VIEWS[:1]
    sums: List[OverlapAdd] = []
    position = 0
    given = track.border
    while track.length is None or position < track.length:
        starts: List[int] = []
        parts: List[Audio] = []
        while len(starts) < grid.batch and (track.length is None or position < track.length):
            # One frame further tells whether the chunk after this one is there.
            track.reach(position + grid.chunk + 1)
            starts.append(position)
            parts.append(track.chunk(position, grid.chunk))
            position += grid.step
        if track.end is not None and starts[0] >= track.end:
            break
        at_end = track.length is not None and position >= track.length
        shared = window_for(window, grid, position == grid.step, at_end)
        sums = sums or [OverlapAdd(stems, parts[0].shape[0], grid) for _ in views]
        for view, added in zip(views, sums, strict=True):
            made = predict(np.stack([fill_up(view(part), grid) for part in parts]))
            for start, part, estimate in zip(starts, parts, made, strict=True):
                added.add(start, estimate[..., : part.shape[1]], shared)
        taken_to = position if track.length is None else min(position, track.length)
        finished = averaged([added.take(taken_to) for added in sums])
        wanted_to = taken_to if track.end is None else min(taken_to, track.end)
        if wanted_to > given:
            first = finished.shape[-1] - (taken_to - given)
            yield finished[..., first : first + wanted_to - given]
            given = wanted_to
        track.forget(position)


_VIEWS: Tuple[Callable[[Audio], Audio], ...] = (lambda mix: mix, lambda mix: mix[::-1], lambda mix: -mix)
"""The track, with its channels in reverse, inverted."""


def averaged(views: List[Audio]) -> Audio:
    """The stems of the track from those of its views (stems, channels, frames), in the engine's order of operations."""
    if len(views) == 1:
        return views[0]
    total: Audio = views[0].copy()
    total += views[1][..., ::-1, :]
    total -= views[2]
    total /= len(views)
    return total
