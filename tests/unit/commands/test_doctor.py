"""What `doctor` advises."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.commands.doctor import examine_host
from stemsep_envs.documents.accelerators import KNOWN_BUILDS


def codes() -> list[str]:
    return [finding.code for finding in examine_host().advice]


def test_it_looks_and_makes_nothing_but_caches(isolated: Path) -> None:
    report = examine_host()
    assert (report.home.path, report.home.exists, report.home.environments) == (str(isolated), False, 0)
    made = {path.relative_to(isolated).parts[0] for path in isolated.rglob("*")} if isolated.exists() else set()
    assert made <= {"cache", "holds"}
    assert report.registry_models
    assert "home_not_writable" not in codes()


def test_a_registry_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(tmp_path / "nowhere.json"))
    report = examine_host()
    assert report.registry_models is None
    assert "registry_missing" in [finding.code for finding in report.advice]


def test_a_broken_registry_is_counted_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(tmp_path / "broken.json"))
    assert examine_host().registry_models is None


def test_a_home_below_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "file" / "home"))
    assert not examine_host().home.writable
    assert "home_not_writable" in codes()


def test_it_accounts_for_every_build_and_runtime() -> None:
    report = examine_host()
    here = {facts.accelerator for facts in report.accelerators}
    others = {facts.accelerator for facts in report.unusable}
    assert here | others == {"cpu", *KNOWN_BUILDS}
    assert not here & others
    assert all(facts.why for facts in report.unusable)
    assert [chosen.runtime for chosen in report.targets] == list(report.runtimes)
    dsp = next(chosen for chosen in report.targets if chosen.runtime == "dsp")
    assert dsp.target is not None
    assert dsp.target.accelerator == "cpu"


def test_every_piece_of_advice_says_what_to_do() -> None:
    assert all(finding.hint for finding in examine_host().advice)
