"""A track through a model of the demucs package.

The whole track is normalised by the mean and deviation of its mono mix, so all of it is read first; all stems are made
at once. Memory: for each minute of stereo at 44.1 kHz 21 MB for the track twice over, 21 MB for each stem, as much
again for each stem in a bag or with shifts, beside what the model takes for a segment.
"""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, List, Tuple

from .context import Context, Sink, Sinks, Source
from .settings import Settings

_BLOCK_FRAMES = 1 << 16


class Separation:
    """The adapter interface's model."""

    def __init__(self, model: Any, device: str, settings: Settings) -> None:
        self._model = model.to(device)
        self._device = device
        self._settings = settings
        self.sample_rate = int(model.samplerate)
        self.channels = (1, 2) if model.audio_channels == 2 else (model.audio_channels,)
        self.settings = {name: value for name, value in settings._asdict().items() if value is not None}
        if settings.segment is None and not hasattr(model, "models"):
            self.settings["segment"] = float(model.segment)
        self.stems: Tuple[str, ...] = tuple(model.sources)
        if settings.two_stems is not None:
            self.stems = (settings.two_stems, rest_of(settings.two_stems))

    def separate(self, source: Source, sinks: Sinks, context: Context) -> None:
        """Read the track and write the stems that are asked for."""
        import torch

        audio = source.read_all()
        wav = torch.from_numpy(audio.T.copy())
        if wav.shape[0] != self._model.audio_channels:
            wav = wav.expand(self._model.audio_channels, -1)
        # From here to the stems as the package's Separator.separate_tensor does it.
        mono = wav.mean(0)
        mean = mono.mean()
        # One sample has no deviation (NaN), which the package does not expect.
        deviation = (mono.std() if len(mono) > 1 else torch.zeros(())) + 1e-8
        estimates = self._apply((wav - mean) / deviation, context)
        stems = dict(zip(self._model.sources, estimates, strict=True))
        for name, sink in sinks.items():
            self._write(sink, self._stem(name, stems, mean, deviation), source.channels, context)

    def _apply(self, mix: Any, context: Context) -> Any:
        """The stems (stems, channels, frames) of a normalised track (channels, frames)."""
        from demucs.apply import apply_model

        settings = self._settings
        random.seed(settings.seed)
        with cancellable(context):
            return apply_model(
                self._model,
                mix[None],
                shifts=settings.shifts,
                overlap=settings.overlap,
                segment=settings.segment,
                num_workers=settings.jobs,
                device=self._device,
                callback=self._reporter(mix.shape[-1], context),
            )[0]

    def _reporter(self, frames: int, context: Context) -> Callable[[Dict[str, Any]], None]:
        """What the package calls before and after each segment of each pass of each model."""
        passes = max(1, self._settings.shifts)
        done = 0.0

        def report(state: Dict[str, Any]) -> None:
            nonlocal done
            context.check_cancelled()
            if state["state"] != "end":
                return
            segment = self.settings.get("segment") or self._segment_of(state["model_idx_in_bag"])
            reached = min(1.0, (state["segment_offset"] + segment * self.sample_rate) / max(1, frames))
            earlier = state["model_idx_in_bag"] * passes + state["shift_idx"]
            # Segments may end out of order where several are computed at once.
            done = max(done, (earlier + reached) / (state["models"] * passes))
            context.progress(int(done * frames), frames)

        return report

    def _segment_of(self, index: int) -> float:
        return float(self._model.models[index].segment)

    def _stem(self, name: str, stems: Dict[str, Any], mean: Any, deviation: Any) -> Any:
        """A stem in the scale of the input (channels, frames)."""
        two = self._settings.two_stems
        if two is None or name == two:
            return stems[name] * deviation + mean
        others = [stems[other] * deviation + mean for other in self._model.sources if other != two]
        total = others[0]
        for other in others[1:]:
            total = total + other
        return total

    def _write(self, sink: Sink, stem: Any, channels: int, context: Context) -> None:
        if stem.shape[0] != channels:
            stem = stem.mean(0, keepdim=True)
        for start in range(0, stem.shape[-1], _BLOCK_FRAMES):
            context.check_cancelled()
            sink.write(stem[:, start : start + _BLOCK_FRAMES].cpu().numpy().T)


def rest_of(stem: str) -> str:
    """What the sum of all other stems is called."""
    return "instrumental" if stem == "vocals" else f"no_{stem}"


class cancellable:  # noqa: N801 - used like a function
    """While it lasts, every module of a model looks first whether the request was cancelled.

    A segment can take half a minute on a slow CPU; its layers take fractions of a second.
    """

    def __init__(self, context: Context) -> None:
        self._check: Callable[[], None] = context.check_cancelled
        self._handles: List[Any] = []

    def __enter__(self) -> None:
        from torch.nn.modules.module import register_module_forward_pre_hook

        self._handles.append(register_module_forward_pre_hook(lambda *_: self._check()))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
