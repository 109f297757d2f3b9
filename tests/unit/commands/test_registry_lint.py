"""`registry lint`: whose file is changed, when, and how it is written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.commands.registry_lint import lint_file, lint_rules
from stemsep_envs.errors import InvalidDocumentError, StemsepEnvError, UsageError
from stemsep_envs.host.paths import default_registry_path
from stemsep_envs.registry.lint import linting
from stemsep_envs.registry.lint.linting import lint
from stemsep_envs.registry.lint.rules import RULES


@pytest.fixture
def crooked(tmp_path: Path, shipped_entries: dict[str, dict[str, Any]]) -> Path:
    """A registry with two defects, one of which can be put right; tabs, Windows line ends and a byte-order mark."""
    entry = {**shipped_entries["dsp-hpss"], "metrics": {"sdr": 0.0}, "phase_fix": {"reference_model_id": "nobody"}}
    document = {"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [entry]}
    path = tmp_path / "models.json"
    text = json.dumps(document, indent="\t", ensure_ascii=False).replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return path


def refused(code: str, **arguments: Any) -> StemsepEnvError:
    with pytest.raises(UsageError) as caught:
        lint_file(arguments.pop("path", None), **arguments)
    assert caught.value.code == code
    return caught.value


def test_the_report_counts_what_it_lists(crooked: Path) -> None:
    before = crooked.read_bytes()
    report = lint_file(crooked)
    assert (report.model_count, report.errors, report.warnings) == (1, 1, 1)
    assert Counter(finding.severity for finding in report.findings) == {"error": 1, "warning": 1}
    assert {finding.code: finding.fixable for finding in report.findings} == {
        "phase_reference_unknown": False,
        "metric_zero": True,
    }
    assert (report.fixed, report.written) == ((), None)
    assert crooked.read_bytes() == before


def test_a_correction_leaves_every_other_byte(crooked: Path) -> None:
    before = crooked.read_bytes()
    report = lint_file(crooked, fix=True)
    assert [finding.code for finding in report.fixed] == ["metric_zero"]
    assert [finding.code for finding in report.findings] == ["phase_reference_unknown"]
    assert report.written == str(crooked)
    assert crooked.read_bytes() == before.replace(b"0.0", b"null")
    stamp = crooked.stat().st_mtime_ns
    assert lint_file(crooked, fix=True).written is None
    assert crooked.stat().st_mtime_ns == stamp


def test_another_file_is_written_when_asked_for(crooked: Path, tmp_path: Path) -> None:
    before = crooked.read_bytes()
    assert lint_file(crooked, fix=True, output=tmp_path / "new.json").written == str(tmp_path / "new.json")
    assert crooked.read_bytes() == before
    assert lint_file(tmp_path / "new.json").warnings == 0


def test_the_shipped_file_is_not_changed_unless_that_is_said(tmp_path: Path, crooked: Path) -> None:
    before = default_registry_path().read_bytes()
    refused("registry_shipped", fix=True)
    refused("registry_shipped", path=crooked, fix=True, output=default_registry_path())
    assert default_registry_path().read_bytes() == before
    assert lint_file(None, fix=True, output=tmp_path / "copy.json").written == str(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == before
    assert lint_file(None, fix=True, allow_shipped=True).written is None  # there is nothing to put right in it


def test_a_file_that_somebody_else_changes_meanwhile_is_left(crooked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fixing(text: str, *rest: Any, **more: Any) -> Any:
        crooked.write_bytes(b"theirs")
        return real(text, *rest, **more)

    real = linting.fix
    monkeypatch.setattr(linting, "fix", fixing)
    refused("registry_changed", path=crooked, fix=True)
    assert crooked.read_bytes() == b"theirs"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    refused("registry_missing", path=tmp_path / "none.json")
    refused("registry_unreadable", path=tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InvalidDocumentError, match=r"latin\.json"):
        lint_file(tmp_path / "latin.json")


def test_rules_that_do_not_exist(crooked: Path) -> None:
    assert "waltz" in refused("usage", path=crooked, rules=["metric_zero", "waltz"]).message
    assert [finding.code for finding in lint_file(crooked, rules=["metric_zero"]).findings] == ["metric_zero"]


def test_the_rules_are_told() -> None:
    assert [rule.code for rule in lint_rules().rules] == list(RULES)


def test_linting_is_for_anybody_s_text(crooked: Path) -> None:
    assert lint(crooked.read_text("utf-8-sig"), {}, origin="x").model_count == 1
