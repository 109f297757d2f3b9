"""Where the msst engine of tests and benchmarks comes from, and what its own programs need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stemsep_envs.documents.engine_source import GitSource
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.registry.recipes import load_runtime

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAMS = CHECKOUT / "tests" / "programs"
REAL = os.environ.get("MSST_ENGINE") == "real"
"""Whether the real repository is asked for, not our stand-in."""

PROGRAM_PACKAGES = ("librosa>=0.11", "matplotlib", "torchmetrics", "lightning-utilities", "pytorch-lightning")
"""What the real engine's own programs take besides an environment of ours, and inference does not."""

UNDECLARED_PACKAGES = ("torchaudio==2.11.0", "openunmix", "spafe")
"""Installed without what they declare: torchaudio wants the CUDA build of torch."""

_GIT = ("git", "-c", "user.name=msst", "-c", "user.email=msst@example.invalid")


def source(recipe: RuntimeRecipe) -> GitSource:
    """The recipe's engine."""
    assert isinstance(recipe.engine, GitSource)
    return recipe.engine


def done(command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run a program that must succeed; return what it printed."""
    ended = subprocess.run(
        command, env=dict(environ), cwd=cwd, capture_output=True, text=True, timeout=1200, check=False
    )
    assert ended.returncode == 0, (command, ended.stdout[-4000:], ended.stderr[-4000:])
    return ended.stdout


def stand_in(folder: Path) -> Path:
    """A folder of runtimes whose msst has our own engine, in a git repository; made once."""
    repository, runtimes = folder / "repository", folder / "runtimes"
    if not (runtimes / "ready").exists():
        shutil.copytree(PROGRAMS / "msst_engine", repository, ignore=shutil.ignore_patterns("__pycache__"))
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "one"]):
            done([*_GIT, "-C", str(repository), *command], os.environ)
        commit = done([*_GIT, "-C", str(repository), "rev-parse", "HEAD"], os.environ).strip()
        shutil.copytree(CHECKOUT / "runtimes", runtimes, ignore=shutil.ignore_patterns("__pycache__"))
        recipe = runtimes / "msst" / "runtime.toml"
        shipped = source(load_runtime(CHECKOUT / "runtimes", "msst").recipe)
        text = recipe.read_text("utf-8")
        text = text.replace(shipped.commit, commit).replace(shipped.repository, f"file://{repository}")
        # Environments of the stand-in have one set of packages.
        recipe.write_text(text.replace('packages = ["demucs==4.1.0"]', "packages = []"), "utf-8")
        (runtimes / "ready").touch()
    return runtimes


def mirror(home: Path, recipe: RuntimeRecipe) -> None:
    """Have git, with this home, take the engine from the mirror that the user names, if one is named."""
    address = os.environ.get("MSST_MIRROR")
    if address:
        (home / ".gitconfig").write_text(f'[url "{address}"]\n\tinsteadOf = {source(recipe).repository}\n', "utf-8")


def reference(built: Path, folder: Path) -> Path:
    """An interpreter for the real engine's own programs: what an environment of ours has, and all that they import."""
    python = folder / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).parent / "uv")
        done([uv, "venv", "--quiet", "--python", built, folder], os.environ)
        frozen = done([uv, "pip", "freeze", "--python", built], os.environ).split()
        install = (uv, "pip", "install", "--quiet", "--python", python)
        done([*install, *frozen, *PROGRAM_PACKAGES], os.environ)
        done([*install, "--no-deps", *UNDECLARED_PACKAGES], os.environ)
        for library in folder.glob("lib/python*/site-packages/torchaudio/lib/*.so"):
            library.unlink()  # made for CUDA; its functions in Python are all that is used
    return python


def inside(python: Path, model_type: str, *arguments: str | Path) -> list[str | Path]:
    """The command that runs a program of the engine, to be run in its folder."""
    return [python, PROGRAMS / "msst_inside.py", CHECKOUT / "runtimes" / "msst" / "adapter", model_type, *arguments]
