"""One track through a loaded model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional

import numpy as np
import torch

from . import chunks, devices, engine
from .settings import Settings
from .stems import stem_names

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

_BLOCK_FRAMES = 1 << 16


class Model:
    """The `model` of the adapter interface."""

    def __init__(self, module: Any, config: Dict[str, Any], model_type: str, chosen: Settings, device: str) -> None:
        self._config = config
        self._model_type = model_type
        self._chosen = chosen
        self._device = device
        torch.backends.cudnn.benchmark = True  # as the engine's command line has it
        self._module = module.eval().to(device)
        self._outputs, self._residuals = stem_names(config, engine.mode_of(model_type), chosen.stem_names)
        self.stems = [*self._outputs, *(residual.name for residual in self._residuals)]
        self.sample_rate = sample_rate(config)
        self._model_channels = model_channels(config)
        self.channels = [1] if self._model_channels == 1 else [1, 2]
        self.settings = chosen.report()
        self._window = self._make_window()

    def separate(self, source: Any, sinks: Dict[str, Any], context: Any) -> None:
        """Write the stems that `sinks` asks for."""
        mix = _Mix(source, self._model_channels, keep=any(residual.name in sinks for residual in self._residuals))
        try:
            for stems in self._blocks(mix, source, context):
                context.check_cancelled()
                self._write(stems, mix, source.channels, sinks)
        except RuntimeError as error:  # torch's out-of-memory error is one
            if not devices.is_out_of_memory(error):
                raise
            devices.release(self._device)
            context.fail(
                "out_of_memory", devices.in_short(error), "Use a smaller segment or batch size, or another device."
            )

    def _blocks(self, mix: _Mix, source: Any, context: Any) -> Iterator[Audio]:
        """Blocks of what the model computes (stems, channels, frames), on the track's own scale."""
        progress = _Progress(context, source)
        if self._chosen.shifts > 1:
            yield from self._shifted(mix.read_all(), progress)
        elif self._chosen.normalize:
            whole, parameters = engine.normalized(mix.read_all())
            for block in self._streamed(_reader(whole), progress):
                yield engine.denormalized(block, parameters)
        else:
            yield from self._streamed(mix.read, progress)

    def _streamed(self, read: chunks.Read, progress: _Progress) -> Iterator[Audio]:
        chosen = self._chosen
        grid = self._grid
        blocks = chunks.separate(read, grid, self._window, self._predict, len(self._outputs), chosen.tta)
        for block in blocks:
            yield block
            progress.advance(block.shape[-1])

    def _shifted(self, mix: Audio, progress: _Progress) -> Iterator[Audio]:
        """The engine's own average over circular shifts: the whole track, as often as there are shifts."""
        parameters = None
        if self._chosen.normalize:
            mix, parameters = engine.normalized(mix)
        views = [mix, mix[::-1].copy(), -1.0 * mix] if self._chosen.tta else [mix]
        grid = self._grid
        passes = len(views) * self._chosen.shifts
        calls = max(1, -(-(mix.shape[1] + 2 * grid.border) // (grid.step * grid.batch))) * passes

        def model(batch: Any) -> Any:
            made = self._compute(batch)
            progress.part(1 / calls)
            return made

        found = [
            np.stack(engine.shifted(self._config, self._model_type, model, view, self._chosen.shifts, self._device))
            for view in views
        ]
        stems = chunks.averaged(found)
        if parameters is not None:
            stems = engine.denormalized(stems, parameters)
        for start in range(0, stems.shape[-1], _BLOCK_FRAMES):
            yield stems[..., start : start + _BLOCK_FRAMES]

    @property
    def _grid(self) -> chunks.Grid:
        chosen = self._chosen
        demucs = engine.mode_of(self._model_type) == "demucs"
        return chunks.Grid(chosen.chunk_frames, chosen.step_frames, chosen.batch_size, demucs)

    def _make_window(self) -> Audio:
        grid = self._grid
        if grid.demucs:
            return np.ones(grid.chunk, np.float32)
        made: Audio = engine.window(grid.chunk, grid.fade)
        return made

    def _predict(self, batch: Audio) -> Audio:
        made: Audio = self._compute(torch.from_numpy(batch)).float().cpu().numpy()
        return made

    def _compute(self, batch: Any) -> Any:
        """The model on a batch (batch, channels, frames), wherever it is."""
        with torch.inference_mode(), devices.autocast(self._device, self._chosen.kind), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._module(batch.to(self._device))

    def _write(self, stems: Audio, mix: _Mix, channels: int, sinks: Dict[str, Any]) -> None:
        for index, name in enumerate(self._outputs):
            if name in sinks:
                sinks[name].write(_frames_first(stems[index], channels))
        if any(residual.name in sinks for residual in self._residuals):
            original = mix.take(stems.shape[-1])
            for residual in self._residuals:
                if residual.name in sinks:
                    sinks[residual.name].write(_frames_first(original - stems[residual.of], channels))


def sample_rate(config: Dict[str, Any]) -> int:
    """In hertz; 44100 where the config does not say, as the engine has it."""
    rate = config["audio"].get("sample_rate", 44100)
    return int(rate)


def model_channels(config: Dict[str, Any]) -> Optional[int]:
    """How many channels the model takes."""
    count = config["audio"].get("num_channels", config["training"].get("channels"))
    return count if isinstance(count, int) else None


class _Mix:
    """The track as the model sees it: (channels, frames), mono as two equal channels where it wants two."""

    def __init__(self, source: Any, model_channels: Optional[int], keep: bool) -> None:
        self._source = source
        self._double = model_channels == 2 and source.channels == 1
        self._keep = keep
        self._kept: List[Audio] = []

    def read(self, frames: int) -> Audio:
        return self._as_seen(self._source.read(frames))

    def read_all(self) -> Audio:
        return self._as_seen(self._source.read_all())

    def take(self, frames: int) -> Audio:
        """The next `frames` frames of what was read."""
        whole = self._kept[0] if len(self._kept) == 1 else np.concatenate(self._kept, axis=1)
        self._kept = [whole[:, frames:]]
        return whole[:, :frames]

    def _as_seen(self, block: Audio) -> Audio:
        seen = np.ascontiguousarray(block.T, np.float32)
        if self._double:
            seen = np.concatenate([seen, seen])
        if self._keep:
            self._kept.append(seen)
        return seen


class _Progress:
    """Frames done, of as many as there are."""

    def __init__(self, context: Any, source: Any) -> None:
        self._context = context
        self._source = source
        self._done = 0.0

    def advance(self, frames: int) -> None:
        self._done += frames
        self._context.progress(int(self._done), self._source.frames)

    def part(self, share: float) -> None:
        self._context.check_cancelled()
        self._done = min(self._done + share * self._source.frames, self._source.frames)
        self._context.progress(int(self._done), self._source.frames)


def _reader(audio: Audio) -> Callable[[int], Audio]:
    position = 0

    def read(frames: int) -> Audio:
        nonlocal position
        block = audio[:, position : position + frames]
        position += block.shape[1]
        return block

    return read


def _frames_first(audio: Audio, channels: int) -> Audio:
    """(channels, frames) as (frames, channels of the source); mono takes the mean of two."""
    if channels == 1 and audio.shape[0] == 2:
        audio = np.float32(0.5) * (audio[:1] + audio[1:])
    turned: Audio = audio.T
    return turned
