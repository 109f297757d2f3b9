"""Made-up rows are seen everywhere: each is written into one file of a copy of the sources, which then runs.

An accelerator, a sandbox level (a module and its row), an output format and a link mode.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

ACCELERATOR = """
    Family(
        name="npu",
        title="NPU",
        device="neural",
        platforms=PLATFORM_NAMES,
        absent="there is no neural processor",
        find=lambda machine: Found("a made-up processor", (Device("N1", "1", 4 * 10**9),))
        if machine.exists("@DEVICE@")
        else None,
        prefix="npu",
        number="[0-9]+[.][0-9]+",
        dotted=True,
        pattern_in_words="npuN.N",
        example="npu8.1",
        builds=("npu8.0", "npu8.1"),
        runtime_library="neural-runtime",
        packages=("triton-npu",),
        device_nodes=("npu[0-9]*",),
        readable=("/etc/npu",),
    ),
"""

LEVEL = """
    LevelRow(
        name="vault",
        implementation="vault.Vault",
        systems=None,
        promises=_ALL_HELD,
        enough_for="pickled",
    ),
"""

LEVEL_MODULE = '''
"""A level that says that it holds everything."""

from stemsep_envs.sandbox.hygiene import Hygiene
from stemsep_envs.sandbox.policy import AXES, Measurement


class Vault(Hygiene):
    name = "vault"

    def measure(self) -> Measurement:
        return Measurement(available=True, axes=dict.fromkeys(AXES, "held"), reason="made up")
'''

FORMAT = """
    OutputFormat("aiff", ("24", "16")),
"""

LINK_MODE = """
    LinkModeRow(name="symlink", why="made up", needs=("same_file_system",), shares_files=True),
"""

ROWS = {
    "documents/accelerators.py": ("FAMILIES: tuple[Family, ...] = (", ACCELERATOR),
    "sandbox/level_table.py": ("LEVELS: tuple[LevelRow, ...] = (", LEVEL),
    "documents/audio.py": ('    OutputFormat("wav", ("32f", "16", "24")),', FORMAT),
    "documents/link_modes.py": ("LINK_MODES: tuple[LinkModeRow, ...] = (", LINK_MODE),
}
"""Each file with the line that the row is written after."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkout whose tables have one more row each, and a model that runs on the accelerator."""
    root = tmp_path_factory.mktemp("grown")
    source = root / "src" / "stemsep_envs"
    shutil.copytree(CHECKOUT / "src" / "stemsep_envs", source)
    (root / "schemas").symlink_to(CHECKOUT / "schemas")
    shutil.copytree(CHECKOUT / "runtimes" / "dsp", root / "runtimes" / "dsp")
    registry = json.loads((CHECKOUT / "registry" / "models.v2.source.json").read_text("utf-8"))
    registry["models"] = [model for model in registry["models"] if model["id"] == "dsp-hpss"]
    registry["models"][0]["runtime"]["devices"] = ["npu", "cpu"]
    (root / "registry").mkdir()
    (root / "registry" / "models.v2.source.json").write_text(json.dumps(registry), "utf-8")
    recipe = root / "runtimes" / "dsp" / "runtime.toml"
    text = recipe.read_text("utf-8")
    assert text.count('accelerators = ["cpu"]') == 1
    recipe.write_text(text.replace('accelerators = ["cpu"]', 'accelerators = ["npu", "cpu"]'), "utf-8")
    (root / "npu0").touch()
    for file, (line, row) in ROWS.items():
        text = (source / file).read_text("utf-8")
        assert text.count(line) == 1, file
        (source / file).write_text(text.replace(line, line + row.replace("@DEVICE@", str(root / "npu0"))), "utf-8")
    (source / "sandbox" / "vault.py").write_text(LEVEL_MODULE, "utf-8")
    return root


def python(grown: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(grown / "src"), "STEMSEP_ENV_HOME": str(grown / "home"), **variables}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)


