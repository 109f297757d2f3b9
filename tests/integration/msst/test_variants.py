"""Variants of the msst engine side by side: each in a tree of its own, none mistaken for another.

With the stand-in engine the module files are ours (`tests/programs/msst_modules`). With the real one they are the
published ones, `hyperace_v1.py` and `hyperace_v2.py` in the folder that `MSST_MODULES` names; without it HyperACE is
left out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import PROGRAMS
from tests.integration.conftest import CHECKOUT, Answer, Cli, shared
from tests.integration.msst import conftest as msst
from tests.integration.msst.tiny_models import CONFIGS, STAND_IN_CONFIGS, as_yaml
from tests.integration.separators.conftest import entry, stems_in, write_registry

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("msst")]

MODULE = "models/bs_roformer/bs_roformer.py"
BRINGS_ITS_CODE = ("hyperace_v1", "hyperace_v2")
VARIANTS = ("stock", *BRINGS_ITS_CODE, "fno")
REAL = os.environ.get("MSST_ENGINE") == "real"
FOLDER = os.environ.get("MSST_MODULES")
GIT = ("git", "-c", "user.name=msst", "-c", "user.email=msst@example.invalid")
FRAMES = 20_000
Record = Callable[..., Path]


@dataclass(frozen=True)
class Variants:
    """Checkpoints and module files of each variant, and a folder of runtimes that has them.

    Attributes:
        engine: The engine whose variants they are.
        program: Our command line, with these runtimes.
        folder: Where everything is.
        config_path: The config that all of them share.
    """

    engine: msst.Engine
    program: Sequence[Path | str]
    folder: Path
    config_path: Path

    def module(self, variant: str) -> Path:
        return self.folder / f"{variant}.py"

    def checkpoint(self, variant: str) -> Path:
        return self.folder / f"{variant}.ckpt"

    def entry(self, weights: str | None, variant: str, module: str | None = None) -> dict[str, Any]:
        """An entry with the weights of one variant that says it is of another, with the module file of a third."""
        if REAL and FOLDER is None and {weights, variant, module} & set(BRINGS_ITS_CODE):
            pytest.skip("MSST_MODULES names no folder with the published module files")
        shop = self.engine.shop("bs_roformer")
        artifacts: dict[str, Any] = {
            "config": shop.artifact(self.config_path, kind="config", filename="config.yaml"),
        }
        if weights is not None:
            artifacts["primary"] = shop.artifact(self.checkpoint(weights))
        if variant in BRINGS_ITS_CODE:
            path = self.module(module or variant)
            artifacts["additional"] = [shop.artifact(path, kind="patch", filename="bs_roformer.py")]
        made = entry("msst", "bs_roformer", ["vocals", "instrumental"], artifacts)
        made["runtime"] |= {"variant": None if variant == "stock" else variant}
        return made

    def tree(self, digest: str) -> Path:
        return Path(self.engine.environ["STEMSEP_ENV_HOME"]) / "engines" / digest / "tree"

    def call(self, folder: Path, command: str, model: dict[str, Any], *arguments: str | Path) -> Answer:
        registry = write_registry(folder / "registry.json", model)
        cli = Cli(folder, self.engine.environ, tuple(self.program))
        return cli(command, "tiny", *arguments, "--registry", registry, "--json")

    def run(self, folder: Path, model: dict[str, Any], song: Path) -> Answer:
        return self.call(folder, "run", model, song, "-o", folder / "out", "--filename", "{stem}")

    def python(self, variant: str, folder: Path) -> Path:
        """The interpreter of a variant's environment."""
        answer = self.call(folder, "ensure", self.entry(None, variant))
        assert answer.code == 0, answer
        return Path(answer.document("ensure")["models"][0]["python"])


