"""Write a short song and the sources it is the sum of.

    python song.py OUTDIR [--seconds S]

writes ``mix.wav``, ``drums.wav``, ``bass.wav`` and ``lead.wav`` (44.1 kHz, stereo, 24-bit) into OUTDIR and
prints one line of JSON that describes them. All of it is synthesised here: the sources are known, and free.

The drums strike across the stereo field, bass and voice sit in its centre. A harmonic/percussive separator
finds drums against bass and lead; a centre extractor finds bass and lead.

The sources are rounded to 24 bits first and added as integers, so that ``mix == drums + bass + lead`` holds
sample for sample. Random numbers are seeded and the files carry no timestamp: the same machine, interpreter
and numpy give the same bytes each time.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import soundfile

Audio = npt.NDArray[np.float64]  # (frames,) in mono, (frames, 2) in stereo
Random = np.random.Generator
Bar = TypeVar("Bar")

SAMPLE_RATE = 44_100
BPM = 100
BEAT_SECONDS = 60 / BPM
BAR_BEATS = 4
BAR_SECONDS = BAR_BEATS * BEAT_SECONDS
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 180.0

SEED = 2019
LEAD_IN_SECONDS = 0.05
FADE_OUT_SECONDS = 1.2
MIX_PEAK_DBFS = -1.5
BALANCE_DB = {"drums": 0.0, "bass": -1.0, "lead": 1.5}  # RMS of each source against the others

FULL_SCALE = 2**23  # of 24-bit samples


# --- The score: Am F C G, and home to C ---

# Notes are pitch/beats/vowel, "-" is a rest; a bar a string.
MELODY = (
    "E4/1.5/o D4/0.5/e C4/1/a E4/0.5/o G4/0.5/a",
    "A4/2/a G4/0.5/e F4/0.5/o -/0.5 C4/0.5/o",
    "E4/1/a G4/1/o E4/0.5/e D4/0.5/a C4/1/o",
    "D4/1.5/a E4/0.5/e D4/1/o B3/0.5/e -/0.5",
)
MELODY_ENDING = "C4/1.5/a C4/1.5/o -/1"

BASS = (
    "A1/1.5 A2/0.5 A1/1 C2/0.5 E2/0.5",
    "F2/1.5 C2/0.5 F2/1 E2/0.5 D2/0.5",
    "C2/1.5 C2/0.5 G2/1 C2/0.5 A1/0.5",
    "G1/1.5 G1/0.5 D2/1 G1/0.5 B1/0.5",
)
BASS_ENDING = "C2/3 -/1"

# Sixteenths: X accent, x stroke, g ghost note.
GROOVE = {
    "kick": "X.....x.X.x.....",
    "snare": "....X..g.g..X...",
    "closed hat": "X.x.X.x.X.x.X.x.",
    "open hat": "...............x",
}
FILL = {
    "kick": "X.....x.X.......",
    "snare": "....X..g..xx....",
    "closed hat": "X.x.X.x.X.......",
    "high tom": "............Xx..",
    "low tom": "..............XX",
}
DRUMS = (GROOVE, GROOVE, GROOVE, FILL)
DRUMS_ENDING = {"kick": "X...............", "crash": "X..............."}
VELOCITY = {"X": 1.0, "x": 0.7, "g": 0.22}


class Note(NamedTuple):
    """A tone of the melody or the bass."""

    start: float  # seconds, as is the length
    length: float
    hertz: float
    vowel: str


def notes(score: Iterable[str]) -> list[Note]:
    """The notes of a score, a string a bar; rests are the gaps between them."""
    found = []
    for bar, text in enumerate(score):
        beat = float(bar * BAR_BEATS)
        for word in text.split():
            pitch, beats, vowel, *_ = (*word.split("/"), "")
            if pitch != "-":
                start = LEAD_IN_SECONDS + beat * BEAT_SECONDS
                found.append(Note(start, float(beats) * BEAT_SECONDS, hertz(pitch), vowel))
            beat += float(beats)
    return found


def hertz(pitch: str) -> float:
    """The frequency of a natural note such as ``A4``, in equal temperament."""
    match = re.fullmatch(r"([A-G])(\d)", pitch)
    if match is None:
        raise ValueError(f"not a note: {pitch!r}")
    above_c = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[match[1]]
    semitones = 12 * (int(match[2]) - 4) + above_c - 9  # above A4
    return float(440.0 * 2.0 ** (semitones / 12))


# --- Sound: what every instrument is made with ---


def frames_in(seconds: float) -> int:
    """A duration in frames."""
    return round(seconds * SAMPLE_RATE)


def times(frames: int) -> Audio:
    """The time of each frame, in seconds."""
    return np.arange(frames, dtype=np.float64) / SAMPLE_RATE


def noise(frames: int, low_hz: float, high_hz: float, rng: Random) -> Audio:
    """Noise of unit RMS that falls by 12 dB an octave outside its band."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    frequency = np.maximum(np.fft.rfftfreq(frames, 1 / SAMPLE_RATE), 1e-3)
    spectrum /= np.sqrt((1 + (low_hz / frequency) ** 4) * (1 + (frequency / high_hz) ** 4))
    return unit_rms(np.fft.irfft(spectrum, frames))


