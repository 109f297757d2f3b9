"""The settings of a request, over those of the config: what a user of the engine would edit in the YAML."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .config import instruments, section
from .devices import PRECISIONS, arithmetic
from .engine import mode_of
from .failures import AdapterError
from .stems import called


class SettingsError(AdapterError):
    """A setting that this model cannot run with."""


class Settings(NamedTuple):
    """What a model runs with. Lengths in frames at the model's rate.

    `step_frames` is how far apart chunks start, `kind` the type of matrix products (None: float32), `stem_names`
    other names for the config's instruments, by theirs in lower case, `notes` what had to be done to a wish.
    """

    chunk_frames: int
    num_overlap: int
    step_frames: int
    batch_size: int
    tta: bool
    shifts: int
    normalize: bool
    kind: Optional[str]
    stem_names: Dict[str, str]
    notes: Tuple[str, ...] = ()

    def report(self) -> Dict[str, Any]:
        """The settings in effect, for the record."""
        return {
            "chunk_size": self.chunk_frames,
            "num_overlap": self.num_overlap,
            "batch_size": self.batch_size,
            "tta": self.tta,
            "shifts": self.shifts,
            "normalize": self.normalize,
            "precision": self.kind or "float32",
            "stem_names": ",".join(f"{own}={name}" for own, name in self.stem_names.items()) or None,
        }


def choose(config: Dict[str, Any], model_type: str, wanted: Dict[str, Any], device: str) -> Settings:
    """Settle every setting, and write those that the engine itself reads into the config."""
    config.setdefault("inference", {})
    inference, training = section(config, "inference"), section(config, "training")
    for name in ("num_overlap", "batch_size", "normalize"):
        if name in wanted:
            inference[name] = wanted[name]
    notes: List[str] = []
    chunk = _chunk(config, model_type, wanted.get("chunk_size"), notes)
    overlap = _whole(inference.get("num_overlap"), "inference.num_overlap", "num_overlap")
    batch = _whole(inference.get("batch_size"), "inference.batch_size", "batch_size")
    if overlap > chunk:
        raise SettingsError(f"num_overlap {overlap} is larger than the chunk of {chunk} samples")
    precision = str(wanted.get("precision", "engine"))
    if precision not in PRECISIONS:
        raise SettingsError(f"precision {precision!r} is none of {', '.join(PRECISIONS)}")
    return Settings(
        chunk_frames=chunk,
        num_overlap=overlap,
        step_frames=chunk // overlap,
        batch_size=batch,
        tta=bool(wanted.get("tta", False)),
        shifts=max(1, int(wanted.get("shifts", 1))),
        normalize=inference.get("normalize") is True,
        kind=arithmetic(device, precision, bool(training.get("use_amp", True))),
        stem_names=_stem_names(str(wanted.get("stem_names") or ""), config),
        notes=tuple(notes),
    )


def _stem_names(text: str, config: Dict[str, Any]) -> Dict[str, str]:
    try:
        return called(text, instruments(config))
    except ValueError as error:
        raise SettingsError(f"stem_names: {error}") from None


def _chunk(config: Dict[str, Any], model_type: str, wanted: Optional[int], notes: List[str]) -> int:
    """Frames of a chunk, from where the engine takes them; a wish is put there, as far as the model can do it."""
    if mode_of(model_type) == "demucs":
        return _segment(config, wanted)
    place = config["inference"] if "chunk_size" in config["inference"] else section(config, "audio")
    if wanted is not None:
        place["chunk_size"] = nearest_chunk(config, model_type, wanted)
        if place["chunk_size"] != wanted:
            notes.append(f"chunk_size {wanted} becomes {place['chunk_size']}: this model takes no other near it")
    chunk = _whole(place.get("chunk_size"), "chunk_size", "chunk_size")
    if chunk < 10:
        raise SettingsError(f"a chunk of {chunk} samples is shorter than its fades")
    return chunk


def _segment(config: Dict[str, Any], wanted: Optional[int]) -> int:
    """Frames of a chunk of the demucs mode: the model is built for them."""
    training = section(config, "training")
    rate, segment = _whole(training.get("samplerate"), "training.samplerate"), training.get("segment")
    if isinstance(segment, bool) or not isinstance(segment, (int, float)) or not 1 <= segment * rate < 1e9:
        raise SettingsError(f"training.segment of the config is no length in seconds: {str(segment)[:100]!r}")
    chunk = segment * rate
    if chunk != int(chunk):
        raise SettingsError(f"training.segment of the config, {segment} s, is no whole number of samples")
    if wanted is not None and wanted != chunk:
        message = f"this model has chunks of {int(chunk)} samples: it is built for their length"
        raise SettingsError(message, "Leave the chunk size (--segment) alone.")
    return int(chunk)


def nearest_chunk(config: Dict[str, Any], model_type: str, frames: int) -> int:
    """The chunk length nearest to `frames` that the model can compute.

    Mel roformers lose what is beyond the last whole hop; MDX23C halves its STFT frames, one more than hops, once for
    each of its scales.
    """
    audio, model = section(config, "audio"), config.get("model")
    if not isinstance(model, dict):
        return frames
    if model_type.startswith("mel_band"):
        hop = model.get("stft_hop_length", 512)
        return _nearest(frames, hop, 0) if _is_whole(hop) else frames
    if "mdx23c" in model_type:
        hop, scales, scale = audio.get("hop_length", 0), model.get("num_scales", 0), model.get("scale")
        if _is_whole(hop) and _is_whole(scales) and isinstance(scale, (list, tuple)) and _is_whole(scale[-1]):
            return _nearest(frames, hop * scale[-1] ** scales, -hop)
    return frames


def _nearest(frames: int, multiple: int, offset: int) -> int:
    return max(1, round((frames - offset) / multiple)) * multiple + offset


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1 << 20


def _whole(value: Any, place: str, setting: Optional[str] = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        found = "is not there" if value is None else f"is {str(value)[:100]!r}"
        hint = f"Give it with --set {setting}=VALUE." if setting else None
        raise SettingsError(f"{place} of the config {found}, not a whole number above 0", hint)
    return value
