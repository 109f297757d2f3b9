"""Out of memory: one retry with less at once, told in the record; or a clear failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemsep_envs import PlanOptions, separate
from stemsep_envs.documents.run import RunRecord
from stemsep_envs.host.paths import data_dir
from stemsep_envs.planning import preflight as preflight_command
from stemsep_envs.provisioning import witnesses
from stemsep_envs.sandbox import default_limits

pytestmark = pytest.mark.integration

ADAPTER = """
import os
import signal


def describe():
    return {"packages": ["numpy"], "devices": ["cpu"]}


def load(request, context):
    if %(rigid)r and "chunk_size" in request["settings"]:
        context.fail("unsupported_setting", "it has one length of chunks")
    return Model(request["settings"])


class Model:
    stems = ["copy"]
    sample_rate = None
    channels = [1, 2]

    def __init__(self, settings):
        self.settings = {"batch_size": 4, "chunk_size": 8000, **settings}

    def separate(self, source, sinks, context):
        while True:
            block = source.read(65536)
            if not len(block):
                return
            sinks["copy"].write(block)
            if self.settings["batch_size"] * self.settings["chunk_size"] > %(room)d:
                %(end)s
"""

RECIPE = """
schema_version = 1
id = "greedy"
title = "Greedy"
description = "Takes as much memory as its settings say."
accelerators = ["cpu"]
%s
decodes = ["wav"]
encodes = ["wav"]

[python]
min = "3.10"
max = "3.14"

[segment]
setting = "chunk_size"
unit = "samples"

[health]
imports = ["numpy", "soundfile"]

[model_types.greedy]
stems = ["copy"]

[settings]
batch_size = { type = "int", min = 1, description = "Chunks at once." }
chunk_size = { type = "int", min = 4000, unit = "samples", description = "Length of a chunk." }
"""


def separate_greedily(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    song: Path,
    *,
    room: int,
    end: str = "raise MemoryError",
    assignments: tuple[str, ...] = (),
    rigid: bool = False,
) -> RunRecord:
    """Run a model that has room for `room` samples at once and ends in the given way when it needs more."""
    folder = tmp_path / "runtimes" / "greedy"
    folder.mkdir(parents=True)
    recipe = (data_dir("runtimes") / "dsp" / "runtime.toml").read_text("utf-8")
    packages = recipe[recipe.index("packages = [") : recipe.index("decodes")]
    (folder / "runtime.toml").write_text(RECIPE % packages)
    (folder / "adapter.py").write_text(ADAPTER % {"room": room, "end": end, "rigid": rigid})
    for module in (preflight_command, witnesses):
        monkeypatch.setattr(module, "data_dir", lambda name: folder.parent if name == "runtimes" else data_dir(name))
    entry = {
        "id": "greedy",
        "name": "greedy",
        "architecture": "Other",
        "links": {},
        "runtime": {"allowed": ["greedy"], "model_type": "greedy"},
    }
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [entry]}))
    options = PlanOptions(registry_path=registry, allow_level="hygiene", assignments=assignments)
    return separate("greedy", song, tmp_path / "out", options=options)


def test_a_batch_of_one_is_tried_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path) -> None:
    record = separate_greedily(tmp_path, monkeypatch, song, room=8000)
    track = record.tracks[0]
    assert (record.exit_code, track.status) == (0, "done")
    assert record.settings["batch_size"].value is None, "the run was asked for no such thing"
    assert {name: setting.value for name, setting in track.settings.items()} == {"batch_size": 1}
    assert track.effective_settings == {"batch_size": 1, "chunk_size": 8000}
    assert [warning.code for warning in track.warnings] == ["retried_smaller"]
    assert "batch_size = 1" in track.warnings[0].message
    own = json.loads((tmp_path / "out" / str(track.record)).read_text())
    assert own["tracks"][0]["settings"]["batch_size"]["value"] == 1


def test_half_a_chunk_is_tried_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path) -> None:
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    record = separate_greedily(tmp_path, monkeypatch, song, room=4000, end=kill, assignments=("batch_size=1",))
    assert {name: setting.value for name, setting in record.tracks[0].settings.items()} == {"chunk_size": 4000}
    record = separate_greedily(tmp_path / "again", monkeypatch, song, room=4000, assignments=("batch_size=1",))
    assert {name: setting.value for name, setting in record.tracks[0].settings.items()} == {"chunk_size": 4000}


def test_one_retry_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path) -> None:
    record = separate_greedily(tmp_path, monkeypatch, song, room=7999)
    assert record.exit_code == 7
    error = record.tracks[0].error
    assert error is not None
    assert error.code == "out_of_memory"
    assert "--segment" in str(error.hint)


def test_model_without_smaller_chunk_fails_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path
) -> None:
    record = separate_greedily(tmp_path, monkeypatch, song, room=4000, assignments=("batch_size=1",), rigid=True)
    error = record.tracks[0].error
    assert record.exit_code == 7
    assert error is not None
    assert error.code == "out_of_memory"
    assert "it has one length of chunks" in str(error.hint)


def test_a_worker_may_not_take_the_whole_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path) -> None:
    monkeypatch.setattr(default_limits, "memory_bytes", lambda: 600_000_000)
    bomb = "hoard = [bytearray(b'x' * 50_000_000) for _ in range(20)]"
    record = separate_greedily(tmp_path, monkeypatch, song, room=0, end=bomb)
    error = record.tracks[0].error
    assert record.exit_code == 7
    assert error is not None
    assert error.code in {"worker_killed", "out_of_memory"}


def test_what_the_user_set_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path) -> None:
    record = separate_greedily(tmp_path, monkeypatch, song, room=8000, assignments=("batch_size=2", "chunk_size=8000"))
    assert record.exit_code == 7
    assert not (tmp_path / "out" / "greedy").exists()
