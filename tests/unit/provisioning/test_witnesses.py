"""What an answer of `ensure` rests on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemsep_envs.commands import ensure
from stemsep_envs.host.paths import data_dir
from stemsep_envs.planning.plan import PlanOptions
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning import environment


def test_witnesses_are_all_that_was_read_searched_and_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    (tmp_path / "pyenv" / "versions" / "3.99.0").mkdir(parents=True)
    plan = plan_model("dsp-hpss", PlanOptions()).plan
    assert plan is not None
    folder = tmp_path / "home" / "environments" / "abc"

    def made(plan: Any, **_: Any) -> SimpleNamespace:
        receipt = SimpleNamespace(adopted=None)
        return SimpleNamespace(
            digest="ab" * 32, dir=folder, python=folder / "python", reused=True, steps_seconds={}, receipt=receipt
        )

    monkeypatch.setattr(environment, "ensure_planned", made)
    found = ensure.ensure_models(["dsp-hpss"], PlanOptions()).witnesses
    dsp = data_dir("runtimes") / "dsp"
    assert {data_dir("registry") / "models.v2.source.json", dsp.parent, dsp / "runtime.toml", dsp / "locks"} <= set(
        found.read
    )
    assert set((dsp / "locks").glob("*.txt")) <= set(found.read)
    assert {folder / "receipt.json", folder / "python"} <= set(found.made)
    versions = tmp_path / "pyenv" / "versions"
    assert {
        versions,
        versions / "3.99.0" / "bin",
        tmp_path / "home" / "interpreters",
        tmp_path / "home" / "adopted",
    } <= set(found.searched)
    assert [path.name for path in found.used_marks] == ["last-used"]
