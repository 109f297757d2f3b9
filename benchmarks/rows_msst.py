"""Rows about models with weights: the msst runtime against the command line of its engine, on CPU.

The engine is the real repository where `MSST_ENGINE=real` asks for it (see `make test-msst`), else the stand-in of the
tests, whose command line carries none of the real one's weight. Needs torch for the processor, as the rows of `torch`
do.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
from tests.integration.msst import engines
from tests.integration.msst.tiny_models import CONFIGS, STAND_IN_CONFIGS, Config, as_yaml

from benchmarks.measure import answer_of, in_turns, timed
from benchmarks.place import Place
from benchmarks.rows import About, Group, Outcomes, Row, ratio, share
from stemsep_envs.registry.recipes import load_runtime

_TYPE = "mel_band_roformer"
_SHORT_TRACKS, _SHORT_SECONDS, _LONG_SECONDS = 10, 3, 24
_STEMS = ("vocals", "instrumental")
_OWN = "python inference.py --force_cpu ..."
_BARS = {
    "msst-once": (1 / 15, 0.25),
    "msst-folder": (1 / 2.5, 1 / 1.3),
    "msst-long": (1 / 1.6, 1 / 1.3),
    "msst-long-memory": (1.3, 1.5),
}
"""Against the real engine (DESIGN section 11), and against the stand-in, which starts faster than the real one."""


@dataclass(frozen=True)
class _Bench:
    """An msst model, ours and the engine's way to separate with it."""

    place: Place
    program: list[str]
    env: dict[str, str]
    tree: Path
    reference: Path
    dir: Path

    def model(self, name: str, config: Config) -> None:
        """Make a checkpoint of random weights for a config, and a registry with it, as `name`."""
        config_path, checkpoint = self.dir / f"{name}.yaml", self.dir / f"{name}.ckpt"
        config_path.write_text(as_yaml(config))
        program = (engines.PROGRAMS / "msst_checkpoint.py", _TYPE, config_path, checkpoint, "plain")
        engines.done(engines.inside(self.reference, _TYPE, *program), self.engine_env, cwd=self.tree)
        artifacts = {
            "primary": self._stored(checkpoint, "checkpoint"),
            "config": self._stored(config_path, "config"),
        }
        _write_registry(self.dir / f"{name}.json", artifacts)
        timed([*self.program, "ensure", "tiny", "--registry", str(self.dir / f"{name}.json")], self.env)

    def ours(self, name: str, songs: Sequence[Path], out: Path) -> float:
        """Separate songs in one session; return the seconds it took."""
        shutil.rmtree(out, ignore_errors=True)
        registry = ("--registry", str(self.dir / f"{name}.json"))
        argv = [
            *self.program,
            "run",
            "tiny",
            *map(str, songs),
            "-o",
            str(out),
            *registry,
            "--filename",
            "{track}/{stem}",
        ]
        return timed(argv, self.env)

    def own(self, name: str, folder: Path, out: Path) -> tuple[float, int]:
        """Have the engine's command line separate a folder; return the seconds and the most bytes of memory it took."""
        shutil.rmtree(out, ignore_errors=True)
        arguments = (
            *("--model_type", _TYPE, "--config_path", self.dir / f"{name}.yaml", "--input_folder", folder),
            *("--start_check_point", self.dir / f"{name}.ckpt", "--store_dir", out),
            *("--force_cpu", "--extract_instrumental"),
        )
        script = (
            [self.reference, "inference.py"] if engines.REAL else engines.inside(self.reference, _TYPE, "inference.py")
        )
        argv = [str(part) for part in (*script, *arguments)]
        began = time.perf_counter()
        child = os.posix_spawn(
            "/bin/sh", ["sh", "-c", 'cd "$1" && shift && exec "$@" >/dev/null 2>&1', "sh", str(self.tree), *argv],
            self.engine_env,
        )  # fmt: skip
        _, status, usage = os.wait4(child, 0)
        elapsed = time.perf_counter() - began
        if status:
            raise RuntimeError(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
        return elapsed, usage.ru_maxrss * 1024

    @property
    def engine_env(self) -> dict[str, str]:
        """The environment of the engine's own programs."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.dir), "PYTHONPYCACHEPREFIX": str(self.dir / "bytecode")}

    def _stored(self, path: Path, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        blob = Path(self.env["STEMSEP_ENV_HOME"]) / "artifacts" / "sha256" / digest[:2] / digest
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        return {"kind": kind, "filename": path.name, "sha256": digest, "size": path.stat().st_size}


def _msst(place: Place) -> Outcomes:
    """Short tracks, one long track, and the first track of a new environment."""
    bench = _prepare(place)
    tiny = (CONFIGS if engines.REAL else STAND_IN_CONFIGS)[_TYPE]
    bench.model("tiny", tiny)
    folder = bench.dir / "short"
    songs = [_song(folder / f"{number}.wav", _SHORT_SECONDS, number) for number in range(_SHORT_TRACKS)]
    yield from _short(bench, folder, songs)
    yield _first_ever(bench, songs[0])
    yield from _long(bench, tiny)


def _short(bench: _Bench, folder: Path, songs: Sequence[Path]) -> Outcomes:
    ours_dir, own_dir, each = bench.dir / "ours", bench.dir / "own", bench.dir / "each"
    for song in songs:
        (each / song.stem).mkdir(parents=True, exist_ok=True)
        (each / song.stem / song.name).symlink_to(song)

    def once() -> float:
        return sum(bench.own("tiny", each / song.stem, bench.dir / "once")[0] for song in songs)

    sides = [lambda: bench.ours("tiny", songs, ours_dir), lambda: bench.own("tiny", folder, own_dir)[0], once]
    ours, own, once_each = in_turns(sides, n=_rounds(bench), warm_ups=0 if bench.place.quick else 1)
    note = f"{_SHORT_TRACKS} tracks of {_SHORT_SECONDS} s; {_same(ours_dir, own_dir)}; {_engine()}"
    for name, what, times in (
        ("msst-once", "short tracks in one session, against the engine's command line once a track", once_each),
        ("msst-folder", "the same, against the engine's command line over the folder", own),
    ):
        about = About(name, what, "stemsep-env run MODEL SONGS -o DIR", _OWN, bar=_bar(name), note=note)
        yield ratio(about, ours, times)


def _first_ever(bench: _Bench, song: Path) -> Row:
    def ever() -> float:
        bench.place.remove_environments()
        timed([*bench.program, "ensure", "tiny", "--registry", str(bench.dir / "tiny.json")], bench.env)
        return bench.ours("tiny", [song], bench.dir / "ever")

    sides = [ever, lambda: bench.ours("tiny", [song], bench.dir / "ever")]
    new, second = in_turns(sides, n=_rounds(bench), warm_ups=0)
    about = About(
        "msst-first-ever",
        "first track ever in a new environment, against the first of a second process",
        "stemsep-env run MODEL SONG -o DIR, right after ensure built the environment",
        "the same again",
        bar=1.3,
        note=_engine(),
    )
    return ratio(about, new, second)


def _long(bench: _Bench, tiny: Config) -> Outcomes:
    config = json.loads(json.dumps(tiny))
    if engines.REAL:  # the published Mel-Roformers' widths and chunks, and one of their six layers
        config["inference"]["num_overlap"] = 2
        config["audio"] |= {"chunk_size": 352800, "hop_length": 441}
        config["model"] |= {
            "dim": 384, "dim_head": 64, "heads": 8, "num_bands": 60, "stft_hop_length": 441,
            "mask_estimator_depth": 2, "mlp_expansion_factor": 4,
        }  # fmt: skip
    bench.model("wide", config)
    folder = bench.dir / "long"
    song = _song(folder / "long.wav", _LONG_SECONDS, 99)
    memory: list[int] = []

    def own() -> float:
        seconds, most = bench.own("wide", folder, bench.dir / "own-long")
        memory.append(most)
        return seconds

    n = _rounds(bench)
    ours, theirs = in_turns([lambda: bench.ours("wide", [song], bench.dir / "ours-long"), own], n=n, warm_ups=0)
    record = json.loads((bench.dir / "ours-long" / "run.json").read_bytes())
    same = _same(bench.dir / "ours-long", bench.dir / "own-long")
    about = About(
        "msst-long",
        "one long track, against the engine's command line",
        "stemsep-env run MODEL SONG -o DIR",
        _OWN,
        bar=_bar("msst-long"),
        note=f"{_LONG_SECONDS} s; {same}; {_engine()}",
    )
    yield ratio(about, ours, theirs)
    about = About(
        "msst-long-memory",
        "the most memory of either",
        "peak_memory_bytes of the record",
        "ru_maxrss of the engine's process",
        bar=_bar("msst-long-memory"),
    )
    yield share(about, record["tracks"][0]["peak_memory_bytes"], median(memory), n=n)


def _bar(name: str) -> float:
    """Return a bar: what is promised against the real engine, and what is held against the stand-in."""
    real, stand_in = _BARS[name]
    return real if engines.REAL else stand_in


def _rounds(bench: _Bench) -> int:
    """Rounds take minutes: one when few are wanted."""
    return 1 if bench.place.quick else 3


def _prepare(place: Place) -> _Bench:
    """Build an environment with the engine."""
    folder = place.dir / "msst"
    folder.mkdir()
    runtimes = engines.CHECKOUT / "runtimes" if engines.REAL else engines.stand_in(folder)
    env = dict(place.env)
    if engines.REAL:
        env["HOME"] = str(folder)
        engines.mirror(folder, load_runtime(runtimes, "msst").recipe)
    program = [place.tool]
    if not engines.REAL:
        program = [place.python, str(engines.PROGRAMS / "with_runtimes.py"), str(runtimes)]
    registry = folder / "environment.json"
    _write_registry(registry, {})
    built = answer_of([*program, "ensure", "tiny", "--registry", str(registry), "--json"], env)
    python = Path(built["models"][0]["python"])
    receipt = json.loads((python.parents[2] / "receipt.json").read_text("utf-8"))
    tree = Path(env["STEMSEP_ENV_HOME"]) / "engines" / receipt["inputs"]["engine"] / "tree"
    reference = engines.reference(python, folder / "reference") if engines.REAL else python
    return _Bench(place, program, env, tree, reference, folder)


def _write_registry(path: Path, artifacts: dict[str, Any]) -> None:
    entry = {
        "id": "tiny",
        "name": "Tiny",
        "architecture": "Other",
        "links": {},
        "stems": list(_STEMS),
        "runtime": {"allowed": ["msst"], "preferred": "msst", "model_type": _TYPE},
        "artifacts": artifacts,
    }
    path.write_text(json.dumps({"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [entry]}))


def _song(path: Path, seconds: int, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = 0.1 * np.random.default_rng(seed).standard_normal((44100 * seconds, 2))
    soundfile.write(path, audio.astype(np.float32), 44100, subtype="FLOAT")
    return path


def _same(ours: Path, own: Path) -> str:
    """Say whether both made the same samples."""
    for path in sorted(ours.rglob("*.wav")):
        mine, _ = soundfile.read(path, dtype="float32")
        theirs, _ = soundfile.read(own / path.relative_to(ours), dtype="float32")
        if not np.array_equal(mine, theirs):
            return f"OTHER SAMPLES in {path.relative_to(ours)}"
    return "the same samples"


def _engine() -> str:
    return "the real engine" if engines.REAL else "the tests' stand-in for the engine"


GROUPS = (Group("msst", ("msst-once", "msst-folder", "msst-first-ever", "msst-long", "msst-long-memory"), _msst),)
