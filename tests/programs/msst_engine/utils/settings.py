"""The config, the model, the arguments of the command line."""

from __future__ import annotations

import argparse
from typing import Any

import yaml
from ml_collections import ConfigDict
from omegaconf import OmegaConf


def load_config(model_type: str, config_path: str) -> Any:
    """Read a config: OmegaConf for htdemucs, ConfigDict for the others."""
    if model_type == "htdemucs":
        return OmegaConf.load(config_path)
    with open(config_path, encoding="utf-8") as stream:
        return ConfigDict(yaml.load(stream, Loader=yaml.FullLoader))


def get_model_from_config(model_type: str, config_path: str) -> tuple[Any, Any]:
    """Build the model that a config describes."""
    config = load_config(model_type, config_path)
    model_type = config.training.get("model_type", model_type)
    if model_type == "bs_roformer":
        from models.bs_roformer import BSRoformer

        return BSRoformer(**dict(config.model)), config
    if model_type == "mel_band_roformer":
        from models.bs_roformer import MelBandRoformer

        return MelBandRoformer(**dict(config.model)), config
    if model_type == "mdx23c":
        from models.mdx23c_tfc_tdf_v3 import TFC_TDF_net

        return TFC_TDF_net(config), config
    if model_type == "htdemucs":
        from models.demucs4ht import get_model

        return get_model(config), config
    raise ValueError(f"Unknown model type: {model_type}")


def parse_args_inference(arguments: Any = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    for name in ("--model_type", "--config_path", "--start_check_point", "--input_folder", "--store_dir"):
        parser.add_argument(name, default="")
    for name in ("--extract_instrumental", "--force_cpu", "--use_tta"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--bigshifts", type=int, default=1)
    return parser.parse_args(arguments)