def decay(seconds: float) -> Audio:
    """Dying away: a fall by 60 dB over the duration."""
    return np.power(10.0, -3 * times(frames_in(seconds)) / seconds)


def burst(seconds: float, low_hz: float, high_hz: float, rng: Random) -> Audio:
    """Noise that dies away: wires, metal, the tail of a room."""
    return noise(frames_in(seconds), low_hz, high_hz, rng) * decay(seconds)


def unit_rms(sound: Audio) -> Audio:
    """The sound at an RMS of 1; silence stays silent."""
    return sound / max(float(np.sqrt(np.mean(sound**2))), 1e-12)


def harmonics(phase: Audio, gains: Iterable[npt.NDArray[np.complex128] | Audio]) -> Audio:
    """The sum of the harmonics of a phase, each under its own, changing gain.

    Made of the partials that are wanted and no others, a tone cannot alias.
    """
    turn = np.exp(1j * phase)
    partial = np.ones_like(turn)
    total = np.zeros_like(phase)
    for gain in gains:
        partial *= turn
        total += (gain * partial).imag
    return total


def raised_cosine(frames: int) -> Audio:
    """A ramp from 0 to 1 without corners."""
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(frames) + 0.5) / max(frames, 1))


def faded(sound: Audio, attack: float, release: float) -> Audio:
    """The sound with its edges rounded off, so that neither end clicks."""
    shaped: Audio = sound.copy()
    rise = raised_cosine(min(frames_in(attack), len(sound)))
    fall = raised_cosine(min(frames_in(release), len(sound)))[::-1]
    across = (slice(None), *[None] * (sound.ndim - 1))  # one gain for all channels
    shaped[: len(rise)] *= rise[across]
    shaped[len(sound) - len(fall) :] *= fall[across]
    return shaped


def place(track: Audio, sound: Audio, start: float) -> None:
    """Add a sound to a track; what would sound past its end is lost."""
    first = max(frames_in(start), 0)
    window = track[first : first + len(sound)]
    window += sound[: len(window)]


def panned(mono: Audio, position: float) -> Audio:
    """Stereo of equal power: position -1 is left, 0 the centre, 1 right."""
    angle = (position + 1) * math.pi / 4
    return np.outer(mono, [math.cos(angle), math.sin(angle)])


def in_room(dry: Audio, decay_seconds: float, wet_db: float, rng: Random) -> Audio:
    """A stereo track with a room around it: a tail of noise that differs from side to side."""
    size = len(dry) + frames_in(decay_seconds)
    wet = np.empty_like(dry)
    for side in range(2):
        tail = faded(burst(decay_seconds, 250, 6500, rng), 0.004, 0.02)
        tail /= np.sqrt(np.sum(tail**2))
        spectrum = np.fft.rfft(dry[:, side], size) * np.fft.rfft(tail, size)
        wet[:, side] = np.fft.irfft(spectrum, size)[: len(dry)]
    return dry + 10 ** (wet_db / 20) * wet


# --- Drums ---


class Drum(NamedTuple):
    """How a drum is struck, and where it stands: -1 is left, 1 is right."""

    strike: Callable[[Random], Audio]
    position: float


