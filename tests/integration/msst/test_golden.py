"""Our stems are those of the engine's own command line, to the last bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import PROGRAMS
from tests.integration.msst.conftest import Engine, Separate, Tiny
from tests.integration.msst.engines import REAL
from tests.integration.msst.tiny_models import CONFIGS, STAND_IN_CONFIGS
from tests.integration.separators.conftest import stems_in

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("msst")]

MODELS = CONFIGS if REAL else STAND_IN_CONFIGS
ROFORMER = MODELS["bs_roformer"]
FRAMES = 54_321
Record = Callable[..., Path]


def assert_same(ours: dict[str, Any], own: dict[str, Any], names: list[str]) -> None:
    assert set(ours) == {*names, "instrumental"}
    assert set(own) == set(ours)
    for stem, samples in own.items():
        assert np.abs(samples).max() > 1e-4, "there is something to compare"
        np.testing.assert_array_equal(ours[stem], samples, stem)


@pytest.mark.parametrize("model_type", sorted(MODELS))
@pytest.mark.parametrize("frames", [FRAMES, 700])
def test_stems_are_those_of_the_engines_own_program(
    model_type: str, frames: int, tiny: Tiny, separate: Separate, record: Record, tmp_path: Path
) -> None:
    model, track = tiny(model_type, MODELS[model_type]), record(frames)
    answer = separate(model.entry(), track)
    assert answer.code == 0, answer
    assert_same(stems_in(tmp_path / "out"), model.own_stems(track, tmp_path), model.computed)


@pytest.mark.parametrize(
    ("settings", "program"),
    [
        ({"tta": True}, ["--use_tta"]),
        ({"shifts": 3}, ["--bigshifts", "3"]),
        ({"shifts": 2, "tta": True}, ["--bigshifts", "2", "--use_tta"]),
    ],
    ids=["tta", "shifts", "both"],
)
@pytest.mark.parametrize("model_type", ["bs_roformer", "htdemucs"])
def test_averages_are_the_engines(
    model_type: str,
    settings: dict[str, Any],
    program: list[str],
    tiny: Tiny,
    separate: Separate,
    record: Record,
    tmp_path: Path,
) -> None:
    model, track = tiny(model_type, MODELS[model_type]), record(FRAMES)
    answer = separate(model.entry(), track, **settings)
    assert answer.code == 0, answer
    assert_same(stems_in(tmp_path / "out"), model.own_stems(track, tmp_path, *program), model.computed)


def changed(config: dict[str, Any], **inference: Any) -> dict[str, Any]:
    """The config as somebody would edit it."""
    made = copy.deepcopy(config)
    made["inference"] |= inference
    return made


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("num_overlap", [2, 5])
def test_settings_do_what_an_edited_config_does(
    batch_size: int, num_overlap: int, tiny: Tiny, separate: Separate, record: Record, tmp_path: Path
) -> None:
    track = record(FRAMES)
    settings = {"batch_size": batch_size, "num_overlap": num_overlap, "chunk_size": 8192}
    edited = tiny("bs_roformer", changed(ROFORMER, **settings), name=f"edited-{batch_size}-{num_overlap}")
    answer = separate(tiny("bs_roformer", ROFORMER).entry(), track, **settings)
    assert answer.code == 0, answer
    assert answer.document("run")["settings"]["chunk_size"]["value"] == 8192
    assert_same(stems_in(tmp_path / "out"), edited.own_stems(track, tmp_path), edited.computed)


def test_a_normalized_track_comes_back_at_its_level(
    tiny: Tiny, separate: Separate, record: Record, tmp_path: Path
) -> None:
    track = record(FRAMES)
    edited = tiny("bs_roformer", changed(ROFORMER, normalize=True), name="normalized")
    answer = separate(tiny("bs_roformer", ROFORMER).entry("vocals"), track, normalize=True)
    assert answer.code == 0, answer
    own = edited.own_stems(track, tmp_path)
    np.testing.assert_array_equal(stems_in(tmp_path / "out")["vocals"], own["vocals"])


def test_mono_is_the_mean_of_two_equal_channels(tiny: Tiny, separate: Separate, record: Record, tmp_path: Path) -> None:
    model, track = tiny("bs_roformer", ROFORMER), record(FRAMES, channels=1)
    answer = separate(model.entry(), track)
    assert answer.code == 0, answer
    ours, own = stems_in(tmp_path / "out"), model.own_stems(track, tmp_path)
    for stem, samples in own.items():
        mean = np.float32(0.5) * (samples[:, :1] + samples[:, 1:])
        np.testing.assert_array_equal(ours[stem], mean, stem)


@pytest.mark.parametrize("form", ["nested", "full"])
def test_weights_are_found_where_checkpoints_have_them(
    form: str, tiny: Tiny, separate: Separate, record: Record, tmp_path: Path
) -> None:
    track = record(700)
    plain, nested = tiny("bs_roformer", ROFORMER), tiny("bs_roformer", ROFORMER, form=form)
    assert separate(plain.entry(), track).code == 0
    expected = stems_in(tmp_path / "out")
    assert separate(nested.entry(), track).code == 0
    for stem, samples in stems_in(tmp_path / "out").items():
        np.testing.assert_array_equal(samples, expected[stem])


def test_chunks_on_a_stream_are_those_of_the_engine(engine: Engine) -> None:
    cases = "1000" if REAL else "200"
    assert f"{cases} same" in engine.run_inside("bs_roformer", PROGRAMS / "msst_demix.py", cases)
