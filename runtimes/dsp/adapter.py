"""The `dsp` runtime: separation by signal processing alone, no weights and no training.

Three model types:

`hpss`         harmonic and percussive stems, by median filtering of the spectrogram and soft masks
               (FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010).
`hpr`          the same with a margin between the two, and what is clearly neither in a residual
               (Driedger, Müller, Disch, "Extending harmonic-percussive separation of audio signals", ISMIR 2014).
`centre-side`  what both channels share against the rest, in the time-frequency domain (Avendano and Jot, "A
               frequency-domain approach to multichannel upmix", JAES 52(7/8), 2004; the estimate is the one of
               Vickers, "Frequency-domain two- to three-channel upmix for center channel derivation", AES 127, 2009).

The way through, one block of STFT frames at a time, so that memory does not depend on the length of the track:

    source ─ analyse ─ with_neighbours ─ masks ─ OverlapAdd ─ sinks

STFT frames lie on one grid for the whole track and every median sees its full neighbourhood, so the blocks leave no
trace in the output: any block size gives the samples that the whole track at once would give. One stem is always the
input minus the others, so stems sum to the input.

Shapes: audio `(frames, channels)`, spectra and magnitudes `(channels, stft_frames, bins)`. The runtime works at the
sample rate of its input; settings are in seconds and hertz and mean the same at every rate.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]
    Magnitudes = npt.NDArray[np.float32]
    Spectra = npt.NDArray[np.complex64]

# ---------------------------------------------------------------------------------------------- what can be asked for


class Setting(NamedTuple):
    """A setting of a model type, with the bounds that `load` holds it to."""

    name: str
    default: float
    minimum: float
    maximum: float
    unit: str
    description: str


_WINDOW = Setting("window_seconds", 0.064, 0.005, 0.5, "seconds", "Length of the STFT window.")
_OVERLAP = Setting(
    "overlap", 0.75, 0.5, 0.96875, "ratio", "Overlap of STFT windows; the hop is the window divided by a whole number."
)
_MEDIANS = (
    Setting("harmonic_seconds", 0.4, 0.0, 2.0, "seconds", "Length of the median filter along time."),
    Setting("percussive_hz", 300.0, 0.0, 5000.0, "hertz", "Length of the median filter along frequency."),
)
_MASK_POWER = Setting("mask_power", 2.0, 0.5, 16.0, "exponent", "Exponent of the soft masks; larger is harder.")

SETTINGS: Dict[str, Tuple[Setting, ...]] = {
    "hpss": (_WINDOW, _OVERLAP, *_MEDIANS, _MASK_POWER),
    "hpr": (
        _WINDOW,
        _OVERLAP,
        *_MEDIANS,
        _MASK_POWER,
        Setting("margin", 2.0, 1.0, 20.0, "ratio", "How far one part must exceed the other; the rest is residual."),
    ),
    "centre-side": (
        _WINDOW,
        _OVERLAP,
        Setting("mask_power", 1.0, 0.25, 8.0, "exponent", "Exponent of the centre's mask; larger is narrower."),
    ),
}

# A median over more neighbours than this costs more than it gives, and its network takes seconds to write down.
MAX_MEDIAN_TAPS = 255


def describe() -> Dict[str, Any]:
    """What this runtime is made of: key packages, devices, and the settings of each model type."""
    return {
        "packages": ["numpy", "soundfile", "soxr", "av"],
        "devices": ["cpu"],
        "settings": {
            model_type: {setting.name: setting._asdict() for setting in settings}
            for model_type, settings in SETTINGS.items()
        },
    }


def load(request: Dict[str, Any], context: Any) -> Any:
    """The model that `request` asks for. Fails with `unsupported_setting` on settings that it does not have."""
    model_type = request["model"]["model_type"]
    if model_type not in SETTINGS:
        known = ", ".join(sorted(SETTINGS))
        context.fail("model_failed", f"the dsp runtime has no model type {model_type!r}", hint=f"It has: {known}.")
    settings = _check_settings(model_type, request["settings"], context)
    return _MODELS[model_type](settings)


def _check_settings(model_type: str, given: Dict[str, Any], context: Any) -> Dict[str, float]:
    known = {setting.name: setting for setting in SETTINGS[model_type]}
    settings = {name: setting.default for name, setting in known.items()}
    for name, value in given.items():
        if name not in known:
            hint = "It has: {}.".format(", ".join(known))
            context.fail("unsupported_setting", f"{model_type} has no setting {name!r}", hint=hint)
        setting = known[name]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not setting.minimum <= value <= setting.maximum:
            message = f"{name} is {value!r}, not a number from {setting.minimum:g} to {setting.maximum:g}"
            context.fail("unsupported_setting", message, hint=f"In {setting.unit}. {setting.description}")
        settings[name] = float(value)
    if "harmonic_seconds" in settings:
        _check_median_lengths(settings, context)
    return settings


def _check_median_lengths(settings: Dict[str, float], context: Any) -> None:
    # In STFT frames and bins both lengths are the same at every sample rate, so they can be refused before any audio.
    hop_seconds = settings["window_seconds"] / _overlap_factor(settings["overlap"])
    taps = {
        "harmonic_seconds": settings["harmonic_seconds"] / hop_seconds,
        "percussive_hz": settings["percussive_hz"] * settings["window_seconds"],
    }
    for name, count in taps.items():
        if count > MAX_MEDIAN_TAPS:
            message = f"{name} spans {count:.0f} points of the spectrogram; at most {MAX_MEDIAN_TAPS} are filtered"
            context.fail("unsupported_setting", message, hint=f"Lower {name}, or change window_seconds or overlap.")


# ----------------------------------------------------------------------------------- short-time Fourier transform


class Stft:
    """A grid of STFT frames over a track, and the transform of each.

    Frame 0 starts `window - hop` samples before the track and the last one ends after it, the outside being silence:
    every sample of the track lies in the same number of windows, so no edge needs its own gain. Sine windows on both
    sides multiply to a Hann window, whose copies a hop apart sum to a constant.
    """

    def __init__(self, window: int, hop: int) -> None:
        self.window = window
        self.hop = hop
        self.bins = window // 2 + 1
        sine = np.sin(np.pi * (np.arange(window) + 0.5) / window)
        self._analysis = sine.astype(np.float32)
        self._synthesis = (sine * (2.0 * hop / window)).astype(np.float32)

    @classmethod
    def for_rate(cls, sample_rate: int, window_seconds: float, overlap: float) -> Stft:
        """The grid whose window is nearest to `window_seconds` among lengths that transform fast."""
        factor = _overlap_factor(overlap)
        hop = _nearest_smooth(window_seconds * sample_rate / factor)
        return cls(hop * factor, hop)

    def forward(self, audio: Audio) -> Spectra:
        """Spectra of every whole window in `audio` (frames, channels)."""
        windows = np.lib.stride_tricks.sliding_window_view(np.ascontiguousarray(audio.T), self.window, axis=1)
        # NumPy before 2.0 transforms in double precision whatever it is given.
        return np.fft.rfft(windows[:, :: self.hop] * self._analysis).astype(np.complex64, copy=False)

    def inverse(self, spectra: Spectra) -> npt.NDArray[np.float32]:
        """Windowed signals (channels, stft_frames, window), to be overlapped and added."""
        signals: npt.NDArray[np.float32] = np.fft.irfft(spectra, self.window).astype(np.float32, copy=False)
        signals *= self._synthesis
        return signals


def _overlap_factor(overlap: float) -> int:
    """How many windows cover each sample."""
    return max(2, round(1.0 / (1.0 - overlap)))


def _nearest_smooth(length: float) -> int:
    """The whole number nearest to `length` with no prime factor above 5: an FFT of it is fast."""
    best, two = 1, 1
    while two < 2 * length:
        three = two
        while three < 2 * length:
            five = three
            while five < 2 * length:
                best = min(best, five, key=lambda candidate: abs(candidate - length))
                five *= 5
            three *= 3
        two *= 2
    return best


def analyse(source: Any, stft: Stft, delayed: Delay) -> Iterator[Spectra]:
    """The track's spectra in blocks of STFT frames; its samples go to `delayed`, to meet the masked signal later."""
    block_frames = stft.hop * _stft_frames_per_block(stft, source.channels)
    carry = np.zeros((stft.window - stft.hop, source.channels), np.float32)
    while True:
        samples = source.read(block_frames)
        if not len(samples):
            break
        delayed.push(samples)
        audio = np.concatenate([carry, samples])
        ready = (len(audio) - stft.window) // stft.hop + 1
        if ready > 0:
            yield stft.forward(audio)
        carry = audio[max(ready, 0) * stft.hop :]
    # Windows start on until the last sample is in as many of them as any other.
    last_start = len(carry) - 1
    silence = np.zeros((last_start // stft.hop * stft.hop + stft.window - len(carry), source.channels), np.float32)
    yield stft.forward(np.concatenate([carry, silence]))


def _stft_frames_per_block(stft: Stft, channels: int) -> int:
    # About a quarter of a million bins: large enough that calls into numpy are few, small enough for the cache. Whole
    # sixteens, because the median along frequency works on rows of that many samples, by SIMD.
    return 16 * max(1, round(2**18 / (16 * stft.bins * channels)))


class Delay:
    """Input samples waiting for their masked counterpart."""

    def __init__(self) -> None:
        self._blocks: Deque[Audio] = deque()
        self.frames = 0

    def push(self, samples: Audio) -> None:
        """Add the next samples of the input."""
        self._blocks.append(samples)
        self.frames += len(samples)

    def pop(self, frames: int) -> Audio:
        """The oldest `frames` samples; there must be as many."""
        taken: List[Audio] = []
        missing = frames
        while missing:
            block = self._blocks.popleft()
            if len(block) > missing:
                self._blocks.appendleft(block[missing:])
                block = block[:missing]
            taken.append(block)
            missing -= len(block)
        self.frames -= frames
        return np.concatenate(taken)


class OverlapAdd:
    """Turns blocks of spectra back into the samples that no later STFT frame can change."""

    def __init__(self, stft: Stft, channels: int) -> None:
        self._stft = stft
        self._tail = np.zeros((channels, stft.window - stft.hop), np.float32)
        # What comes before the track is not part of it.
        self._skip = stft.window - stft.hop

    def add(self, spectra: Spectra) -> Audio:
        """The finished samples (frames, channels), after `spectra` (channels, stft_frames, bins)."""
        stft = self._stft
        channels, count, _ = spectra.shape
        factor = stft.window // stft.hop
        parts = stft.inverse(spectra).reshape(channels, count, factor, stft.hop)
        signal = np.zeros((channels, count + factor - 1, stft.hop), np.float32)
        signal[:, : factor - 1] = self._tail.reshape(channels, factor - 1, stft.hop)
        # Latest part first: each sample then sums its windows in the order of their start, wherever blocks end.
        for part in reversed(range(factor)):
            signal[:, part : part + count] += parts[:, :, part]
        self._tail = signal[:, count:].reshape(channels, -1)
        finished = signal[:, :count].reshape(channels, -1)
        skipped = min(self._skip, finished.shape[1])
        self._skip -= skipped
        samples: Audio = finished[:, skipped:].T
        return samples


# ------------------------------------------------------------------------------------------------- median filtering


class Median(NamedTuple):
    """A straight-line program of minima and maxima that takes the medians of overlapping windows.

    `steps` are `(ufunc, first, second, target)` over registers; the first `inputs` registers are read-only rows, and
    `outputs` names the register of each window's median. `registers` counts all.
    """

    steps: Tuple[Tuple[Callable[..., Any], int, int, int], ...]
    inputs: int
    outputs: Tuple[int, ...]
    registers: int


class _Network:
    """Writes down compare-exchange steps; values are numbered, inputs first."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.steps: List[Tuple[Callable[..., Any], int, int]] = []

    def _step(self, function: Callable[..., Any], first: int, second: int) -> int:
        self.steps.append((function, first, second))
        return self.inputs + len(self.steps) - 1

    def exchange(self, first: int, second: int) -> List[int]:
        return [self._step(np.minimum, first, second), self._step(np.maximum, first, second)]

    def merge(self, first: Sequence[int], second: Sequence[int]) -> List[int]:
        """Batcher's odd-even merge of two sorted lists of any lengths (Knuth, TAOCP vol. 3, 5.3.4)."""
        if not first or not second:
            return [*first, *second]
        if len(first) == len(second) == 1:
            return self.exchange(first[0], second[0])
        lower = self.merge(first[0::2], second[0::2])
        upper = self.merge(first[1::2], second[1::2])
        merged = [lower[0]]
        for pair in map(self.exchange, upper, lower[1:]):
            merged += pair
        paired = len(merged) // 2
        return [*merged, *lower[1 + paired :], *upper[paired:]]

    def sort(self, values: Sequence[int]) -> List[int]:
        if len(values) < 2:
            return list(values)
        half = len(values) // 2
        return self.merge(self.sort(values[:half]), self.sort(values[half:]))

    def medians(self, core: Sequence[int], rank: int, left: Sequence[int], right: Sequence[int]) -> List[int]:
        """Medians of the windows `core + left[d:] + right[:d]` for d in 0 … len(left).

        `core` is sorted and holds the median at `rank` once the window's other values are merged in. Each half of the
        windows shares half of those: merge them once, keep the ranks that can still become the median, and recurse
        (the idea of Adams, "Fast median filters using separable sorting networks", ACM TOG 40(4), 2021, in one
        dimension).
        """
        open_ranks = len(left)
        lowest = max(0, rank - open_ranks)
        core, rank = core[lowest : rank + 1], rank - lowest
        if not left:
            return [core[rank]]
        half = (len(left) + 1) // 2
        early = self.merge(core, self.sort(left[half - 1 :]))
        late = self.merge(core, self.sort(right[:half]))
        return self.medians(early, rank, left[: half - 1], right[: half - 1]) + self.medians(
            late, rank, left[half:], right[half:]
        )


@lru_cache(maxsize=16)
def median_program(taps: int) -> Median:
    """The program for windows of `taps` (odd) values, for as many neighbouring windows as share their work best."""
    windows = 1
    while windows * 2 <= max(1, taps // 2):
        windows *= 2
    rows = range(taps + windows - 1)
    network = _Network(len(rows))
    core = network.sort(rows[windows - 1 : taps])
    outputs = network.medians(core, taps // 2, rows[: windows - 1], rows[taps:])
    return _allocate(network, outputs)


def _allocate(network: _Network, outputs: List[int]) -> Median:
    """Drop the steps that no output needs and reuse each register once its value has been read for the last time."""
    last_read = {output: len(network.steps) for output in outputs}
    needed = set()
    for index in reversed(range(len(network.steps))):
        value = network.inputs + index
        if value in last_read:
            needed.add(index)
            for operand in network.steps[index][1:]:
                last_read.setdefault(operand, index)
    register = {value: value for value in range(network.inputs)}
    free: List[int] = []
    registers = network.inputs
    steps = []
    for index in sorted(needed):
        function, first, second = network.steps[index]
        if not free:
            free.append(registers)
            registers += 1
        target = free.pop()
        register[network.inputs + index] = target
        steps.append((function, register[first], register[second], target))
        free += [register[v] for v in (first, second) if v >= network.inputs and last_read[v] == index]
    return Median(tuple(steps), network.inputs, tuple(register[output] for output in outputs), registers)


def median_filter(rows: Magnitudes, taps: int) -> Magnitudes:
    """Running median over `taps` (odd) neighbours along the first axis: (n + taps - 1, m) → (n, m), float32.

    Sorting networks on whole rows run at the speed of SIMD minima, several times that of a heap for each sample.
    """
    count, width = len(rows) - taps + 1, rows.shape[1]
    program = median_program(taps)
    windows = len(program.outputs)
    groups = -(-count // windows)
    # The last group may reach beyond the rows: what it finds there is cut off again.
    beyond = groups * windows + taps - 1 - len(rows)
    padded = np.concatenate([rows, np.zeros((beyond, width), rows.dtype)]) if beyond else rows
    filtered = np.empty((groups * windows, width), np.float32)
    # All registers of one strip of columns should stay in the second-level cache.
    strip = max(16, min(width, 2**18 // (groups * program.registers)))
    scratch = np.empty((program.registers - program.inputs, groups, strip), np.float32)
    for start in range(0, width, strip):
        columns = slice(start, min(start + strip, width))
        registers = [padded[row : row + (groups - 1) * windows + 1 : windows, columns] for row in range(program.inputs)]
        registers += list(scratch[:, :, : columns.stop - columns.start])
        for function, first, second, target in program.steps:
            function(registers[first], registers[second], out=registers[target])
        for window, output in enumerate(program.outputs):
            filtered[window::windows, columns] = registers[output]
    return filtered[:count]


def with_neighbours(blocks: Iterator[Spectra], reach: int) -> Iterator[Tuple[Spectra, Magnitudes]]:
    """Spectra with their magnitudes and those of `reach` STFT frames to either side.

    Yields `(channels, n, bins)` and `(channels, n + 2 * reach, bins)`. Beyond its ends the track is mirrored about its
    first and last STFT frame.
    """
    spectra: Optional[Spectra] = None
    magnitudes: Optional[Magnitudes] = None
    at_start = True
    for block in blocks:
        spectra = block if spectra is None else np.concatenate([spectra, block], axis=1)
        sizes = np.abs(block)
        magnitudes = sizes if magnitudes is None else np.concatenate([magnitudes, sizes], axis=1)
        # To mirror the start takes `reach` frames after the first; mirroring the end must then find true frames too.
        if at_start and magnitudes.shape[1] > 2 * reach:
            magnitudes = _mirror(magnitudes, reach, 0)
            at_start = False
        ready = magnitudes.shape[1] - 2 * reach
        if not at_start and ready > 0:
            yield spectra[:, :ready], magnitudes
            spectra, magnitudes = spectra[:, ready:], magnitudes[:, ready:]
    if spectra is not None and magnitudes is not None and spectra.shape[1]:
        yield spectra, _mirror(magnitudes, reach if at_start else 0, reach)


def _mirror(magnitudes: Magnitudes, before: int, after: int) -> Magnitudes:
    return np.pad(magnitudes, ((0, 0), (before, after), (0, 0)), mode="reflect")


def harmonic_and_percussive(magnitudes: Magnitudes, time_taps: int, frequency_taps: int) -> Tuple[Any, Any]:
    """Magnitudes smoothed along time and along frequency, both (channels, n, bins), FitzGerald's H and P.

    `magnitudes` (channels, n + time_taps - 1, bins) carries its neighbours in time. Along frequency the spectrum is
    mirrored at 0 Hz and at half the sample rate, which is what the spectrum of a real signal does.
    """
    reach = time_taps // 2
    harmonic = np.stack([median_filter(channel, time_taps) for channel in magnitudes])
    centre = magnitudes[:, reach : magnitudes.shape[1] - reach]
    margin = frequency_taps // 2
    percussive = np.stack(
        [
            median_filter(np.pad(channel.T, ((margin, margin), (0, 0)), mode="reflect"), frequency_taps).T
            for channel in centre
        ]
    )
    return harmonic, percussive


# ------------------------------------------------------------------------------------------------------------ models


class _SpectralModel:
    """Stems from masks on spectra; the last stem is the input minus the others."""

    stems: Tuple[str, ...] = ()
    channels: Tuple[int, ...] = (1, 2)
    sample_rate: Optional[int] = None

    def __init__(self, settings: Dict[str, float]) -> None:
        self.settings = settings

    def masked(self, blocks: Iterator[Spectra], stft: Stft, sample_rate: int, /) -> Iterator[Tuple[Spectra, ...]]:
        """Spectra of every stem but the last, for each block."""
        raise NotImplementedError

    def separate(self, source: Any, sinks: Dict[str, Any], context: Any) -> None:
        stft = Stft.for_rate(source.sample_rate, self.settings["window_seconds"], self.settings["overlap"])
        delayed = Delay()
        synthesis = [OverlapAdd(stft, source.channels) for _ in self.stems[:-1]]
        done_frames = 0
        for spectra in self.masked(analyse(source, stft, delayed), stft, source.sample_rate):
            context.check_cancelled()
            estimates = list(map(OverlapAdd.add, synthesis, spectra))
            # The grid reaches beyond the end of the track.
            frames = min(len(estimates[0]), delayed.frames)
            if not frames:
                continue
            rest = delayed.pop(frames)
            for index, estimate in enumerate(estimates):
                rest = rest - estimate[:frames]
                if self.stems[index] in sinks:
                    sinks[self.stems[index]].write(estimate[:frames])
            if self.stems[-1] in sinks:
                sinks[self.stems[-1]].write(rest)
            done_frames += frames
            context.progress(done_frames, source.frames)


class _MedianModel(_SpectralModel):
    """What `hpss` and `hpr` share: percussive over harmonic magnitude in every bin."""

    def ratios(self, blocks: Iterator[Spectra], stft: Stft, sample_rate: int) -> Iterator[Tuple[Spectra, Any]]:
        time_taps = _nearest_odd(self.settings["harmonic_seconds"] * sample_rate / stft.hop)
        frequency_taps = _nearest_odd(self.settings["percussive_hz"] * stft.window / sample_rate)
        # Where both are silent neither wins; the ratio of the two never divides by zero.
        floor = np.float32(1e-30)
        for spectra, magnitudes in with_neighbours(blocks, time_taps // 2):
            harmonic, percussive = harmonic_and_percussive(magnitudes, time_taps, frequency_taps)
            percussive += floor
            harmonic += floor
            with np.errstate(over="ignore", under="ignore"):
                yield spectra, percussive / harmonic


class Hpss(_MedianModel):
    """FitzGerald 2010: H^p / (H^p + P^p) and its complement."""

    stems = ("harmonic", "percussive")

    def masked(self, blocks: Iterator[Spectra], stft: Stft, sample_rate: int) -> Iterator[Tuple[Spectra, ...]]:
        """The harmonic spectra."""
        for spectra, ratio in self.ratios(blocks, stft, sample_rate):
            yield (spectra * _soft_mask(ratio, self.settings["mask_power"]),)


class Hpr(_MedianModel):
    """Driedger et al. 2014 with soft masks: each part must exceed the other by `margin`."""

    stems = ("harmonic", "percussive", "residual")

    def masked(self, blocks: Iterator[Spectra], stft: Stft, sample_rate: int) -> Iterator[Tuple[Spectra, ...]]:
        """The harmonic and the percussive spectra."""
        margin, power = np.float32(self.settings["margin"]), self.settings["mask_power"]
        for spectra, ratio in self.ratios(blocks, stft, sample_rate):
            with np.errstate(over="ignore", divide="ignore"):
                harmonic = _soft_mask(ratio * margin, power)
                percussive = _soft_mask(margin / ratio, power)
            yield spectra * harmonic, spectra * percussive


class CentreSide(_SpectralModel):
    """What is equal in both channels, bin by bin, and the rest.

    With M = L + R and S = L - R, the centre is C = M/2 (1 - |S|/|M|) where |S| < |M|, else nothing: the part whose
    removal leaves the two channels uncorrelated in that bin (Vickers 2009).
    """

    stems = ("centre", "sides")
    channels = (2,)

    def masked(self, blocks: Iterator[Spectra], _stft: Stft, _sample_rate: int) -> Iterator[Tuple[Spectra, ...]]:
        """The spectra of the centre, the same in both channels."""
        power = np.float32(self.settings["mask_power"])
        for spectra in blocks:
            left, right = spectra
            middle = np.abs(left + right)
            side = np.abs(left - right)
            share = np.maximum(middle - side, 0.0) / np.maximum(middle, np.float32(1e-30))
            if power != 1.0:
                share **= power
            centre = (left + right) * (np.float32(0.5) * share)
            yield (np.stack([centre, centre]),)


def _soft_mask(ratio: npt.NDArray[np.float32], power: float) -> npt.NDArray[np.float32]:
    """1 / (1 + ratio^power), in place where it can be; infinite ratios give 0."""
    with np.errstate(over="ignore", under="ignore"):
        mask: npt.NDArray[np.float32] = np.square(ratio) if power == 2.0 else np.power(ratio, np.float32(power))
        mask += np.float32(1.0)
        return np.reciprocal(mask, out=mask)


def _nearest_odd(length: float) -> int:
    return 2 * max(0, round((length - 1.0) / 2.0)) + 1


_MODELS: Dict[str, Callable[[Dict[str, float]], _SpectralModel]] = {
    "hpss": Hpss,
    "hpr": Hpr,
    "centre-side": CentreSide,
}