def stand_ins(engine: msst.Engine, folder: Path) -> Path:
    """Write module files of ours, and runtimes whose variants are written for the engine that stands in."""
    for variant in VARIANTS[1:]:
        text = (PROGRAMS / "msst_modules" / "variant.py").read_text("utf-8")
        (folder / f"{variant}.py").write_text(text.replace('KIND = "hyperace_v1"', f'KIND = "{variant}"'), "utf-8")
    runtimes = folder / "runtimes"
    shutil.copytree(engine.folder / "runtimes", runtimes)
    shutil.copy(folder / "fno.py", runtimes / "msst" / "patches" / "fno.py")
    recipe = runtimes / "msst" / "runtime.toml"
    text = recipe.read_text("utf-8")
    (base,) = set(re.findall(r'base_sha256 = "([0-9a-f]{64})"', text))
    text = text.replace(base, digest_of(engine.tree / MODULE))
    kept, _, own = text.partition("[variants.fno]")
    assert "\n[" not in own.partition("[[variants.fno.patches]]")[2]
    step = re.sub(r'source_sha256 = ".*"', f'source_sha256 = "{digest_of(folder / "fno.py")}"', own)
    step = step.partition("[[variants.fno.patches]]")[2].replace("patches/fno.diff", "patches/fno.py")
    step = step.replace('kind = "diff"', 'kind = "replace"')
    recipe.write_text(f'{kept}[variants.fno]\ndescription = "Ours."\n\n[[variants.fno.patches]]{step}', "utf-8")
    return runtimes


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def variants(engine: msst.Engine, tmp_path_factory: pytest.TempPathFactory) -> Variants:
    folder = shared(tmp_path_factory) / "msst-variants"
    folder.mkdir()
    program = engine.program
    if REAL:
        for path in [Path(FOLDER) / f"{variant}.py" for variant in BRINGS_ITS_CODE] if FOLDER else ():
            shutil.copy(path, folder)
    else:
        program = [sys.executable, PROGRAMS / "with_runtimes.py", stand_ins(engine, folder)]
    config = dict((CONFIGS if REAL else STAND_IN_CONFIGS)["bs_roformer"])
    config["model"] = {name: value for name, value in config["model"].items() if name not in {"zero_dc", "use_pope"}}
    config_path = folder / "config.yaml"
    config_path.write_text(as_yaml(config), "utf-8")
    made = Variants(engine, program, folder, config_path)
    for variant in VARIANTS if not REAL or FOLDER else ("stock", "fno"):
        (folder / f"work-{variant}").mkdir()
        python = made.python(variant, folder / f"work-{variant}")
        written = (PROGRAMS / "msst_checkpoint.py", "bs_roformer", config_path, made.checkpoint(variant), "plain")
        of_variant(made, variant).run_inside("bs_roformer", *written, python=python)
    return made


def of_variant(variants: Variants, variant: str) -> msst.Engine:
    """The engine with a variant's tree, which was made before."""
    environments = Path(variants.engine.environ["STEMSEP_ENV_HOME"]) / "environments"
    python = variants.python(variant, variants.folder / f"work-{variant}")
    receipt = json.loads((environments / python.relative_to(environments).parts[0] / "receipt.json").read_text("utf-8"))
    return replace(variants.engine, tree=variants.tree(receipt["inputs"]["engine"]))


def own_stems(variants: Variants, variant: str, song: Path, folder: Path) -> dict[str, msst.Audio]:
    """What the engine's own command line makes of a track, in the variant's tree."""
    engine = of_variant(variants, variant)
    python = reference(variants, variant)
    checkpoint = folder / "weights-alone.ckpt"
    engine.run_inside(
        "bs_roformer", PROGRAMS / "msst_weights.py", variants.checkpoint(variant), checkpoint, python=python
    )
    (folder / "in").mkdir()
    (folder / "in" / song.name).symlink_to(song)
    engine.run_inside(
        "bs_roformer",
        "inference.py",
        *("--model_type", "bs_roformer", "--config_path", variants.config_path, "--start_check_point", checkpoint),
        *("--input_folder", folder / "in", "--store_dir", folder / "own", "--force_cpu", "--extract_instrumental"),
        python=python,
    )
    return stems_in(folder / "own" / song.stem)


def reference(variants: Variants, variant: str) -> Path:
    """The interpreter for the engine's own programs, with what the variant needs."""
    python = variants.engine.reference("bs_roformer")
    if REAL and variant == "fno":
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
        built = variants.python(variant, variants.folder / "work-fno")
        freeze = subprocess.run([uv, "pip", "freeze", "--python", built], capture_output=True, text=True, check=True)
        install: list[str | Path] = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            python,
            *freeze.stdout.split(),
        ]
        subprocess.run(install, check=True, timeout=600)
    return python


