"""Overlap-add on a stream gives, to the last bit, what it gives on the whole track."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.runtimes.msst.conftest import adapter_module

Audio = npt.NDArray[np.float32]
CHUNKS: Any = adapter_module("chunks")


def fade_window(grid: Any) -> Audio:
    window = np.ones(grid.chunk, np.float32)
    if not grid.demucs:
        window[: grid.fade] = np.linspace(0, 1, grid.fade)
        window[-grid.fade :] = np.linspace(1, 0, grid.fade)
    return window


def whole(mix: Audio, grid: Any, window: Audio, predict: Callable[[Audio], Audio], stems: int) -> Audio:
    """The same on the whole track, as plainly as it can be written."""
    frames = mix.shape[1]
    padded = frames > 2 * grid.border and grid.border > 0
    track = np.pad(mix, ((0, 0), (grid.border, grid.border)), mode="reflect") if padded else mix
    length = track.shape[1]
    sums = np.zeros((stems, *track.shape), np.float32)
    weights = np.zeros(length, np.float32)
    starts = list(range(0, length, grid.step))
    for index in range(0, len(starts), grid.batch):
        batch = starts[index : index + grid.batch]
        arrays = []
        for start in batch:
            part = track[:, start : start + grid.chunk]
            mirrored = not grid.demucs and part.shape[1] > grid.chunk // 2
            missing = ((0, 0), (0, grid.chunk - part.shape[1]))
            arrays.append(np.pad(part, missing, mode="reflect") if mirrored else np.pad(part, missing))
        made = predict(np.stack(arrays))
        shared = window.copy()
        if not grid.demucs and batch[-1] == 0:
            shared[: grid.fade] = 1
        elif not grid.demucs and batch[-1] == starts[-1]:
            shared[-grid.fade :] = 1
        for start, estimate in zip(batch, made, strict=True):
            stop = min(start + grid.chunk, length)
            sums[..., start:stop] += estimate[..., : stop - start] * shared[: stop - start]
            weights[start:stop] += shared[: stop - start]
    with np.errstate(all="ignore"):
        result: Audio = np.nan_to_num(sums / weights, nan=0.0)
    return result[..., grid.border : -grid.border] if padded else result


def model(batch: Audio) -> Audio:
    """Two stems that depend on where in the chunk a sample is, and on the samples before it."""
    ramp = np.linspace(0.5, 1.5, batch.shape[-1], dtype=np.float32)
    before = np.concatenate([batch[..., :1], batch[..., :-1]], axis=-1)
    return np.stack([batch * ramp, np.tanh(batch + before)], axis=1)


class Stream:
    """A track that is read in pieces; what was asked for is noted."""

    def __init__(self, mix: Audio) -> None:
        self.mix = mix
        self.position = 0

    def read(self, frames: int) -> Audio:
        block = self.mix[:, self.position : self.position + frames]
        self.position += block.shape[1]
        return block


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_stream_gives_the_samples_of_the_whole(data: st.DataObject) -> None:
    chunk = data.draw(st.integers(10, 60))
    overlap = data.draw(st.integers(1, min(8, chunk)))
    grid = CHUNKS.Grid(chunk, chunk // overlap, data.draw(st.integers(1, 5)), data.draw(st.booleans()))
    frames = data.draw(st.one_of(st.integers(1, 400), st.sampled_from([chunk, 2 * grid.border, 2 * grid.border + 1])))
    frames = max(1, frames)
    mix = np.random.default_rng(frames).standard_normal((data.draw(st.integers(1, 2)), frames)).astype(np.float32)
    window = fade_window(grid)
    blocks = list(CHUNKS.separate(Stream(mix).read, grid, window, model, 2))
    streamed = np.concatenate(blocks, axis=-1)
    assert streamed.dtype == np.float32
    np.testing.assert_array_equal(streamed, whole(mix, grid, window, model, 2))


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 300), batch=st.integers(1, 3))
def test_augmentation_is_three_tracks_averaged(frames: int, batch: int) -> None:
    grid = CHUNKS.Grid(40, 10, batch, False)
    mix = np.random.default_rng(frames).standard_normal((2, frames)).astype(np.float32)
    window = fade_window(grid)
    total = whole(mix, grid, window, model, 2)
    total += whole(mix[::-1].copy(), grid, window, model, 2)[:, ::-1]
    total -= whole(-1.0 * mix, grid, window, model, 2)
    total /= 3
    blocks = list(CHUNKS.separate(Stream(mix).read, grid, window, model, 2, augmented=True))
    np.testing.assert_array_equal(np.concatenate(blocks, axis=-1), total)


def test_a_model_of_one_stem_may_leave_that_dimension_out() -> None:
    grid = CHUNKS.Grid(40, 10, 2, False)
    mix = np.ones((2, 100), np.float32)
    (stems,) = {
        np.concatenate(list(CHUNKS.separate(Stream(mix).read, grid, fade_window(grid), lambda x: x, 1)), -1).shape
    }
    assert stems == (1, 2, 100)


def test_read_ahead_is_a_batch_and_blocks_come_when_ready() -> None:
    grid = CHUNKS.Grid(40, 10, 1, False)
    stream = Stream(np.ones((2, 100_000), np.float32))
    given_frames = 0
    for block in CHUNKS.separate(stream.read, grid, fade_window(grid), model, 2):
        given_frames += block.shape[-1]
        assert stream.position - given_frames <= 2 * grid.chunk + 2 * grid.border
    assert given_frames == 100_000


@pytest.mark.parametrize(("overlap", "fewer"), [(1, 0), (2, 1), (4, 3)])
def test_chunks_in_the_border_at_the_end_are_not_computed(overlap: int, fewer: int) -> None:
    grid = CHUNKS.Grid(40, 40 // overlap, 1, False)
    frames = 1000
    calls = 0

    def counted(batch: Audio) -> Audio:
        nonlocal calls
        calls += len(batch)
        return model(batch)

    list(CHUNKS.separate(Stream(np.ones((1, frames), np.float32)).read, grid, fade_window(grid), counted, 2))
    assert calls == -(-(frames + 2 * grid.border) // grid.step) - fewer
