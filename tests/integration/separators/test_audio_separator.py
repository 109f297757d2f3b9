"""Models of the audio-separator package: real ones, tiny, with random weights, confined, against its own program."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.conftest import PROGRAMS
from tests.integration.conftest import noise, shared
from tests.integration.separators.conftest import (
    RATE,
    Audio,
    Separate,
    Workshop,
    cancel_and_go_on,
    entry,
    stems_in,
    workshop,
)

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("audio-separator")]

RUNTIME = "audio-separator"
MODELS: dict[str, tuple[str, list[str], list[str], list[str]]] = {
    # model type, the program's name for the model, stems, the program's options
    "tiny_bs_roformer": ("roformer", ["tiny_bs_roformer.ckpt"], ["vocals", "other"], []),
    "tiny_mel_band_roformer": ("roformer", ["tiny_mel_band_roformer.ckpt"], ["vocals", "other"], ["--mdxc_overlap=4"]),
    "tiny_mdx23c": ("mdx23c", ["tiny_mdx23c.ckpt"], ["vocals", "drums", "bass"], []),
    "tiny_mdx": ("mdx", ["tiny_mdx.onnx"], ["vocals", "instrumental"], ["--mdx_segment_size=64"]),
    "tiny_vr": ("vr", ["tiny_vr.pth"], ["vocals", "instrumental"], []),
    "tiny_demucs": ("demucs", ["tiny_demucs.yaml"], ["bass", "drums", "other", "vocals"], ["--demucs_shifts=0"]),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "tiny_mel_band_roformer": {"overlap": 4},
    "tiny_mdx": {"segment": 63 * 1024 / RATE},  # 64 frames, which are the network's own: ONNX Runtime computes it
}


@pytest.fixture(scope="module")
def shop(environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    built = workshop(RUNTIME, "roformer", environ, shared(tmp_path_factory) / RUNTIME)
    if not (built.folder / "models" / "download_checks.json").exists():
        built.inside(PROGRAMS / "tiny_separators.py", built.folder / "models")
    return built


@pytest.fixture(scope="module")
def track(shop: Workshop) -> Path:
    """Some seconds that are louder than the program leaves them. The program reads VR's from whole numbers only."""
    path = shop.folder / "track.wav"
    audio = noise(1.613, rate=RATE, level=0.1)
    soundfile.write(path, (audio * 0.97 / np.abs(audio).max()).astype(np.float32), RATE, subtype="PCM_32")
    return path


@pytest.fixture(scope="module")
def own_stems(shop: Workshop, track: Path) -> dict[str, dict[str, Audio]]:
    """What the package's own program makes of the track with each model, by its names in lower case."""
    folder = shop.folder / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "ffmpeg").write_text("#!/bin/sh\necho ffmpeg version 0\n")
    (folder / "ffmpeg").chmod(0o755)
    arguments: list[str | Path] = []
    for name, (_, (filename,), _, options) in MODELS.items():
        place: list[str | Path] = [
            "--model_file_dir",
            shop.folder / "models",
            "--output_dir",
            shop.folder / "own" / name,
        ]
        written = ["--output_format", "WAV", "--use_soundfile", "--log_level", "error"]
        arguments += ["then", track, "-m", filename, *place, *written, *options]
    path = os.pathsep.join([str(folder), os.defpath])
    shop.inside(PROGRAMS / "audio_separator_program.py", *arguments[1:], PATH=path)
    return {
        name: {stem.split("_(")[1].split(")")[0].lower(): audio for stem, audio in made.items()}
        for name in MODELS
        for made in [stems_in(shop.folder / "own" / name)]
    }


def model(shop: Workshop, name: str) -> dict[str, Any]:
    """The entry of a model."""
    model_type, (filename,), stems, _ = MODELS[name]
    folder = shop.folder / "models"
    artifacts: dict[str, Any] = {}
    if model_type == "demucs":
        weights = [shop.artifact(path) for path in sorted(folder.glob("*.th"))]
        artifacts = {"primary": weights[0], "additional": weights[1:]}
        artifacts["config"] = shop.artifact(folder / filename, kind="config")
    else:
        artifacts["primary"] = shop.artifact(folder / filename, kind="onnx" if model_type == "mdx" else "checkpoint")
        configs = {"vr": "vr_model_data.json", "mdx": "mdx_model_data.json"}
        config = folder / configs.get(model_type, f"{name}.yaml")
        artifacts["config"] = shop.artifact(config, kind="config")
    return entry(RUNTIME, model_type, stems, artifacts)


