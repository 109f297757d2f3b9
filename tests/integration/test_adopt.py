"""Adopting an interpreter: checked, used as it is, never changed, said so everywhere, and refused once it changes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.conftest import valid
from uv import find_uv_bin

from stemsep_envs.cli.app import run_app

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("adopt"),
    pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX"),
]

NEEDED = ("numpy<3", "soundfile<1", "soxr<2", "av<19")
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A virtual environment that somebody else made, with what dsp needs and more."""
    return installed(tmp_path / "their module", *NEEDED, "einops")


def installed(folder: Path, *packages: str) -> Path:
    subprocess.run([find_uv_bin(), "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    add(python, *packages)
    return python


def add(python: Path, *packages: str) -> None:
    arguments = ["pip", "install", "-q", "--python", str(python), "--link-mode", "copy", *packages]
    subprocess.run([find_uv_bin(), *arguments], check=True)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run_app([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def content(folder: Path) -> dict[str, str]:
    """Every file of a tree, by hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_interpreter_is_adopted_used_and_left_as_it_is(module: Path, tmp_path: Path, call: Call) -> None:
    before = content(module.parents[1])
    code, report = call("env", "adopt", str(module), "dsp-hpss")
    assert code == 0
    receipt = valid(report, "env.adopt")["receipt"]
    assert receipt["builder"]["name"] == "adopted"
    assert receipt["adopted"]["python"] == str(module)
    assert any("einops" in words for words in receipt["adopted"]["differences"])
    digest = receipt["digest"]

    for model in ("dsp-hpss", "dsp-hpr"):  # all that need the same
        code, ensured = call("ensure", model)
        assert code == 0
        assert [(item["environment"], item["reused"]) for item in ensured["models"]] == [(digest, True)]
    assert call("env", "verify", digest[:12])[0] == 0

    soundfile.write(tmp_path / "song.wav", np.random.default_rng(1).normal(0, 0.1, (44100, 2)), 44100)
    code, _ = call("run", "dsp-hpss", str(tmp_path / "song.wav"), "-o", str(tmp_path / "out"))
    assert code == 0
    record = valid(json.loads((tmp_path / "out" / "run.json").read_bytes()), "run")
    assert record["environment"]["adopted"] == str(module)
    assert content(module.parents[1]) == before


def test_unfit_interpreter_is_refused_with_every_reason(tmp_path: Path, call: Call, isolated: Path) -> None:
    python = installed(tmp_path / "other", "soundfile<1", "numpy<3")
    code, report = call("env", "adopt", str(python), "dsp-hpss")
    assert code == 6
    findings = report["error"]["findings"]
    assert {finding["code"] for finding in findings} == {"adopted_unfit"}
    words = " ".join(finding["message"] for finding in findings)
    assert "av is not there (runtime dsp: packages[3])" in words
    assert "soxr is not there" in words
    assert not (isolated / "adopted").exists()
    assert run_app(["env", "adopt", str(tmp_path / "none"), "dsp-hpss"]) == 2
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    assert call("env", "adopt", str(script), "dsp-hpss")[0] == 2


def test_once_it_changes_nothing_is_taken_in_its_place(module: Path, call: Call) -> None:
    code, report = call("env", "adopt", str(module), "dsp-hpss")
    digest = report["receipt"]["digest"]
    subprocess.run([find_uv_bin(), "pip", "uninstall", "-q", "--python", str(module), "soxr"], check=True)
    code, answer = call("ensure", "dsp-hpss")
    assert code == 6
    (finding,) = [item for item in answer["error"]["findings"] if item["code"] == "adopted_changed"]
    assert "soxr" in finding["message"]
    assert call("env", "verify", digest[:12])[0] != 0
    (listed,) = call("env", "list")[1]["environments"]
    assert (listed["adopted"], listed["state"]) == (str(module), "broken")
    code, collected = call("env", "gc", "--max-age", "0")  # or the next `ensure` would build something else unasked
    assert (code, collected["removed"]) == (0, [])
    assert call("ensure", "dsp-hpss")[0] == 6

    add(module, "soxr<2")
    assert call("env", "adopt", str(module), "dsp-hpss")[0] == 0
    code, ensured = call("ensure", "dsp-hpss")
    assert code == 0
    code, _ = call("env", "remove", ensured["models"][0]["environment"], "--yes")
    code, ensured = call("ensure", "dsp-hpss")  # removed: an environment is built, as before
    assert code == 0
    assert ensured["models"][0]["python"] != str(module)
    listed = call("env", "list")[1]["environments"]
    assert ensured["models"][0]["environment"] in {item["digest"] for item in listed}
