"""Tiny models of the msst engine: for each model type a config that is built at once and separates about in real time.

The numbers are small, and legal for their engine: mel bands cut chunks to multiples of the hop, SCNet pairs its dual
paths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TWO = ["vocals", "other"]
_FOUR = ["drums", "bass", "other", "vocals"]
_HOP = 512

Config = dict[str, Any]


def _roformer(**model: Any) -> Config:
    return {
        "audio": {"chunk_size": 32 * _HOP, "hop_length": _HOP, "num_channels": 2, "sample_rate": 44100},
        "model": {
            "dim": 16, "depth": 1, "stereo": True, "num_stems": 1, "time_transformer_depth": 1,
            "freq_transformer_depth": 1, "dim_head": 8, "heads": 2, "attn_dropout": 0.0, "ff_dropout": 0.0,
            "flash_attn": True, "dim_freqs_in": 1025, "stft_n_fft": 2048, "stft_hop_length": _HOP,
            "stft_win_length": 2048, "stft_normalized": False, "mask_estimator_depth": 1,
            "mlp_expansion_factor": 1, **model,
        },
        "training": {"instruments": _TWO, "target_instrument": "vocals", "use_amp": True},
        "inference": {"batch_size": 1, "num_overlap": 4},
    }  # fmt: skip


def _scnet(**model: Any) -> Config:
    return {
        "audio": {"chunk_size": 16384, "num_channels": 2, "sample_rate": 44100},
        "model": {
            "sources": _FOUR, "audio_channels": 2, "dims": [4, 8, 8, 16], "nfft": 1024, "hop_size": 256,
            "win_size": 1024, "normalized": True, "band_SR": [0.175, 0.392, 0.433], "band_stride": [1, 4, 16],
            "band_kernel": [3, 4, 16], "conv_depths": [1, 1, 1], "compress": 4, "conv_kernel": 3, "num_dplayer": 2,
            "expand": 1, **model,
        },
        "training": {"instruments": _FOUR, "target_instrument": None},
        "inference": {"batch_size": 2, "num_overlap": 2},
    }  # fmt: skip


def _mdx23c() -> Config:
    return {
        "audio": {
            "chunk_size": 64 * 255, "dim_f": 512, "dim_t": 256, "hop_length": 64, "n_fft": 1024, "num_channels": 2,
            "sample_rate": 44100,
        },
        "model": {
            "act": "gelu", "bottleneck_factor": 2, "growth": 8, "norm": "InstanceNorm", "num_blocks_per_scale": 1,
            "num_channels": 8, "num_scales": 2, "num_subbands": 4, "scale": [2, 2],
        },
        "training": {"instruments": _FOUR, "target_instrument": None},
        "inference": {"batch_size": 3, "num_overlap": 4},
    }  # fmt: skip


def _conformed(config: Config) -> Config:
    model = config["model"]
    for axis in ("time", "freq"):
        model[f"{axis}_conformer_depth"] = model.pop(f"{axis}_transformer_depth")
    return config


def _moises_light() -> Config:
    return {
        "audio": {"chunk_size": 32768, "num_channels": 2, "sample_rate": 44100},
        "model": {
            "sources": _FOUR, "audio_channels": 2, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "freq_dim": 512,
            "n_bands": 4, "G": 8, "n_enc": 1, "n_dec": 1, "n_split_enc": 1, "n_split_dec": 1, "n_rope": 1,
            "bn_factor": 4, "normalized": True, "use_mask": True,
            "transformer_params": {
                "heads": 2, "dim_head": 8, "ff_mult": 1, "attn_dropout": 0.0, "proj_dropout": 0.0, "ff_dropout": 0.0,
                "flash_attn": True,
            },
        },
        "training": {"instruments": _FOUR, "target_instrument": None},
        "inference": {"batch_size": 1, "num_overlap": 2},
    }  # fmt: skip


def _conformer() -> Config:
    return {
        "audio": {"chunk_size": 32768, "num_channels": 2, "sample_rate": 44100},
        "model": {
            "in_channels": 2, "sources": 4, "freq_bins": 513, "embed_dim": 16, "depth": 1, "dim_head": 8, "heads": 2,
            "ff_mult": 1, "conv_expansion_factor": 1, "conv_kernel_size": 5, "attn_dropout": 0.0, "ff_dropout": 0.0,
            "conv_dropout": 0.0,
        },
        "stft": {"n_fft": 1024, "hop_length": 256, "win_length": 1024, "center": True},
        "training": {"instruments": _FOUR, "target_instrument": None},
        "inference": {"batch_size": 2, "num_overlap": 4},
    }  # fmt: skip


def _htdemucs() -> Config:
    return {
        "audio": {"chunk_size": 44100, "hop_length": 1024},
        "model": "htdemucs",
        "htdemucs": {
            "channels": 8, "channels_time": None, "growth": 2, "nfft": 1024, "wiener_iters": 0, "end_iters": 0,
            "wiener_residual": False, "cac": True, "depth": 3, "rewrite": True, "freq_emb": 0.2, "emb_scale": 10,
            "emb_smooth": True, "kernel_size": 8, "stride": 4, "time_stride": 2, "context": 1, "context_enc": 0,
            "norm_starts": 4, "norm_groups": 4, "dconv_mode": 1, "dconv_depth": 2, "dconv_comp": 8, "dconv_init": 1e-3,
            "bottom_channels": 0, "t_layers": 1, "t_hidden_scale": 2.0, "t_heads": 2,
            "t_dropout": 0.0, "t_layer_scale": True, "t_gelu": True, "t_emb": "sin", "t_max_positions": 10000,
            "t_max_period": 10000.0, "t_weight_pos_embed": 1.0, "t_norm_in": True, "t_norm_in_group": False,
            "t_norm_first": True, "t_norm_out": True, "t_cross_first": False, "rescale": 0.1,
        },
        "training": {
            "samplerate": 44100, "segment": 1, "channels": 2, "instruments": _FOUR, "target_instrument": None,
            "use_amp": True,
        },
        "inference": {"num_overlap": 4, "batch_size": 2},
    }  # fmt: skip


def _apollo() -> Config:
    return {
        "audio": {"chunk_size": 44100, "num_channels": 2, "sample_rate": 44100},
        "model": {"sr": 44100, "win": 20, "feature_dim": 16, "layer": 1},
        "training": {"instruments": ["restored", "addition"], "target_instrument": "restored"},
        "inference": {"batch_size": 1, "num_overlap": 2},
    }


def _bandit(section: str, **model: Any) -> Config:
    stems = ["speech", "music", "effects"]
    return {
        "cls": "Bandit",
        "audio": {"chunk_size": 32768, "num_channels": 2, "sample_rate": 44100},
        section: {
            "stems": stems, "n_bands": 16, "normalize_channel_independently": False,
            "treat_channel_as_feature": True, "n_sqm_modules": 1, "emb_dim": 8, "rnn_dim": 8, "bidirectional": True,
            "rnn_type": "GRU", "mlp_dim": 8, "hidden_activation": "Tanh", "hidden_activation_kwargs": None,
            "complex_mask": True, "n_fft": 2048, "win_length": 2048, "hop_length": 512, "window_fn": "hann_window",
            "wkwargs": None, "power": None, "center": True, "normalized": True, "pad_mode": "constant",
            "onesided": True, **model,
        },
        "training": {"instruments": stems, "target_instrument": None},
        "inference": {"batch_size": 2, "num_overlap": 2},
    }  # fmt: skip


CONFIGS: Mapping[str, Config] = {
    "bs_roformer": _roformer(freqs_per_bands=(64, 128, 256, 577)),
    "mel_band_roformer": _roformer(num_bands=20, sample_rate=44100),
    "bs_conformer": _conformed(_roformer(freqs_per_bands=(64, 128, 256, 577), ff_mult=1, conv_kernel_size=5)),
    "mel_band_conformer": _conformed(_roformer(num_bands=20, sample_rate=44100, ff_mult=1, conv_kernel_size=5)),
    "bs_roformer_experimental": _roformer(freqs_per_bands=(64, 128, 256, 577), num_residual_streams=2),
    "mel_band_roformer_experimental": _roformer(num_bands=20, sample_rate=44100, num_residual_streams=2),
    "conformer": _conformer(),
    "moises_light": _moises_light(),
    "mdx23c": _mdx23c(),
    "experimental_mdx23c_stht": _mdx23c(),
    "scnet": _scnet(),
    "scnet_masked": _scnet(),
    "scnet_tran": _scnet(
        tran_rotary_embedding_dim=4, tran_depth=1, tran_heads=2, tran_dim_head=8, tran_attn_dropout=0.0,
        tran_ff_dropout=0.0, tran_flash_attn=False,
    ),
    "htdemucs": _htdemucs(),
    "apollo": _apollo(),
    "bandit": _bandit(
        "model", in_channel=1, band_specs="musical", fs=44100, require_no_overlap=False, require_no_gap=True
    ),
    "bandit_v2": _bandit("kwargs", in_channels=1, band_type="musical", fs=44100, use_freq_weights=True),
}  # fmt: skip


STAND_IN_CONFIGS: Mapping[str, Config] = {
    "bs_roformer": {
        **_roformer(),
        "model": {"dim": 8, "depth": 1, "stereo": True, "freqs_per_bands": (64, 65), "zero_dc": False},
    },
    "mel_band_roformer": {
        **_roformer(),
        "model": {"dim": 8, "depth": 1, "stereo": True, "num_bands": 20, "stft_n_fft": 2048, "stft_hop_length": _HOP},
    },
    "mdx23c": {**_mdx23c(), "model": {"num_scales": 2, "scale": [2, 2]}},
    "htdemucs": {**_htdemucs(), "htdemucs": {"channels": 2}},
}
"""Models of the engine that stands in for the real one."""


def as_yaml(config: Config) -> str:
    """The config as its authors write it: JSON is YAML, and tuples have their tag."""
    return _written(config)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "!!python/tuple [" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, float):
        return repr(value) if "e" not in repr(value) else f"{value:.10f}"
    return json.dumps(value)
