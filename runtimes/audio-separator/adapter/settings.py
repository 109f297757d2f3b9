"""What can be asked for, with the engine's defaults where the engine has good ones.

Lengths are seconds here; the engine counts frames of its spectrogram, a hop apart (`Settings.frames`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional

from .context import Context

_COMMON: Dict[str, Any] = {"normalization": None, "amplification": 0.0, "stem_names": None}
_CHUNKED: Dict[str, Any] = {"segment": None, "overlap": None}

DEFAULTS: Dict[str, Dict[str, Any]] = {
    "roformer": {**_COMMON, **_CHUNKED, "pitch_shift": 0, "precision": "float32"},
    "mdx23c": {**_COMMON, **_CHUNKED, "batch_size": None, "pitch_shift": 0},
    "mdx": {
        **_COMMON,
        "segment": None,
        "overlap": 0.25,
        "batch_size": 1,
        "denoise": False,
        "compensate": None,
        "dim_f": None,
        "dim_t": None,
        "n_fft": None,
        "primary_stem": None,
    },
    "vr": {
        **_COMMON,
        "window_size": 512,
        "batch_size": 1,
        "aggression": 5,
        "tta": False,
        "post_process": False,
        "post_process_threshold": 0.2,
        "high_end_process": False,
        "vr_model_param": None,
        "nout": None,
        "nout_lstm": None,
        "primary_stem": None,
    },
    "demucs": {**_COMMON, "segment": None, "overlap": 0.25, "shifts": 0, "seed": 0},
}


@dataclass(frozen=True)
class Settings:
    """The settings of one architecture; None leaves a choice to the model or the engine."""

    model_type: str
    values: Dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def in_effect(self) -> Dict[str, Any]:
        """What to tell the host: those that have a value."""
        return {name: value for name, value in self.values.items() if value is not None}


def resolve(model_type: Optional[str], given: Dict[str, Any], context: Context) -> Settings:
    """The settings of a model type. Fails with `unsupported_setting`, or `model_failed` for a type that is none."""
    if model_type not in DEFAULTS:
        words = f"audio-separator has no model type {model_type!r}"
        context.fail("model_failed", words, hint="It has: {}.".format(", ".join(DEFAULTS)))
    values = dict(DEFAULTS[model_type])
    for name, value in given.items():
        if name not in values:
            hint = "It has: {}.".format(", ".join(values))
            context.fail("unsupported_setting", f"{model_type} models have no setting {name!r}", hint=hint)
        if value is not None:
            values[name] = value
    return Settings(model_type, values)


def stem_names(settings: Settings, context: Context) -> Dict[str, str]:
    """Other names for stems: `other=instrumental,vocals=lead` by the engine's name in lower case."""
    names = {}
    for pair in filter(None, (settings["stem_names"] or "").split(",")):
        own, equals, wanted = (part.strip() for part in pair.partition("="))
        if not own or not equals or not wanted:
            context.fail("unsupported_setting", f"stem_names: {pair!r} is not NAME=STEM")
        names[own.lower()] = wanted
    return names


def frames_of(seconds: float, hop: int, sample_rate: int, context: Context) -> int:
    """A length in frames of a spectrogram, of which n reach over (n - 1) hops."""
    frames = round(seconds * sample_rate / hop) + 1
    if frames < 2:
        words = (
            f"segment is {seconds:g} s, shorter than one step of the model's spectrogram ({hop / sample_rate:.3g} s)"
        )
        context.fail("unsupported_setting", words)
    return frames


def seconds_of(frames: int, hop: int, sample_rate: int) -> float:
    """A length in seconds of frames of a spectrogram."""
    return (frames - 1) * hop / sample_rate