def falling_tone(seconds: float, high_hz: float, low_hz: float, drop_seconds: float) -> Audio:
    """A drumhead: a sine whose pitch drops while it dies away, with no offset left in it."""
    time = times(frames_in(seconds))
    turns = low_hz * time + (high_hz - low_hz) * drop_seconds * (1 - np.exp(-time / drop_seconds))
    envelope = decay(seconds)
    tone: Audio = np.sin(2 * np.pi * turns) * envelope
    tone -= envelope * (tone.mean() / envelope.mean())
    return tone


def together(*sounds: Audio) -> Audio:
    """Sounds that start at once, pressed into one body as tape would; their ends are rounded off."""
    total = np.zeros(max(map(len, sounds)))
    for sound in sounds:
        place(total, faded(sound, 0.0007, 0.008), 0)
    return np.tanh(total)


def kick(rng: Random) -> Audio:
    """A low head that drops fast, and the beater's click."""
    return together(0.95 * falling_tone(0.24, 190, 52, 0.025), 0.12 * burst(0.018, 1500, 5000, rng))


def snare(rng: Random) -> Audio:
    """Two modes of the shell, the wires, the stick."""
    return together(
        0.55 * falling_tone(0.30, 240, 186, 0.02),
        0.25 * falling_tone(0.26, 390, 331, 0.02),
        0.30 * burst(0.40, 1000, 8500, rng),
        0.08 * burst(0.03, 3000, 12000, rng),
    )


def closed_hat(rng: Random) -> Audio:
    """A tick of metal."""
    return together(0.15 * burst(0.09, 7500, 15000, rng))


def open_hat(rng: Random) -> Audio:
    """The same metal, left to ring."""
    return together(0.13 * burst(0.45, 6500, 15000, rng))


def crash(rng: Random) -> Audio:
    """A long wash of metal with a darker start."""
    return together(0.14 * burst(2.2, 3500, 13000, rng), 0.10 * burst(0.5, 1500, 9000, rng))


def high_tom(rng: Random) -> Audio:
    """A head a fifth above the low tom's."""
    return together(0.75 * falling_tone(0.38, 240, 150, 0.05), 0.06 * burst(0.05, 1000, 5000, rng))


def low_tom(rng: Random) -> Audio:
    """The lower of the two toms."""
    return together(0.85 * falling_tone(0.48, 170, 98, 0.05), 0.06 * burst(0.05, 800, 4000, rng))


KIT = {
    "kick": Drum(kick, 0.0),
    "snare": Drum(snare, -0.5),
    "closed hat": Drum(closed_hat, 0.7),
    "open hat": Drum(open_hat, 0.7),
    "crash": Drum(crash, -0.7),
    "high tom": Drum(high_tom, -0.6),
    "low tom": Drum(low_tom, 0.6),
}


def play_drums(bars: Sequence[Mapping[str, str]], frames: int, rng: Random) -> Audio:
    """The drums in their room, each stroke a little early or late, soft or hard."""
    track = np.zeros((frames, 2))
    for bar, pattern in enumerate(bars):
        for name, strokes in pattern.items():
            for step, stroke in enumerate(strokes):
                if stroke in VELOCITY:
                    late = float(np.clip(rng.normal(0, 0.0035), -0.009, 0.009))
                    velocity = VELOCITY[stroke] * float(rng.uniform(0.9, 1.05))
                    start = LEAD_IN_SECONDS + bar * BAR_SECONDS + step * BEAT_SECONDS / 4 + late
                    place(track, panned(velocity * KIT[name].strike(rng), KIT[name].position), start)
    return in_room(track, 0.45, -11, rng)


# --- Bass ---

BASS_BRIGHTEST_HZ = 2500.0


def play_bass(score: Iterable[str], frames: int) -> Audio:
    """A round synthesiser bass in the centre."""
    track = np.zeros(frames)
    for note in notes(score):
        time = times(frames_in(note.length * 0.94))
        cutoff = 260 + 750 * np.exp(-time / 0.13)  # a plucked filter: bright, then round
        count = int(BASS_BRIGHTEST_HZ / note.hertz)
        gains = (1 / k / (1 + (k * note.hertz / cutoff) ** 2) for k in range(1, count + 1))
        tone = harmonics(2 * np.pi * note.hertz * time, gains) * (0.55 + 0.45 * np.exp(-time / 0.5))
        place(track, faded(tone, 0.006, 0.05), note.start)
    return panned(track, 0.0)


