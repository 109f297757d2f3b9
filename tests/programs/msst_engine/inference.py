"""The command line: every file of a folder."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import soundfile as sf
import torch

from utils.audio_utils import denormalize_audio, normalize_audio
from utils.model_utils import apply_tta, bigshifts_wrapper, load_start_checkpoint, prefer_target_instrument
from utils.settings import get_model_from_config, parse_args_inference


def separate(args: Any, model: Any, config: Any, mix: Any) -> dict[str, Any]:
    """The stems of a track (channels, frames)."""
    stereo = config.audio.get("num_channels", None) == 2
    mix = np.concatenate([mix, mix]) if stereo and len(mix) == 1 else mix
    original = mix.copy()
    level = config.inference.get("normalize", False) is True
    if level:
        mix, parameters = normalize_audio(mix)
    stems = bigshifts_wrapper(config, model, mix, "cpu", args.model_type, bigshifts=args.bigshifts)
    if args.use_tta:
        stems = apply_tta(config, model, mix, stems, "cpu", args.model_type, bigshifts=args.bigshifts)
    if level:
        stems = {name: denormalize_audio(stem, parameters) for name, stem in stems.items()}
    if args.extract_instrumental:
        names = prefer_target_instrument(config)
        stems["instrumental"] = original - stems["vocals" if "vocals" in names else names[0]]
    return stems


def main() -> None:
    """Separate."""
    args = parse_args_inference()
    model, config = get_model_from_config(args.model_type, args.config_path)
    checkpoint = torch.load(args.start_check_point, weights_only=False, map_location="cpu")
    load_start_checkpoint(args, model, checkpoint, type_="inference")
    model.eval()
    for name in sorted(os.listdir(args.input_folder)):
        audio, rate = sf.read(os.path.join(args.input_folder, name), dtype="float32", always_2d=True)
        folder = os.path.join(args.store_dir, os.path.splitext(name)[0])
        os.makedirs(folder, exist_ok=True)
        for stem, samples in separate(args, model, config, audio.T).items():
            sf.write(os.path.join(folder, f"{stem}.wav"), samples.T, rate, subtype="FLOAT")


if __name__ == "__main__":
    main()
