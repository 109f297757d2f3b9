"""Which code a record tells of, and what counts as a change of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stemsep_envs.host.paths import INSIDE_DIR, data_dir
from stemsep_envs.registry.recipes import load_runtime
from stemsep_envs.separation import code_digests as module
from stemsep_envs.separation.code_digests import CodeDigests, code_digest, code_digests


def test_code_is_told_apart_by_names_and_content(tmp_path: Path) -> None:
    def tree(name: str, **files: str) -> str:
        for file, text in files.items():
            path = tmp_path / name / f"{file}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / name / "__pycache__").mkdir(exist_ok=True)
        (tmp_path / name / "__pycache__" / "a.pyc").write_bytes(name.encode())
        return code_digest(tmp_path / name)

    assert tree("one", a="1", b="2") == tree("same", a="1", b="2")
    assert len({tree("two", a="1"), tree("three", a="2"), tree("four", b="1"), tree("five", a="1", b="")}) == 4
    assert code_digest(tmp_path / "one" / "a.py") == code_digest(tmp_path / "same" / "a.py")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code that runs in environments, which digests are taken of."""
    copy = shutil.copytree(INSIDE_DIR, tmp_path / "inside", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "INSIDE_DIR", copy)
    return copy


def digests() -> CodeDigests:
    return code_digests(load_runtime(data_dir("runtimes"), "dsp"))


@pytest.mark.parametrize("name", ["entry.py", "stems.py", "checkpoints/reading.py"])
def test_an_edit_of_what_workers_load_is_a_change(inside: Path, name: str) -> None:
    before = digests()
    (inside / name).write_text((inside / name).read_text() + "\n# edited\n")
    assert digests().worker != before.worker
    assert digests().adapter == before.adapter


@pytest.mark.parametrize("name", ["probe.py", "convert.py", "build_backend.py"])
def test_an_edit_of_other_programs_is_none(inside: Path, name: str) -> None:
    before = digests()
    (inside / name).write_text((inside / name).read_text() + "\n# edited\n")
    assert digests() == before


def test_no_host_code_is_digested(tmp_path: Path) -> None:
    assert {"connection.py", "ingest.py", "session.py"}.isdisjoint(path.name for path in INSIDE_DIR.rglob("*.py"))