@pytest.mark.parametrize("name", MODELS)
def test_stems_are_those_of_the_packages_own_program(
    name: str,
    shop: Workshop,
    own_stems: dict[str, dict[str, Audio]],
    separate: Separate,
    track: Path,
    tmp_path: Path,
) -> None:
    answer = separate(model(shop, name), track, normalization=0.9, **SETTINGS.get(name, {}))
    assert answer.code == 0, answer
    ours, own = stems_in(tmp_path / "out"), own_stems[name]
    assert set(ours) == set(own) == set(MODELS[name][2])
    for stem, audio in own.items():
        assert np.abs(audio).max() > 1e-3, "there is something to compare"
        assert len(ours[stem]) == soundfile.info(track).frames, "as many frames out as in"
        # The program's own files are whole numbers of 32 bits, and VR's end with the last whole hop.
        shortened = ours[stem][: len(audio)]
        assert len(audio) > soundfile.info(track).frames - 512
        np.testing.assert_allclose(shortened, audio, rtol=0, atol=2**-23, err_msg=stem)


def test_no_gain_is_changed_unless_asked(shop: Workshop, separate: Separate, track: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    audio, _ = soundfile.read(track, dtype="float32")
    soundfile.write(quiet, audio / 4, RATE, subtype="FLOAT")
    made = {}
    for path in (track, quiet):
        answer = separate(model(shop, "tiny_mdx"), path, **SETTINGS["tiny_mdx"])
        assert answer.code == 0, answer
        made[path] = stems_in(tmp_path / "out")
    for stem, loud in made[track].items():
        np.testing.assert_allclose(made[quiet][stem] * 4, loud, atol=1e-6, err_msg=stem)


def test_mono_and_very_short_tracks(shop: Workshop, separate: Separate, tmp_path: Path) -> None:
    samples = np.random.default_rng(3).normal(0, 0.1, 3001).astype(np.float32)
    soundfile.write(tmp_path / "mono.wav", samples, RATE, subtype="FLOAT")
    for name in ("tiny_bs_roformer", "tiny_mdx"):
        answer = separate(model(shop, name), tmp_path / "mono.wav")
        assert answer.code == 0, answer
        shapes = {stem: audio.shape for stem, audio in stems_in(tmp_path / "out").items()}
        assert shapes == dict.fromkeys(MODELS[name][2], (3001, 1)) | {
            stem: (3001, 1) for stem in shapes if stem not in MODELS[name][2]
        }


def test_stems_get_the_registrys_names(shop: Workshop, separate: Separate, track: Path, tmp_path: Path) -> None:
    named = {**model(shop, "tiny_bs_roformer"), "stems": ["vocals", "instrumental"]}
    named["recommended_settings"] = {"stem_names": "other=instrumental"}
    answer = separate(named, track)
    assert answer.code == 0, answer
    assert set(stems_in(tmp_path / "out")) == {"vocals", "instrumental"}


def changed(shop: Workshop, tmp_path: Path, name: str, **files: bytes) -> dict[str, Any]:
    """A model with other bytes in the place of some of its files."""
    made = model(shop, name)
    for part, data in files.items():
        path = tmp_path / f"{part}.new"
        path.write_bytes(data)
        made["artifacts"][part] = shop.artifact(path, filename=made["artifacts"][part]["filename"])
    return made


def test_what_does_not_fit_is_told(shop: Workshop, separate: Separate, track: Path, tmp_path: Path) -> None:
    folder = shop.folder / "models"
    other_config = (folder / "tiny_mel_band_roformer.yaml").read_bytes()
    other_weights = (folder / "tiny_mdx23c.ckpt").read_bytes()
    no_roformer = (folder / "tiny_mdx23c.yaml").read_bytes()
    mdx = {"compensate": 1.02, "mdx_dim_f_set": 512, "mdx_dim_t_set": 6, "mdx_n_fft_scale_set": 4096}
    wrong = [
        (changed(shop, tmp_path, "tiny_bs_roformer", config=other_config), "tiny_bs_roformer.ckpt cannot be loaded"),
        (changed(shop, tmp_path, "tiny_bs_roformer", primary=other_weights), "tiny_bs_roformer.ckpt cannot be loaded"),
        (changed(shop, tmp_path, "tiny_bs_roformer", config=no_roformer), "describes no roformer"),
        (changed(shop, tmp_path, "tiny_mdx", primary=b"no graph at all"), "tiny_mdx.onnx is no ONNX model"),
        (changed(shop, tmp_path, "tiny_mdx", config=json.dumps(mdx).encode()), "not [batch, 4, 512, frames]"),
        (changed(shop, tmp_path, "tiny_vr", config=b'{"a": 1}'), "nothing says with what tiny_vr.pth is to be run"),
    ]
    for broken, words in wrong:
        answer = separate(broken, track)
        assert words in answer.out + answer.err, (words, answer.err)
        assert answer.code in {1, 2}


@pytest.mark.parametrize("name", ["tiny_bs_roformer", "tiny_mdx", "tiny_demucs"])
def test_a_track_can_be_given_up_between_its_chunks(
    name: str, shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel_and_go_on(shop, model(shop, name), tmp_path, monkeypatch)