@pytest.mark.parametrize("variant", VARIANTS)
def test_stems_equal_the_patched_engines_own_program(
    variant: str, variants: Variants, record: Record, tmp_path: Path
) -> None:
    track = record(FRAMES)
    answer = variants.run(tmp_path, variants.entry(variant, variant), track)
    assert answer.code == 0, answer
    ours, own = stems_in(tmp_path / "out"), own_stems(variants, variant, track, tmp_path)
    assert set(ours) == set(own) == {"vocals", "instrumental"}
    for stem, samples in own.items():
        assert np.abs(samples).max() > 1e-4, "there is something to compare"
        np.testing.assert_array_equal(ours[stem], samples, stem)


def test_each_has_a_tree_of_its_own_and_the_stock_one_stays(variants: Variants) -> None:
    there = [variant for variant in VARIANTS if variants.checkpoint(variant).is_file()]
    trees = {variant: of_variant(variants, variant).tree for variant in there}
    assert len(set(trees.values())) == len(there)
    assert trees["stock"] == variants.engine.tree
    stock = {path: digest_of(variants.engine.tree / path) for path in files_of(variants.engine.tree)}
    for variant, tree in trees.items():
        changed = {path for path in files_of(tree) if digest_of(tree / path) != stock.get(path)}
        assert changed == ({MODULE} if variant != "stock" else set())


def files_of(tree: Path) -> list[str]:
    return [path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("weights", "variant"), [*itertools.permutations(VARIANTS, 2)])
def test_no_pairing_that_is_wrong_runs(
    weights: str, variant: str, variants: Variants, record: Record, tmp_path: Path
) -> None:
    answer = variants.run(tmp_path, variants.entry(weights, variant), record(FRAMES))
    error = answer.error("model_failed", 1)
    says = "the registry names no variant" if variant == "stock" else f"the registry says {variant}"
    assert says in error["message"]
    assert "this checkpoint is a" in error["message"]
    assert (f"to {weights}" if weights != "stock" else "Take runtime.variant out") in error["hint"]


def test_the_module_file_of_another_variant_is_refused(variants: Variants, record: Record, tmp_path: Path) -> None:
    model = variants.entry("hyperace_v1", "hyperace_v1", module="hyperace_v2")
    error = variants.run(tmp_path, model, record(FRAMES)).error("model_failed", 1)
    assert "the module file that came with this model makes a HyperACE v2 model" in error["message"]


def test_commit_with_another_file_is_refused_with_hashes(
    variants: Variants, engine: msst.Engine, tmp_path: Path
) -> None:
    if REAL:
        pytest.skip("needs a commit of ours")
    repository = engine.folder / "repository"
    (tmp_path / "clone").mkdir()
    clone = shutil.copytree(repository, tmp_path / "clone" / "repository")
    (clone / MODULE).write_text("# newer\n" + (clone / MODULE).read_text("utf-8"), "utf-8")
    subprocess.run([*GIT, "-C", clone, "commit", "--quiet", "--all", "--message", "two"], check=True, timeout=60)
    head = subprocess.run([*GIT, "-C", clone, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    runtimes = shutil.copytree(variants.folder / "runtimes", tmp_path / "runtimes")
    recipe = runtimes / "msst" / "runtime.toml"
    text = re.sub(r'(?m)^commit = ".*"$', f'commit = "{head.stdout.strip()}"', recipe.read_text("utf-8"))
    recipe.write_text(text.replace(f"file://{repository}", f"file://{clone}"), "utf-8")
    drifted = replace(variants, program=[sys.executable, PROGRAMS / "with_runtimes.py", runtimes])
    for variant in VARIANTS[1:]:
        answer = drifted.call(tmp_path, "ensure", variants.entry(variant, variant))
        error = answer.error("patch_mismatch", 4)
        assert digest_of(repository / MODULE) in error["message"]
        assert digest_of(clone / MODULE) in error["message"]


def test_the_recipe_that_ships_is_what_is_tested(variants: Variants) -> None:
    shipped = (CHECKOUT / "runtimes" / "msst" / "runtime.toml").read_text("utf-8")
    assert {f"[variants.{variant}]" in shipped for variant in VARIANTS[1:]} == {True}
