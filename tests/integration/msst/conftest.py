"""An msst engine, its environments and its own command line.

The engine is a stand-in of ours (`tests/programs/msst_engine`), unless `MSST_ENGINE=real` asks for the real repository
at the commit that the recipe pins: `make test-msst`. Where it cannot be reached, `MSST_MIRROR` is the address of a
mirror.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
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
from tests.integration.msst.tiny_models import Config, as_yaml
from tests.integration.separators.conftest import Workshop, entry, stems_in, write_registry

from stemsep_envs.documents.engine_source import GitSource
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.registry.recipes import load_runtime

Audio = npt.NDArray[np.float32]
RATE = 44100
REAL = os.environ.get("MSST_ENGINE") == "real"
GIT = ("git", "-c", "user.name=msst", "-c", "user.email=msst@example.invalid")

# What the real engine's own programs take besides an environment of ours, and inference does not.
PROGRAM_PACKAGES = ("librosa>=0.11", "matplotlib", "torchmetrics", "lightning-utilities", "pytorch-lightning")
UNDECLARED_PACKAGES = ("torchaudio==2.11.0", "openunmix", "spafe")
"""Installed without what they declare: torchaudio wants the CUDA build of torch."""


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
            done = _done([*self.program, "ensure", "tiny", "--registry", registry, "--json"], self.environ)
            self.pythons[key] = Path(json.loads(done)["models"][0]["python"])
        home = Path(self.environ["STEMSEP_ENV_HOME"])
        return Workshop("msst", self.pythons[key], home, self.folder, self.environ)

    def reference(self, model_type: str) -> Path:
        """The interpreter for the engine's own programs: for the real engine an environment with all they import."""
        built = self.shop(model_type).python
        if not REAL:
            return built
        packages = self.recipe.model_types[model_type].packages
        python = self.folder / f"reference-{len(packages)}-{packages[0][:6] if packages else ''}" / "bin" / "python"
        if not python.exists():
            uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
            _done([uv, "venv", "--quiet", "--python", built, python.parents[1]], os.environ)
            frozen = _done([uv, "pip", "freeze", "--python", built], os.environ).split()
            install = (uv, "pip", "install", "--quiet", "--python", python)
            _done([*install, *frozen, *PROGRAM_PACKAGES], os.environ)
            _done([*install, "--no-deps", *UNDECLARED_PACKAGES], os.environ)
            for library in python.parents[1].glob("lib/python*/site-packages/torchaudio/lib/*.so"):
                library.unlink()  # made for CUDA; its functions in Python are all that is used
        return python

    def run_inside(self, model_type: str, *arguments: str | Path, python: Path | None = None) -> str:
        """Run a program in the engine's folder, with what the adapter puts in place of absent packages."""
        adapter = CHECKOUT / "runtimes" / "msst" / "adapter"
        command = [python or self.shop(model_type).python, PROGRAMS / "msst_inside.py", adapter, model_type, *arguments]
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return _done(command, kept, cwd=self.tree)


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


def _done(command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, env=dict(environ), cwd=cwd, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, (command, done.stdout[-4000:], done.stderr[-4000:])
    return done.stdout


def _source(recipe: RuntimeRecipe) -> GitSource:
    assert isinstance(recipe.engine, GitSource)
    return recipe.engine


def _stand_in(folder: Path) -> Path:
    """A folder of runtimes whose msst has our own engine, in a git repository."""
    repository, runtimes = folder / "repository", folder / "runtimes"
    if not (runtimes / "ready").exists():
        shutil.copytree(PROGRAMS / "msst_engine", repository, ignore=shutil.ignore_patterns("__pycache__"))
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "one"]):
            _done([*GIT, "-C", str(repository), *command], os.environ)
        commit = _done([*GIT, "-C", str(repository), "rev-parse", "HEAD"], os.environ).strip()
        shutil.copytree(CHECKOUT / "runtimes", runtimes, ignore=shutil.ignore_patterns("__pycache__"))
        recipe = runtimes / "msst" / "runtime.toml"
        shipped = _source(load_runtime(CHECKOUT / "runtimes", "msst").recipe)
        text = recipe.read_text("utf-8")
        text = text.replace(shipped.commit, commit).replace(shipped.repository, f"file://{repository}")
        # Environments of the stand-in have one set of packages.
        recipe.write_text(text.replace('packages = ["demucs==4.1.0"]', "packages = []"), "utf-8")
        (runtimes / "ready").touch()
    return runtimes


@pytest.fixture(scope="session")
def engine(environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = shared(tmp_path_factory) / "msst"
    folder.mkdir(exist_ok=True)
    runtimes = CHECKOUT / "runtimes" if REAL else _stand_in(folder)
    recipe = load_runtime(runtimes, "msst").recipe
    program: Sequence[Path | str] = [PROGRAM] if REAL else [sys.executable, PROGRAMS / "with_runtimes.py", runtimes]
    mirror = os.environ.get("MSST_MIRROR")
    if REAL and mirror:
        config = Path(environ["HOME"]) / ".gitconfig"
        config.write_text(f'[url "{mirror}"]\n\tinsteadOf = {_source(recipe).repository}\n', "utf-8")
    made = Engine(Path(), program, recipe, environ, folder)
    made.shop("bs_roformer")
    (tree,) = (Path(environ["STEMSEP_ENV_HOME"]) / "engines").glob("*/tree/inference.py")
    return Engine(tree.parent, program, recipe, environ, folder, made.pythons)


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