# --- Lead: a voice without words ---

HOP = 64  # frames between two points of a voice's slow curves: pitch, loudness, formants
VOICE_BRIGHTEST_HZ = 12_000.0
GLOTTAL_SLOPE = 0.85  # 5 dB an octave, lips included: a bright voice
FORMANTS_HZ = {
    "a": (720, 1180, 2550, 3000, 3600),
    "e": (450, 1880, 2600, 3050, 3650),
    "o": (470, 830, 2500, 2950, 3550),
}
BANDWIDTHS_HZ = (80, 95, 130, 160, 220)


class Gesture(NamedTuple):
    """How a melody is sung: curves with a point every HOP frames."""

    semitones: Audio  # of the pitch, against A4
    loudness: Audio
    formants: Audio  # (points, formants), in hertz
    breath: Audio


def play_lead(score: Iterable[str], frames: int, rng: Random) -> Audio:
    """The voice in the centre, a room around it."""
    gesture = sing(notes(score), frames // HOP + 1, rng)
    points, frame = np.arange(len(gesture.loudness)) * HOP, np.arange(frames)

    pitch = 440 * 2 ** (gesture.semitones / 12)
    phase = 2 * np.pi * np.cumsum(np.interp(frame, points, pitch)) / SAMPLE_RATE
    voice = unit_rms(harmonics(phase, (np.interp(frame, points, gain) for gain in overtones(pitch, gesture))))

    hiss = noise(frames, 1500, 9000, rng) * (1 + 0.5 * np.cos(phase))  # the glottis chops the breath
    voice += np.interp(frame, points, gesture.breath) * hiss
    return in_room(panned(voice, 0.0), 0.8, -18, rng)


def sing(melody: Sequence[Note], points: int, rng: Random) -> Gesture:
    """Steps from note to note, made smooth: portamento, vowels that run into each other, syllables."""
    loudness, vibrato, breath = (np.zeros(points) for _ in range(3))
    semitones = np.full(points, above_a4(melody[0]))
    formants = np.tile(np.array(FORMANTS_HZ["a"], dtype=np.float64), (points, 1))
    end_of_last = 0.0
    for note in melody:
        target = above_a4(note)
        begin, end = point_at(note.start), point_at(note.start + note.length)
        if note.start - end_of_last > 0.01:  # a phrase begins: breathe in, and come to the note from below
            semitones[point_at(end_of_last + 0.1) : begin] = target - 1.5
            breath[point_at(max(note.start - 0.26, end_of_last)) : point_at(note.start - 0.06)] = 0.03
        semitones[begin:] = target
        formants[begin:] = FORMANTS_HZ[note.vowel]
        loudness[begin:end] = 1.0
        loudness[point_at(note.start + note.length - 0.045) : end] = 0.3  # the tongue closes
        vibrato[point_at(note.start + 0.28) : end] = 0.28
        end_of_last = note.start + note.length
    seconds = np.arange(points) * HOP / SAMPLE_RATE
    wobble = np.sin(2 * np.pi * (5.4 * seconds + 0.25 * np.sin(2 * np.pi * 0.37 * seconds)))
    drift = smooth(rng.standard_normal(points), 0.25)
    loudness = smooth(loudness, 0.06)
    return Gesture(
        semitones=smooth(semitones, 0.11) + smooth(vibrato, 0.25) * wobble + 0.5 * drift,
        loudness=loudness * (1 + 0.06 * smooth(vibrato, 0.25) / 0.28 * wobble),
        formants=np.stack([smooth(formant, 0.14) for formant in formants.T], axis=1),
        breath=smooth(breath, 0.12) + 0.02 * loudness,
    )


def above_a4(note: Note) -> float:
    """The pitch of a note in semitones."""
    return 12 * math.log2(note.hertz / 440)


def point_at(seconds: float) -> int:
    """The point of a slow curve that a time falls on."""
    return max(round(seconds * SAMPLE_RATE / HOP), 0)


def smooth(curve: Audio, seconds: float) -> Audio:
    """The curve under a bell-shaped moving average, its ends held."""
    half = max(point_at(seconds / 2), 1)
    bell = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(np.pad(curve, half, mode="edge"), bell / bell.sum(), mode="valid")


def overtones(pitch: Audio, gesture: Gesture) -> npt.NDArray[np.complex128]:
    """The gains of the overtones, (overtones, points): a pulse from the throat, shaped by the mouth."""
    count = int(VOICE_BRIGHTEST_HZ / pitch.min())
    harmonic = np.arange(1.0, count + 1)[:, None]
    frequency = harmonic * pitch
    mouth = np.ones(frequency.shape, dtype=np.complex128)
    for formant, bandwidth in zip(gesture.formants.T, BANDWIDTHS_HZ, strict=True):
        mouth *= formant**2 / (formant**2 - frequency**2 + 1j * frequency * bandwidth)
    darkening = np.clip(2 * (1 - frequency / VOICE_BRIGHTEST_HZ), 0, 1)  # to nothing over the last octave
    timbre = darkening * mouth * harmonic**-GLOTTAL_SLOPE
    evening = np.power(np.sum(np.abs(timbre) ** 2, axis=0), -0.3)  # of what a vowel gains or loses in loudness
    timbre *= gesture.loudness * evening
    return timbre


# --- The song ---


def compose(seconds: float) -> dict[str, npt.NDArray[np.int32]]:
    """The sources and their sum, 24-bit samples of shape (frames, 2), by name."""
    frames = frames_in(seconds)
    bars = max(round(seconds / BAR_SECONDS), 1)
    tracks = {
        "drums": play_drums(arranged(DRUMS, DRUMS_ENDING, bars), frames, np.random.default_rng([SEED, 0])),
        "bass": play_bass(arranged(BASS, BASS_ENDING, bars), frames),
        "lead": play_lead(arranged(MELODY, MELODY_ENDING, bars), frames, np.random.default_rng([SEED, 1])),
    }
    fade_out = min(FADE_OUT_SECONDS, seconds / 4)
    balanced = {
        name: faded(10 ** (BALANCE_DB[name] / 20) * unit_rms(track), 0.005, fade_out) for name, track in tracks.items()
    }
    mix = np.sum(list(balanced.values()), axis=0)
    loudest = max(float(np.abs(track).max()) for track in (mix, *balanced.values()))
    gain = FULL_SCALE * 10 ** (MIX_PEAK_DBFS / 20) / loudest
    sources = {name: np.rint(gain * track).astype(np.int32) for name, track in balanced.items()}
    return {"mix": np.sum(list(sources.values()), axis=0, dtype=np.int32), **sources}


def arranged(cycle: Sequence[Bar], ending: Bar, bars: int) -> list[Bar]:
    """The cycle again and again, and the ending as the last bar; a song of one bar has no ending."""
    body = [cycle[bar % len(cycle)] for bar in range(bars)]
    return [*body[:-1], ending] if bars > 1 else body


def describe(name: str, samples: npt.NDArray[np.int32]) -> dict[str, object]:
    """A track's file and levels."""
    level = samples / FULL_SCALE
    return {
        "file": f"{name}.wav",
        "peak_dbfs": decibels(float(np.abs(level).max())),
        "rms_dbfs": decibels(float(np.sqrt(np.mean(level**2)))),
    }


def decibels(amplitude: float) -> float:
    """An amplitude against full scale."""
    return round(20 * math.log10(amplitude), 2)


def duration(text: str) -> float:
    """Parse the length of a song."""
    seconds = float(text)
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"not from {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} seconds: {text}")
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Write a short song and the sources it is the sum of.")
    parser.add_argument("outdir", type=Path, help="folder for mix.wav, drums.wav, bass.wav and lead.wav")
    parser.add_argument("--seconds", type=duration, default=12.0, help="length (default: %(default)g)")
    arguments = parser.parse_args(argv)

    song = compose(arguments.seconds)
    arguments.outdir.mkdir(parents=True, exist_ok=True)
    for name, samples in song.items():
        # libsndfile takes the upper 24 of 32 bits.
        soundfile.write(arguments.outdir / f"{name}.wav", samples << 8, SAMPLE_RATE, subtype="PCM_24")
    summary = {
        "sample_rate": SAMPLE_RATE,
        "channels": 2,
        "frames": len(song["mix"]),
        "bpm": BPM,
        "tracks": {name: describe(name, samples) for name, samples in song.items()},
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
