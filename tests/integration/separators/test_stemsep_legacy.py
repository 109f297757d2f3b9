"""Models of the demucs package: real ones, tiny, with random weights, confined, against the package's own program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.conftest import PROGRAMS
from tests.integration.conftest import shared
from tests.integration.separators.conftest import RATE, Separate, Workshop, cancel_and_go_on, entry, stems_in, workshop

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("stemsep-legacy")]

STEMS = ["drums", "bass", "other", "vocals"]
RUNTIME = "stemsep-legacy"


@pytest.fixture(scope="module")
def shop(environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    built = workshop(RUNTIME, "htdemucs", environ, shared(tmp_path_factory) / RUNTIME)
    if not (built.folder / "models" / "bag.yaml").exists():
        built.inside(PROGRAMS / "tiny_demucs.py", built.folder / "models")
    return built


def checkpoint(shop: Workshop, name: str, suffix: str = ".safetensors") -> Path:
    (path,) = (path for path in (shop.folder / "models").glob(f"{name}*{suffix}") if path.stem.split("-")[0] == name)
    return path


def single(shop: Workshop, name: str, suffix: str = ".safetensors") -> dict[str, Any]:
    model_type = "htdemucs" if name.startswith("ht") else "demucs"
    return entry(RUNTIME, model_type, STEMS, {"primary": shop.artifact(checkpoint(shop, name, suffix))})


def bag(shop: Workshop, suffix: str = ".safetensors") -> dict[str, Any]:
    first, second = (shop.artifact(checkpoint(shop, name, suffix)) for name in ("ht", "htb"))
    config = shop.artifact(shop.folder / "models" / "bag.yaml", kind="config")
    return entry(RUNTIME, "htdemucs", STEMS, {"primary": first, "config": config, "additional": [second]})


def own_stems(shop: Workshop, name: str, track: Path, out: Path, *options: str) -> dict[str, Any]:
    """What the package's own program makes of a track."""
    repository = out / "repository"
    repository.mkdir(parents=True)
    for path in (shop.folder / "models").iterdir():
        if path.suffix in {".th", ".yaml"}:
            (repository / path.name).symlink_to(path)
    program = ("-m", "demucs.separate", "-n", name, "--repo", repository, "-d", "cpu", "--shifts", "0")
    shop.inside(*program, "--float32", "--clip-mode", "none", "-o", out / "own", *options, track)
    return stems_in(out / "own" / name / track.stem)


@pytest.mark.parametrize(("name", "suffix"), [("ht", ".th"), ("hd", ".safetensors"), ("de", ".th")])
def test_stems_are_those_of_the_packages_own_program(
    name: str, suffix: str, shop: Workshop, separate: Separate, track: Path, tmp_path: Path
) -> None:
    answer = separate(single(shop, name, suffix), track)
    assert answer.code == 0, answer
    ours, own = stems_in(tmp_path / "out"), own_stems(shop, name, track, tmp_path)
    assert set(ours) == set(own) == set(STEMS)
    for stem in STEMS:
        assert np.abs(own[stem]).max() > 1e-4, "there is something to compare"
        np.testing.assert_array_equal(ours[stem], own[stem], stem)


def test_bag_with_settings_equals_the_packages_program(
    shop: Workshop, separate: Separate, track: Path, tmp_path: Path
) -> None:
    # The program takes whole seconds only: the segment that the models have is left alone.
    answer = separate(bag(shop, ".th"), track, "--overlap", "0.5")
    assert answer.code == 0, answer
    ours = stems_in(tmp_path / "out")
    own = own_stems(shop, "bag", track, tmp_path, "--overlap", "0.5")
    for stem in STEMS:
        np.testing.assert_array_equal(ours[stem], own[stem], stem)


def test_mono_and_short_tracks_keep_their_channels_and_frames(
    shop: Workshop, separate: Separate, tmp_path: Path
) -> None:
    shapes = {"mono": (30001, 1), "one": (1, 2), "two": (2, 2), "some": (1000, 2)}
    for name, shape in shapes.items():
        samples = np.random.default_rng(3).normal(0, 0.1, shape).astype(np.float32)
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    tracks = [tmp_path / f"{name}.wav" for name in shapes]
    answer = separate(single(shop, "ht"), *tracks, "--filename", "{track}/{stem}")
    assert answer.code == 0, answer
    for name, shape in shapes.items():
        found = {stem: audio.shape for stem, audio in stems_in(tmp_path / "out" / name).items()}
        assert found == dict.fromkeys(STEMS, shape)


