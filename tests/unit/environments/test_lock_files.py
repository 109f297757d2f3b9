"""Which lock files answer their question still, and what changed between two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stemsep_envs.documents.lock import Lock, LockInputs, Pin
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.lock_files import file_state, package_changes, strangers

INPUTS = LockInputs(parse_target("linux-x86_64-cpu"), "3.11", ("numpy>=1.26",))
LOCK = Lock(INPUTS, "uv 0.13", "2026-01-01", (Pin("numpy", "2.0", ("a" * 64,)), Pin("soxr", "1.0", ("b" * 64,))))


def codes(inputs: LockInputs, folder: Path, name: str = "lock.txt") -> list[str]:
    return [reason.code for reason in file_state(inputs, folder, name).reasons]


def test_states(tmp_path: Path) -> None:
    assert codes(INPUTS, tmp_path) == ["lock_missing"]
    (tmp_path / "any name.txt").write_text(LOCK.text())
    assert codes(INPUTS, tmp_path) == []  # found by its digest, not by its name
    other = replace(INPUTS, requires=("numpy>=2",))
    assert codes(other, tmp_path) == ["lock_missing"]
    assert codes(other, tmp_path, "any name.txt") == ["lock_inputs_changed"]
    (words,) = [reason.message for reason in file_state(other, tmp_path, "any name.txt").reasons]
    assert "numpy>=1.26 is no longer required; numpy>=2 is new" in words
    (tmp_path / "any name.txt").write_text(LOCK.text().replace("2.0", "2.1"))
    assert codes(INPUTS, tmp_path) == ["lock_mismatch"]


def test_strangers_are_found_by_their_questions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LOCK.text())
    (tmp_path / "notes.txt").write_text("not a lock")
    assert strangers(tmp_path, frozenset({INPUTS.digest})) == ()
    assert [path.name for path in strangers(tmp_path, frozenset())] == ["a.txt"]


def test_changes_by_name() -> None:
    after = replace(LOCK, pins=(Pin("av", "1", ("c" * 64,)), Pin("numpy", "2.1", ("d" * 64,))))
    assert [(item.name, item.change, item.before, item.after) for item in package_changes(LOCK, after)] == [
        ("av", "added", None, "1"),
        ("numpy", "version", "2.0", "2.1"),
        ("soxr", "removed", "1.0", None),
    ]
    rebuilt = replace(LOCK, pins=(Pin("numpy", "2.0", ("e" * 64,)), LOCK.pins[1]))
    assert [(item.name, item.change) for item in package_changes(LOCK, rebuilt)] == [("numpy", "files")]
    assert package_changes(LOCK, LOCK) == ()
