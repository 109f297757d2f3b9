"""A track through one of the engine's objects.

Their `separate` is run as it is, but for its ends: it is given the decoded track instead of a path, and the stems that
it would write are taken from it before anything is encoded. All of it is in memory: a minute of 44.1 kHz stereo is
21 MB, and the engine holds it, what it makes, and sums over them several times.
"""

from __future__ import annotations

import os
import random
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from .context import Context, Sink, Sinks, Source
from .engines import Engine
from .settings import Settings
from .watching import Watch, watched

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

_BLOCK_FRAMES = 1 << 16


class Separation:
    """The adapter interface's model."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self.stems = tuple(engine.stems)
        self.sample_rate = engine.sample_rate
        self.channels = (1, 2)
        self.settings = settings.in_effect()
        if engine.segment is not None:
            self.settings["segment"] = engine.segment

    def separate(self, source: Source, sinks: Sinks, context: Context) -> None:
        """Read the track and write the stems that are asked for."""
        audio = source.read_all()
        # Samples of a frame side by side, as the engine reads files: the order decides how torch sums, in the last bit.
        mix = np.asfortranarray((audio if audio.shape[1] == 2 else np.repeat(audio, 2, axis=1)).T)
        level = self._level(mix)
        made = self._run(mix if level == 1.0 else np.asfortranarray(mix / level), context)
        for name, sink in sinks.items():
            self._write(sink, made[self._engine.stems[name]], level, audio.shape, context)

    def _level(self, mix: Audio) -> Any:
        """What the track is divided by first, and its stems multiplied with.

        The engine multiplies what its MDX models make with the peak of the track, which is right for tracks that are
        normalised, and it does not normalise. At full scale that changes nothing, and no gain is changed.
        """
        if self._settings.model_type != "mdx" or self._settings["normalization"] is not None:
            return np.float32(1.0)
        return np.abs(mix).max(initial=0.0) or np.float32(1.0)

    def _run(self, mix: Audio, context: Context) -> Dict[str, Audio]:
        """The stems (frames, 2) of a track (2, frames), by the engine's names."""
        from torch.amp.autocast_mode import autocast

        engine, own = self._engine, self._engine.own
        made: Dict[str, Audio] = {}

        def take(_path: str, stem: Any, name: str) -> Dict[str, Any]:
            made[name] = self._levelled(stem)
            return {name: stem}

        own.prepare_mix = lambda _path: mix
        own.final_process = take
        random.seed(self._settings.values.get("seed", 0))
        watch = Watch(engine.shares, mix.shape[1], context)
        with ExitStack() as stack:
            stack.callback(own.clear_file_specific_paths)
            stack.callback(own.clear_gpu_cache)
            path = stack.enter_context(_TrackFile(mix, engine.sample_rate, needed=self._settings.model_type == "vr"))
            stack.enter_context(watched(engine.modules, watch, context))
            if getattr(own, "effective_precision", None) == "autocast":
                stack.enter_context(autocast(own.torch_device.type))
            own.separate(path)
        missing = sorted(set(engine.stems.values()) - set(made))
        if missing:
            context.fail("model_failed", f"the engine made no {', '.join(missing)}, only {', '.join(made)}")
        return made

    def _levelled(self, stem: Any) -> Audio:
        """A stem after what the engine does to its level before it writes a file."""
        from audio_separator.separator.uvr_lib_v5 import spec_utils

        own = self._engine.own
        levelled: Audio = spec_utils.normalize(
            wave=stem, max_peak=own.normalization_threshold, min_peak=own.amplification_threshold
        )
        return levelled

    def _write(self, sink: Sink, stem: Audio, level: Any, shape: Any, context: Context) -> None:
        """Write a stem with as many frames and channels as the track; the last hop of some transforms is another."""
        frames, channels = shape
        for start in range(0, frames, _BLOCK_FRAMES):
            context.check_cancelled()
            block = np.zeros((min(_BLOCK_FRAMES, frames - start), 2), np.float32)
            part = stem[start : start + len(block)]
            block[: len(part)] = part
            if level != 1.0:
                block *= level
            sink.write(block if channels == 2 else block.mean(axis=1, keepdims=True))


class _TrackFile:
    """The path that the engine is told; a file is only there where it insists on reading one itself."""

    def __init__(self, mix: Audio, sample_rate: int, needed: bool) -> None:
        self._mix = mix
        self._sample_rate = sample_rate
        self._needed = needed
        self._path = "track.wav"

    def __enter__(self) -> str:
        if self._needed:
            import soundfile

            descriptor, self._path = tempfile.mkstemp(prefix="track-", suffix=".wav")
            with os.fdopen(descriptor, "wb") as stream:
                soundfile.write(stream, self._mix.T, self._sample_rate, format="WAV", subtype="FLOAT")
        return self._path

    def __exit__(self, *_: object) -> None:
        if self._needed:
            os.unlink(self._path)
