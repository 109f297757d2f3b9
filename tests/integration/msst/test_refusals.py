"""Models that cannot run say why, before anything is built or separated."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.msst.conftest import Separate, Tiny, TinyModel
from tests.integration.msst.engines import REAL
from tests.integration.msst.tiny_models import CONFIGS, STAND_IN_CONFIGS, as_yaml

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("msst")]

MODELS = CONFIGS if REAL else STAND_IN_CONFIGS
Record = Callable[..., Path]


def with_config(
    model: TinyModel, folder: Path, change: Callable[[dict[str, Any]], object], text: str = ""
) -> TinyModel:
    """The same weights with another config."""
    config = copy.deepcopy(model.config)
    change(config)
    path = folder / "other.yaml"
    path.write_text(as_yaml(config) + text, "utf-8")
    return dataclasses.replace(model, config=config, config_path=path)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown argument": (
        lambda config: config["model"].update(sage_attention=True),
        r"does not fit BSRoformer of this engine commit: `sage_attention` is unknown",
    ),
    "near argument": (
        lambda config: config["model"].update(use_popes=True),
        r"`use_popes` is unknown \(it knows use_pope",
    ),
    "missing argument": (lambda config: config["model"].pop("depth"), "missing: depth"),
    "impossible bands": (
        lambda config: config["model"].update(freqs_per_bands=(3, 4)),
        "the engine cannot build a bs_roformer from the config: AssertionError",
    ),
    "wrong type": (
        lambda config: config["model"].update(freqs_per_bands="many"),
        "the engine cannot build a bs_roformer from the config",
    ),
    "other weights": (
        lambda config: config["model"].update(depth=2),
        r"the weights do not fit the model: \d+ of \d+ missing \(layers\.1\.",
    ),
    "other size": (lambda config: config["model"].update(dim=24), r"of another shape .* instead of"),
    "other model type": (
        lambda config: config["training"].update(model_type="mdx23c"),
        "the registry calls the model 'bs_roformer', training.model_type of its own config 'mdx23c'",
    ),
    "no instruments": (lambda config: config["training"].pop("instruments"), "training.instruments"),
    "no model": (lambda config: config.pop("model"), "the section 'model' of the config is missing"),
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name.replace(" ", "-"))
def test_a_model_that_does_not_fit_says_what_does_not(
    change: str, tiny: Tiny, separate: Separate, record: Record, tmp_path: Path
) -> None:
    changing, words = CHANGES[change]
    model = with_config(tiny("bs_roformer", MODELS["bs_roformer"]), tmp_path, changing)
    answer = separate(model.entry("vocals"), record(700))
    error = answer.error("model_failed", 1)
    assert re.search(words, error["message"]), error
    assert error["hint"]
    assert not (tmp_path / "out" / "vocals.wav").exists()


def test_a_config_that_would_construct_objects_is_refused(
    tiny: Tiny, separate: Separate, record: Record, tmp_path: Path
) -> None:
    model = tiny("bs_roformer", MODELS["bs_roformer"])
    path = tmp_path / "evil.yaml"
    path.write_text("audio: !!python/object/apply:os.system ['touch evil']\n", "utf-8")
    answer = separate(dataclasses.replace(model, config_path=path).entry("vocals"), record(700))
    assert "line 1 of the config: the tag !!python/object/apply:os.system" in answer.error("model_failed", 1)["message"]


def test_a_model_that_is_built_for_its_chunks_keeps_them(tiny: Tiny, separate: Separate, record: Record) -> None:
    answer = separate(tiny("htdemucs", MODELS["htdemucs"]).entry("vocals"), record(700), chunk_size=22050)
    assert "chunks of 44100 samples" in answer.error("unsupported_setting", 2)["message"]


def test_impossible_chunk_becomes_the_nearest_with_warning(tiny: Tiny, separate: Separate, record: Record) -> None:
    model = tiny("mel_band_roformer", MODELS["mel_band_roformer"])
    answer = separate(model.entry("vocals"), record(54_321), "--events", "jsonl", chunk_size=10_000)
    assert answer.code == 0, answer
    assert "chunk_size 10000 becomes 10240" in answer.err


def test_progress_is_told_chunk_by_chunk(tiny: Tiny, separate: Separate, record: Record) -> None:
    frames = 10 * 44100
    answer = separate(
        tiny("bs_roformer", MODELS["bs_roformer"]).entry("vocals"), record(frames), "--events", "jsonl", chunk_size=4096
    )
    assert answer.code == 0, answer
    assert answer.err.count('"progress"') >= 3, answer.err
