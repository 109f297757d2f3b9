"""The catalogue: one entry found without the others, outlines kept and never trusted wrongly."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemsep_envs.documents.base import plain
from stemsep_envs.documents.registry import parse_registry, registry_warnings
from stemsep_envs.errors import InvalidDocumentError, UsageError
from stemsep_envs.registry import catalogue as catalogue_module
from stemsep_envs.registry import outline as outline_module
from stemsep_envs.registry.catalogue import nearest, open_catalogue, read_catalogue
from stemsep_envs.registry.outline import make_outline, store_outline, stored_outline

Write = Callable[..., Path]
Make = Callable[[int], dict[str, Any]]


@pytest.fixture(autouse=True)
def every_registry_is_large_and_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "_SMALL_BYTES", 0)
    monkeypatch.setattr(catalogue_module, "_SETTLED_SECONDS", -1e9)


def kept_files(cache_dir: Path) -> list[Path]:
    return [path for path in cache_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "options",
    [{}, {"indent": 2}, {"ensure_ascii": False}, {"bom": True}, {"bom": True, "ensure_ascii": False, "indent": 1}],
)
def test_every_entry_is_found_where_it_stands(
    write_registry: Write, make_registry: Make, tmp_path: Path, options: dict[str, Any]
) -> None:
    value = make_registry(130)
    path = write_registry(value, **options)
    for _ in range(2):  # read whole, then through the kept outline
        catalogue = open_catalogue(path, cache_dir=tmp_path / "cache")
        assert catalogue.ids() == tuple(entry["id"] for entry in value["models"])
        assert [plain(catalogue.get(model_id)) for model_id in catalogue.ids()] == value["models"]
        assert [(line.id, line.name, line.stems) for line in catalogue.summaries()] == [
            (entry["id"], entry["name"], tuple(entry["stems"])) for entry in value["models"]
        ]
        assert catalogue.problems == ()
    assert catalogue.data is None


def test_realistic_registry_is_valid_and_round_trips(make_registry: Make) -> None:
    value = make_registry(130)
    parsed = parse_registry(json.dumps(value), origin="r")
    assert plain(parsed) == value
    assert list(registry_warnings(parsed)) == []


def test_a_small_registry_and_no_cache_folder_keep_nothing(
    write_registry: Write, make_registry: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(make_registry(3))
    open_catalogue(path, cache_dir=None)
    monkeypatch.setattr(catalogue_module, "_SMALL_BYTES", 1 << 20)
    open_catalogue(path, cache_dir=tmp_path / "cache")
    assert kept_files(tmp_path / "cache") == []


def test_an_unknown_model_is_answered_with_the_nearest(write_registry: Write, make_registry: Make) -> None:
    catalogue = read_catalogue(write_registry(make_registry(30)))
    with pytest.raises(UsageError) as caught:
        catalogue.get("author1-mel-roformer-2")
    assert caught.value.code == "unknown_model"
    assert caught.value.hint is not None
    assert "author1-mel-roformer-1" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        catalogue.get("zzz")
    assert "registry list" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("hyperace", ("unwa-hyperace", "unwa-hyperace-v2-inst")),
        ("Unwa HyperACE", ("unwa-hyperace", "unwa-hyperace-v2-inst")),
        ("unwa_hyperace_v2", ("unwa-hyperace-v2-inst",)),
        ("dsp-hpps", ("dsp-hpss",)),
        ("", ()),
        ("---", ()),
    ],
)
def test_nearest(asked: str, expected: tuple[str, ...]) -> None:
    found = nearest(asked, ("dsp-hpss", "unwa-hyperace-v2-inst", "gabox-voc-fv4", "unwa-hyperace"))
    assert found[: len(expected)] == expected


def test_a_mistake_in_one_entry_leaves_the_others_usable(write_registry: Write, make_registry: Make) -> None:
    value = make_registry(5)
    value["models"][1]["runtime"]["preferred"] = "dsp"
    value["models"][2] = {"id": value["models"][2]["id"], "name": 3, "stems": {}, "runtime": [], "status": 1}
    value["models"][3] = 7
    del value["models"][4]["id"]
    catalogue = read_catalogue(write_registry(value))
    assert catalogue.get(value["models"][0]["id"]).name == value["models"][0]["name"]
    assert [str(problem) for problem in catalogue.problems] == [
        "models[3].id: has no readable id",
        "models[4].id: has no readable id",
    ]
    with pytest.raises(InvalidDocumentError) as caught:
        catalogue.get(value["models"][1]["id"])
    assert [problem.path for problem in caught.value.problems] == ["models[1].runtime.preferred"]
    with pytest.raises(InvalidDocumentError) as caught:
        catalogue.get(value["models"][2]["id"])
    assert "models[2].architecture" in {problem.path for problem in caught.value.problems}
    broken = catalogue.summaries()[2]
    assert (broken.name, broken.stems, broken.runtime, broken.readiness) == ("", (), "", "")


def test_an_id_used_twice_is_refused_with_both_indexes(
    write_registry: Write, make_registry: Make, tmp_path: Path
) -> None:
    value = make_registry(4)
    value["models"][3]["id"] = value["models"][1]["id"]
    path = write_registry(value)
    for _ in range(2):
        catalogue = open_catalogue(path, cache_dir=tmp_path / "cache")
        with pytest.raises(InvalidDocumentError) as caught:
            catalogue.get(value["models"][1]["id"])
        expected = f"models[3].id: '{value['models'][1]['id']}' is the id of models[1] too"
        assert [str(problem) for problem in caught.value.problems] == [expected]
        assert [str(problem) for problem in catalogue.problems] == [expected]
        assert len(catalogue.ids()) == len(catalogue.summaries()) == 3


def test_entry_hidden_from_the_outline_is_refused_when_read(write_registry: Write, make_registry: Make) -> None:
    value = make_registry(2)
    text = json.dumps(value).replace('"tags"', '"nan": NaN, "tags"', 1).replace('"tags"', '"type": "again", "tags"', 1)
    text = text.replace(f'"name": "{value["models"][1]["name"]}"', '"name": "\\ud800"')
    path = write_registry({})
    path.write_text(text)
    catalogue = read_catalogue(path)
    with pytest.raises(InvalidDocumentError) as caught:
        catalogue.get(catalogue.ids()[0])
    assert [problem.path for problem in caught.value.problems] == ["models[0].type", "models[0].nan"]
    catalogue.summaries()[1].name.encode()  # can be printed
    with pytest.raises(InvalidDocumentError) as caught:
        catalogue.get(catalogue.ids()[1])
    assert [problem.path for problem in caught.value.problems] == ["models[1].name"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b'{"models": []}', b'{"models": {}}', b'{"models": [',
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [{}', b"[" * 100_000,
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": []} x',
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [],}',
        b'{"version": "2.0", "version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": []}',
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [], "models": []}',
        b'{"version": "3.0", "generated_at": "2026-01-01T00:00:00Z", "models": []}',
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [1,]}',
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [1 2]}',
        b'{1: 2, "models": []}', b'{"version" "2.0"}', b'{"version": "2.0"',
        b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_is_no_registry_is_refused_in_words(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(data)
    with pytest.raises(InvalidDocumentError) as caught:
        open_catalogue(path, cache_dir=tmp_path / "cache")
    assert caught.value.problems
    assert kept_files(tmp_path / "cache") == []


def test_a_missing_or_unreadable_file(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.json", "registry_missing"), (tmp_path, "registry_unreadable")):
        with pytest.raises(UsageError) as caught:
            open_catalogue(path, cache_dir=None)
        assert caught.value.code == code


def renamed(value: dict[str, Any]) -> dict[str, Any]:
    """Return a registry of exactly the same length in which every model has another id."""
    other = copy.deepcopy(value)
    for entry in other["models"]:
        entry["id"] = entry["id"].replace("author", "editor")
    return other


def test_an_outline_of_a_file_that_changed_is_not_used(
    write_registry: Write, make_registry: Make, tmp_path: Path
) -> None:
    value = make_registry(20)
    path, cache_dir = write_registry(value), tmp_path / "cache"
    before = path.stat()
    opened = open_catalogue(path, cache_dir=cache_dir)
    kept = open_catalogue(path, cache_dir=cache_dir)
    assert (opened.data is None, kept.data is None) == (False, True)

    other = renamed(value)
    path.write_text(json.dumps(other))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time stamp, same inode
    fresh = open_catalogue(path, cache_dir=cache_dir)
    assert fresh.ids() == tuple(entry["id"] for entry in other["models"])
    assert plain(fresh.get(other["models"][7]["id"])) == other["models"][7]
    # One that was opened before the change sees the change and not garbage.
    with pytest.raises(UsageError):
        kept.get(value["models"][7]["id"])
    # One that had read the file whole still answers for what it read.
    assert plain(opened.get(value["models"][7]["id"])) == value["models"][7]


def test_a_file_that_changed_just_now_has_no_outline_kept(
    write_registry: Write, make_registry: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "_SETTLED_SECONDS", 2.0)
    path = write_registry(make_registry(3))
    open_catalogue(path, cache_dir=tmp_path / "cache")
    assert kept_files(tmp_path / "cache") == []
    later = time.time() + 10
    monkeypatch.setattr(time, "time", lambda: later)
    open_catalogue(path, cache_dir=tmp_path / "cache")
    assert len(kept_files(tmp_path / "cache")) == 1


def test_two_registries_do_not_share_an_outline(write_registry: Write, make_registry: Make, tmp_path: Path) -> None:
    value = make_registry(3)
    first, second = write_registry(value, "a.json"), write_registry(renamed(value), "b.json")
    for _ in range(2):
        assert open_catalogue(first, cache_dir=tmp_path / "cache").ids() != (
            open_catalogue(second, cache_dir=tmp_path / "cache").ids()
        )
    assert len(kept_files(tmp_path / "cache")) == 2


def test_a_cache_folder_that_cannot_be_written_is_no_obstacle(
    write_registry: Write, make_registry: Make, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    for _ in range(2):
        assert len(open_catalogue(write_registry(make_registry(3)), cache_dir=tmp_path / "cache").ids()) == 3


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_outline_never_changes_an_answer(make_registry: Make, tmp_path: Path, data: st.DataObject) -> None:
    """Cut or overwritten anywhere, an outline is made again."""
    value = make_registry(6)
    path = tmp_path / "r.json"
    if not path.exists():
        path.write_text(json.dumps(value))
    open_catalogue(path, cache_dir=tmp_path / "cache")
    (kept,) = kept_files(tmp_path / "cache")
    whole = kept.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    kept.write_bytes(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])
    try:
        catalogue = open_catalogue(path, cache_dir=tmp_path / "cache")
        assert [line.id for line in catalogue.summaries()] == [entry["id"] for entry in value["models"]]
        assert [plain(catalogue.get(model_id)) for model_id in catalogue.ids()] == value["models"]
    finally:
        kept.write_bytes(whole)


def test_an_outline_of_another_file_or_format_is_ignored(make_registry: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    outline = make_outline(json.dumps(make_registry(3)).encode(), origin="r")
    stored = store_outline(outline, stamp=(1, 2))
    assert stored_outline(stored, stamp=(1, 2)) is not None
    assert stored_outline(stored, stamp=(1, 3)) is None
    monkeypatch.setattr(outline_module, "_FORMAT", 0)
    assert stored_outline(stored, stamp=(1, 2)) is None


def test_ten_thousand_models(write_registry: Write, make_registry: Make, tmp_path: Path) -> None:
    """Finding one of many reads one; the bars for whole processes are measured by the benchmark.

    Processor time: what else runs on the machine counts for nothing.
    """
    path = write_registry(make_registry(10_000), indent=2)
    open_catalogue(path, cache_dir=tmp_path / "cache")
    started = time.process_time()
    catalogue = open_catalogue(path, cache_dir=tmp_path / "cache")
    entry = catalogue.get(catalogue.ids()[7000])
    elapsed = time.process_time() - started
    assert entry.id.endswith("-7000")
    assert catalogue.data is None
    assert elapsed < 0.5
    assert len(catalogue.summaries()) == 10_000
