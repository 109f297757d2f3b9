"""What `make demo` does: make a song, separate it twice in environments of their own, and measure the stems.

Run by the Python that this package is installed in; the song is made and measured by the Python of the model's own
environment, which is where numpy and soundfile are.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from stemsep_envs import StemsepEnvError, ensure, separate
from stemsep_envs.documents.events import Event
from stemsep_envs.documents.run import RunRecord
from stemsep_envs.host.command import Command
from stemsep_envs.host.processes import run

CHECKOUT = Path(__file__).resolve().parents[1]
DEMO_DIR = CHECKOUT / ".demo"
SONG_DIR = DEMO_DIR / "song"
STEMS_DIR = DEMO_DIR / "stems"

CHECKS: dict[str, dict[str, tuple[str, ...]]] = {
    "dsp-hpss": {"percussive": ("drums",), "harmonic": ("bass", "lead")},
    "dsp-centre-side": {"centre": ("bass", "lead")},
}
"""Model to the sources that each of its stems should be."""


def main() -> int:
    """Run the demo; return an exit code."""
    os.environ.setdefault("STEMSEP_ENV_HOME", str(DEMO_DIR / "home"))
    model = next(iter(CHECKS))
    print(f"1. An environment of its own for {model}")
    python = show_ensure(model)
    print("   and once more: it is there already")
    show_ensure(model)
    print("\n2. A song: drums, a bass and a sung-like lead")
    facts = json.loads(call(python, CHECKOUT / "demo" / "song.py", str(SONG_DIR)))
    seconds = facts["frames"] / facts["sample_rate"]
    print(f"   {SONG_DIR / 'mix.wav'} ({seconds:.0f} s, {facts['sample_rate']} Hz stereo)")
    print("\n3. Separated, and compared with the sources (SI-SDR in dB, higher is better)")
    for name, stems in CHECKS.items():
        record = separate(name, SONG_DIR / "mix.wav", STEMS_DIR, existing="overwrite", on_event=show_step)
        show_run(record)
        show_quality(python, name, stems)
    print(f"\nListen: {SONG_DIR / 'mix.wav'}\n        {STEMS_DIR}")
    return 0


def show_ensure(model: str) -> Path:
    """Make sure of a model's environment, say what it took, and return its Python."""
    began = time.monotonic()
    ensured = ensure(model, on_event=show_step).models[0]
    took = time.monotonic() - began
    if ensured.reused:
        print(f"   environment {ensured.environment[:12]} reused in {took:.2f} s")
    else:
        steps = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in ensured.steps_seconds.items())
        print(f"   environment {ensured.environment[:12]} built in {took:.2f} s ({steps})")
    return Path(ensured.python)


def show_step(event: Event) -> None:
    """Say which step begins."""
    if event.event == "step" and event.message:
        print(f"   ... {event.step}: {event.message}")


def show_run(record: RunRecord) -> None:
    """Say where the stems are and what each step took."""
    (track,) = record.tracks
    if track.error is not None or track.timings is None:
        raise SystemExit(f"   {track.error.message if track.error else 'no stems'}")
    for made in track.outputs:
        print(f"   {STEMS_DIR / made.path}")
    session, timings = record.timings, track.timings
    print(
        f"   preflight {session.preflight_seconds:.2f} s, environment {session.environment_seconds:.2f} s, "
        f"start {session.start_seconds:.2f} s, load {session.load_seconds:.2f} s, decode {timings.decode_seconds:.2f} s"
    )
    print(
        f"   separate {timings.separate_seconds:.2f} s, encode {timings.encode_seconds:.2f} s, "
        f"our own part of the track {timings.overhead_seconds:.3f} s"
    )


def show_quality(python: Path, model: str, stems: dict[str, tuple[str, ...]]) -> None:
    """Measure the stems against the known sources and print the improvement."""
    pairs = []
    for stem, sources in stems.items():
        references = "+".join(str(SONG_DIR / f"{source}.wav") for source in sources)
        pairs += ["--pair", f"{STEMS_DIR / model / 'mix' / stem}.wav={references}"]
    measured = json.loads(call(python, CHECKOUT / "demo" / "sisdr.py", "--mix", str(SONG_DIR / "mix.wav"), *pairs))
    for (stem, sources), pair in zip(stems.items(), measured["pairs"], strict=True):
        against = " + ".join(sources)
        change = f"{pair['before_db']:6.2f} -> {pair['after_db']:6.2f} dB ({pair['improvement_db']:+.2f})"
        print(f"   {stem:<11} against {against:<12} {change}")


def call(python: Path, script: Path, *arguments: str) -> str:
    """Run a script of the demo with the environment's Python and return what it prints."""
    command = Command((str(python), "-I", str(script), *arguments), {"PATH": os.defpath, "LANG": "C.UTF-8"}, CHECKOUT)
    done = run(command, timeout_seconds=600)
    if done.status != 0:
        raise SystemExit(f"{script.name} failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StemsepEnvError as error:
        sys.exit(f"error: {error.message}\n  {error.hint or ''}")