def test_random_shifts_repeat_with_their_seed_and_are_recorded(
    shop: Workshop, separate: Separate, track: Path, tmp_path: Path
) -> None:
    made = []
    for seed in (5, 5, 6):
        answer = separate(single(shop, "ht"), track, "--shifts", "2", seed=seed)
        assert answer.code == 0, answer
        assert answer.document("run")["settings"]["seed"]["value"] == seed
        made.append(stems_in(tmp_path / "out")["drums"])
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_two_stems_add_up_to_all(shop: Workshop, separate: Separate, track: Path, tmp_path: Path) -> None:
    answer = separate(single(shop, "ht"), track)
    assert answer.code == 0, answer
    stems = stems_in(tmp_path / "out")
    model = {**single(shop, "ht"), "stems": ["vocals", "instrumental"], "recommended_settings": {"two_stems": "vocals"}}
    answer = separate(model, track)
    assert answer.code == 0, answer
    two = stems_in(tmp_path / "out")
    np.testing.assert_array_equal(two["vocals"], stems["vocals"])
    np.testing.assert_array_equal(two["instrumental"], stems["drums"] + stems["bass"] + stems["other"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"segment": 5}, "segment is 5 s, and this model was trained with 0.65 s"),
        ({"two_stems": "guitar"}, "the model makes drums, bass, other, vocals"),
    ],
)
def test_settings_the_model_forbids_are_refused_in_words(
    settings: dict[str, Any], words: str, shop: Workshop, separate: Separate, track: Path
) -> None:
    answer = separate(single(shop, "ht"), track, **settings)
    assert words in answer.err + answer.out
    assert answer.code == 2


def test_a_model_of_another_type_is_refused(shop: Workshop, separate: Separate, track: Path) -> None:
    model = single(shop, "hd")
    model["runtime"]["model_type"] = "htdemucs"
    answer = separate(model, track)
    assert answer.code == 1
    assert "hd.safetensors holds a model of type demucs, not htdemucs" in answer.err + answer.out


def test_a_bag_without_one_of_its_models_is_refused(shop: Workshop, separate: Separate, track: Path) -> None:
    model = bag(shop)
    model["artifacts"]["additional"] = []
    answer = separate(model, track)
    assert answer.code == 1
    assert "bag.yaml names htb, of which there is no checkpoint; there is ht" in answer.err + answer.out


def test_another_engines_config_is_no_bag(shop: Workshop, separate: Separate, track: Path, tmp_path: Path) -> None:
    config = tmp_path / "config_musdb18_htdemucs.yaml"
    config.write_text("training:\n  instruments: !!python/tuple [drums]\n  models: 1\n", encoding="utf-8")
    model = single(shop, "ht")
    model["artifacts"]["config"] = shop.artifact(config, kind="config")
    answer = separate(model, track)
    assert answer.code == 0, answer
    assert set(stems_in(tmp_path / "out")) == set(STEMS)


def test_what_is_no_checkpoint_of_the_model_is_told(
    shop: Workshop, separate: Separate, track: Path, tmp_path: Path
) -> None:
    (tmp_path / "garbage.th").write_bytes(bytes(range(256)) * 64)
    wrong = {
        tmp_path / "garbage.th": "garbage.th",
        shop.folder / "models/broken/bare.th": "bare.th is no demucs checkpoint",
        shop.folder / "models/broken/missing.th": "do not fit the HTDemucs that it describes; missing: ",
        shop.folder / "models/broken/shape.th": "of another shape: ",
        shop.folder / "models/broken/other.th": "other.th holds a fractions.Fraction, which is no model of demucs",
        shop.folder / "models/broken/strange.th": "which is no plain value",
        shop.folder / "models/broken/quantized.th": "quantized weights (DiffQ)",
    }
    for path, words in wrong.items():
        answer = separate(entry(RUNTIME, "htdemucs", STEMS, {"primary": shop.artifact(path)}), track)
        assert answer.code in {1, 2, 4, 6}, answer
        assert words in answer.out + answer.err, (words, answer)


def test_a_track_can_be_given_up_between_its_chunks(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel_and_go_on(shop, single(shop, "ht"), tmp_path, monkeypatch)
