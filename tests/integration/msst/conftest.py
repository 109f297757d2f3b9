"""An msst engine, its environments and its own command line.

The engine is a stand-in of ours (`tests/programs/msst_engine`), unless `MSST_ENGINE=real` asks for the real repository
at the commit that the recipe pins: `make test-msst`. Where it cannot be reached, `MSST_MIRROR` is the address of a
mirror.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from tests.conftest import PROGRAMS
from tests.integration.conftest import CHECKOUT, PROGRAM, Answer, Cli, shared
from tests.integration.msst import engines
from tests.integration.msst.tiny_models import Config, as_yaml
from tests.integration.separators.conftest import Workshop, entry, stems_in, write_registry

from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.registry.recipes import load_runtime

Audio = npt.NDArray[np.float32]
RATE = 44100


@dataclass(frozen=True)
class Engine:
    """The engine under test: where its tree is, who runs its programs, how our command line is called.

    Attributes:
        tree: The engine's folder, as it was made for our workers.
        program: Our command line.
        reference: By model type: the interpreter that runs the engine's own programs.
        folder: What tests of this engine share.
    """

    tree: Path
    program: Sequence[Path | str]
    recipe: RuntimeRecipe
    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    pythons: dict[str, Path] = field(default_factory=dict)

    def shop(self, model_type: str) -> Workshop:
        """The environment of a model type, built at the first call."""
        key = " ".join(self.recipe.model_types[model_type].packages)
        if key not in self.pythons:
            registry = write_registry(self.folder / "environment.json", entry("msst", model_type, ["vocals"], {}))
            done = engines.done([*self.program, "ensure", "tiny", "--registry", registry, "--json"], self.environ)
            self.pythons[key] = Path(json.loads(done)["models"][0]["python"])
        home = Path(self.environ["STEMSEP_ENV_HOME"])
        return Workshop("msst", self.pythons[key], home, self.folder, self.environ)

    def reference(self, model_type: str) -> Path:
        """The interpreter for the engine's own programs: for the real engine an environment with all they import."""
        built = self.shop(model_type).python
        if not engines.REAL:
            return built
        packages = self.recipe.model_types[model_type].packages
        return engines.reference(built, self.folder / f"reference-{packages[0][:6] if packages else 'stock'}")

    def run_inside(self, model_type: str, *arguments: str | Path, python: Path | None = None) -> str:
        """Run a program in the engine's folder, with what the adapter puts in place of absent packages."""
        command = engines.inside(python or self.shop(model_type).python, model_type, *arguments)
        kept = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
        }
        return engines.done(command, kept, cwd=self.tree)


@dataclass(frozen=True)
class TinyModel:
    """A config and random weights for it."""

    engine: Engine
    model_type: str
    config: Config
    config_path: Path
    checkpoint: Path

    @property
    def computed(self) -> list[str]:
        """The stems that the engine computes."""
        training = self.config["training"]
        everything = self.model_type == "htdemucs" or not training["target_instrument"]
        return list(training["instruments"]) if everything else [training["target_instrument"]]

    def entry(self, *stems: str, **runtime: Any) -> dict[str, Any]:
        """Its entry in a registry."""
        shop = self.engine.shop(self.model_type)
        artifacts = {
            "primary": shop.artifact(self.checkpoint),
            "config": shop.artifact(self.config_path, kind="config", filename="config.yaml"),
        }
        made = entry("msst", self.model_type, list(stems) or [*self.computed, "instrumental"], artifacts)
        made["runtime"] |= runtime
        return made

    def own_stems(self, song: Path, out: Path, *options: str) -> dict[str, Audio]:
        """What the engine's own command line makes of a track."""
        folder = out / "in"
        folder.mkdir(parents=True)
        (folder / song.name).symlink_to(song)
        self.engine.run_inside(
            self.model_type,
            "inference.py",
            *("--model_type", self.model_type, "--config_path", self.config_path),
            *("--start_check_point", self.checkpoint, "--input_folder", folder, "--store_dir", out / "own"),
            *("--force_cpu", "--extract_instrumental", *options),
            python=self.engine.reference(self.model_type),
        )
        return stems_in(out / "own" / song.stem)


@pytest.fixture(scope="session")
def engine(environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = shared(tmp_path_factory) / "msst"
    folder.mkdir(exist_ok=True)
    runtimes = CHECKOUT / "runtimes" if engines.REAL else engines.stand_in(folder)
    recipe = load_runtime(runtimes, "msst").recipe
    program: Sequence[Path | str] = (
        [PROGRAM] if engines.REAL else [sys.executable, PROGRAMS / "with_runtimes.py", runtimes]
    )
    if engines.REAL:
        engines.mirror(Path(environ["HOME"]), recipe)
    made = Engine(Path(), program, recipe, environ, folder)
    shop = made.shop("bs_roformer")
    receipt = json.loads((shop.python.parents[2] / "receipt.json").read_text("utf-8"))
    tree = shop.home / "engines" / receipt["inputs"]["engine"] / "tree"
    return Engine(tree, program, recipe, environ, folder, made.pythons)


Tiny = Callable[..., TinyModel]


@pytest.fixture(scope="session")
def tiny(engine: Engine) -> Tiny:
    """Make a tiny model of a type, once for each config."""

    def make(model_type: str, config: Config, name: str = "", form: str = "plain") -> TinyModel:
        folder = engine.folder / f"{model_type}-{name or form}"
        made = TinyModel(engine, model_type, config, folder / "config.yaml", folder / "model.ckpt")
        if not made.checkpoint.exists():
            folder.mkdir(exist_ok=True)
            made.config_path.write_text(as_yaml(config), "utf-8")
            python = engine.reference(model_type)
            program = (PROGRAMS / "msst_checkpoint.py", model_type, made.config_path, made.checkpoint, form)
            engine.run_inside(model_type, *program, python=python)
        return made

    return make


Separate = Callable[..., Answer]


@pytest.fixture
def separate(tmp_path: Path, engine: Engine) -> Separate:
    """Run our command line on an entry and a track; keyword arguments are settings; stems are in ``out``."""

    def run(model: dict[str, Any], song: Path, *options: str, **settings: Any) -> Answer:
        registry = write_registry(tmp_path / "registry.json", model)
        chosen = [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]
        out = ("-o", tmp_path / "out", "--filename", "{stem}", "--existing", "overwrite", "--json")
        cli = Cli(tmp_path, engine.environ, tuple(engine.program))
        return cli("run", "tiny", song, "--registry", registry, *out, *chosen, *options)

    return run


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a track of noise and a tone, float, not near full scale, once for each length."""
    folder = shared(tmp_path_factory) / "msst" / "tracks"

    def make(frames: int, channels: int = 2) -> Path:
        path = folder / f"track{frames}x{channels}.wav"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            random = np.random.default_rng(frames)
            audio = 0.1 * random.standard_normal((frames, channels)).astype(np.float32)
            audio += 0.1 * np.sin(0.05 * np.arange(frames, dtype=np.float32))[:, np.newaxis]
            soundfile.write(path, audio, RATE, subtype="FLOAT")
        return path

    return make