def answer(grown: Path, code: str, **variables: str) -> Any:
    """Return what a program prints as JSON."""
    done = python(grown, "-c", code, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def command(grown: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(grown, "-m", "stemsep_envs", *arguments, COLUMNS="200")


WORDS = """
import json
from pydantic import TypeAdapter
from stemsep_envs.documents.base import validate
from stemsep_envs.documents.registry_execution import TorchRequirement
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target, parse_target

def refused(text):
    try:
        parse_target(text)
    except ValueError as error:
        return str(error)

target = parse_target("linux-x86_64-npu8.1")
print(json.dumps({
    "target": [target.family.name, target.device],
    "pattern": TypeAdapter(Target).json_schema()["pattern"],
    "recipes": RuntimeRecipe.model_json_schema()["properties"]["accelerators"]["items"]["enum"],
    "requirement": validate({"npu": ["8.1"]}, TorchRequirement, origin="x").builds(),
    "refused": [refused("linux-x86_64-gpu"), refused("nowhere")],
}))
"""


def test_a_new_accelerator_has_targets_and_words(grown: Path) -> None:
    said = answer(grown, WORDS)
    assert said["target"] == ["npu", "neural"]
    assert "npu[0-9]+[.][0-9]+" in said["pattern"]
    assert "npu" in said["recipes"]
    assert said["requirement"] == {"npu": ["8.1"]}
    assert "npuN.N" in said["refused"][0]
    assert "npu8.1" in said["refused"][1]


DEVICES = """
import json
from stemsep_envs.host.accelerators import detect, memory_gb, usable_accelerators, why_not
from stemsep_envs.host.machine import this_machine
from stemsep_envs.sandbox.system_files import DEVICE_NODES, DRIVER_FILES

platform, found = this_machine().platform, detect()
print(json.dumps({
    "usable": [item.accelerator for item in usable_accelerators(found, platform)],
    "memory_gb": memory_gb("npu8.1", found),
    "why_not": why_not("npu8.1", {}, platform),
    "nodes": DEVICE_NODES,
    "files": DRIVER_FILES,
}))
"""


def test_a_new_accelerator_is_found_and_confined(grown: Path) -> None:
    said = answer(grown, DEVICES)
    assert said["usable"][:2] == ["npu8.1", "npu8.0"]
    assert said["memory_gb"] == 4.0
    assert said["why_not"] == "there is no neural processor"
    assert "npu[0-9]*" in said["nodes"]
    assert "/etc/npu" in said["files"]


NEEDS = """
import json, os
from pathlib import Path
from stemsep_envs.documents.base import validate
from stemsep_envs.documents.configuration import Configuration
from stemsep_envs.documents.lock import Pin
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.resolving import build_of
from stemsep_envs.environments.targets import target_reasons
from stemsep_envs.environments.torch_index import FAMILY, find_torch_index, uv_arguments
from stemsep_envs.host.paths import Home

recipe = validate({
    "id": "engine", "title": "E", "description": "E.", "python": {"min": "3.10"}, "accelerators": ["npu"],
    "packages": [], "accelerator_packages": {"npu": ["neural"]}, "torch": {"min": "2.3"}, "decodes": ["wav"],
    "encodes": ["wav"], "model_types": {"plain": {}}, "health": {"imports": []},
}, RuntimeRecipe, origin="x")
target = parse_target("linux-x86_64-npu8.1")
asked = [merge(recipe, [*runtime_demands(recipe), model_demand("m", builds={"npu": builds})])
         for builds in (["8.0"], ["npu8.1"])]
clash = merge(recipe, [model_demand("a", builds={"npu": ["8.0"]}), model_demand("b", builds={"npu": ["8.1"]})])
home = Home(Path(os.environ["STEMSEP_ENV_HOME"]))
validate({"torch_index": {"npu8.1": "/srv/wheels"}}, Configuration, origin="x")
print(json.dumps({
    "refused": [reason.message for reason in target_reasons(asked[0], target)],
    "served": [reason.message for reason in target_reasons(asked[1], target)],
    "clash": [reason.message for reason in clash.conflicts],
    "lines": asked[1].lines(target.family.name),
    "index": uv_arguments(find_torch_index(target, ("torch",), home=home, environ={}), target),
    "variable": find_torch_index(target, ("torch",), home=home,
                           environ={"STEMSEP_ENV_TORCH_INDEX_NPU8_1": "https://example.org/npu"}).address,
    "family": FAMILY,
    "build": build_of([Pin("neural-runtime", "8.1.3", ())], target.family),
}))
"""


def test_a_new_accelerator_counts_in_requirements(grown: Path) -> None:
    said = answer(grown, NEEDS)
    assert said["refused"] == [
        "linux-x86_64-npu8.1 cannot be used: runtime engine, model m allow npu8.0",
    ]
    assert said["served"] == []
    assert said["clash"] == ["no NPU build of torch can serve: model a allows npu8.0; model b allows npu8.1"]
    assert "neural" in said["lines"]
    assert said["index"] == ["--torch-backend", "npu8.1"]
    assert said["variable"] == "https://example.org/npu"
    assert "triton-npu" in said["family"]
    assert said["build"] == "npu8.1"


def test_the_command_line_uses_a_new_accelerator_and_level(grown: Path) -> None:
    done = command(grown, "preflight", "dsp-hpss", "--json", "--allow-level", "vault")
    resolved = json.loads(done.stdout)["resolved"]
    assert (resolved["target"].rpartition("-")[2], resolved["device"]) == ("npu8.1", "neural")
    assert resolved["target_reason"] == "a made-up processor"
    assert resolved["sandbox"]["level"] == "vault"
    assert resolved["sandbox"]["axes"]["gpu"] == "limited"  # the worker is given the device


def test_the_command_line_takes_the_new_accelerator_s_words(grown: Path) -> None:
    by_family = command(grown, "preflight", "dsp-hpss", "--json", "--target", "npu", "--sandbox", "vault")
    assert json.loads(by_family.stdout)["resolved"]["target"].endswith("npu8.1")
    wrong = command(grown, "preflight", "dsp-hpss", "--json", "--target", "linux-x86_64-gpu")
    assert "npuN.N" in json.loads(wrong.stdout)["error"]["message"]


def test_help_offers_the_new_rows(grown: Path) -> None:
    text = command(grown, "run", "--help").stdout
    assert "[vault|container|namespaces|seatbelt|landlock|hygiene]" in text
    assert "[wav|aiff|flac|mp3|m4a|opus]" in text
    assert "32f for wav, 24 for aiff, 24 for flac" in text
    assert "-npu8.1" in text


LEVELS_AND_FILES = """
import json
from pathlib import Path
from stemsep_envs.documents.environment import Builder
from stemsep_envs.documents.run import OutputOptions
from stemsep_envs.environments.linking import choose_link_mode, mode_found
from stemsep_envs.sandbox.level_table import LEVEL_ORDER, level_row
from stemsep_envs.sandbox.levels import candidates, choose, level_named
from stemsep_envs.separation.output_options import output_options

level = level_named("vault")
here = Path.cwd()
print(json.dumps({
    "order": LEVEL_ORDER,
    "candidates": candidates(None),
    "chosen": choose("hygiene", None, None, {"vault": level.measure()}).level,
    "boundary": level_row("vault").is_boundary,
    "format": output_options(format="aiff").model_dump()["bit_depth"],
    "formats": OutputOptions.model_json_schema()["properties"]["format"]["enum"],
    "link": choose_link_mode(here, here).mode,
    "receipt": Builder(name="uv", version="1", link_mode="symlink", link_reason="x").link_mode,
}))
"""


def test_a_new_level_format_and_link_mode_are_chosen(grown: Path) -> None:
    said = answer(grown, LEVELS_AND_FILES)
    assert said["order"][0] == "vault"
    assert said["candidates"][0] == "vault"
    assert (said["chosen"], said["boundary"]) == ("vault", True)
    assert said["format"] == "24"
    assert "aiff" in said["formats"]
    assert said["link"] == said["receipt"] == "symlink"


def test_a_variable_names_a_new_link_mode(grown: Path) -> None:
    said = answer(grown, LEVELS_AND_FILES, STEMSEP_ENV_LINK_MODE="symlink")
    assert said["link"] == "symlink"
