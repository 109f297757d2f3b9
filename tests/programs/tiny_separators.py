"""Makes tiny models for the audio-separator package with random weights: run inside an environment that has it.

    python tiny_separators.py FOLDER

Each lies in the folder as the package wants it: weights, configs, and the lists that it would otherwise fetch.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import audio_separator
import onnx
import torch
import yaml
from audio_separator.separator.uvr_lib_v5.roformer.bs_roformer import BSRoformer
from audio_separator.separator.uvr_lib_v5.roformer.mel_band_roformer import MelBandRoformer
from audio_separator.separator.uvr_lib_v5.tfc_tdf_v3 import TFC_TDF_net
from audio_separator.separator.uvr_lib_v5.vr_network.nets_new import CascadedNet
from ml_collections import ConfigDict
from onnx import TensorProto, helper, numpy_helper

# Published checkpoints name their class `demucs.htdemucs.HTDemucs`, which the package finds here.
sys.path.insert(0, str(Path(audio_separator.__path__[0]) / "separator" / "uvr_lib_v5"))
from demucs.htdemucs import HTDemucs

ROFORMER: dict[str, Any] = {
    "dim": 16,
    "depth": 1,
    "stereo": True,
    "num_stems": 1,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "dim_head": 8,
    "heads": 2,
    "mask_estimator_depth": 1,
    "stft_n_fft": 512,
    "stft_hop_length": 256,
    "stft_win_length": 512,
}
BANDS = (64, 64, 64, 65)
AUDIO = {"sample_rate": 44100, "hop_length": 256, "num_channels": 2, "dim_f": 256, "n_fft": 512}
TARGET = {"instruments": ["vocals", "other"], "target_instrument": "vocals"}
MDX23C: dict[str, Any] = {
    "act": "gelu",
    "bottleneck_factor": 2,
    "growth": 4,
    "norm": "InstanceNorm",
    "num_blocks_per_scale": 1,
    "num_channels": 8,
    "num_scales": 2,
    "num_subbands": 2,
    "scale": [2, 2],
}
VR = {"vr_model_param": "1band_sr44100_hl512", "nout": 8, "nout_lstm": 8, "primary_stem": "Vocals"}
MDX: dict[str, Any] = {"compensate": 1.02, "mdx_dim_f_set": 1024, "mdx_dim_t_set": 6, "mdx_n_fft_scale_set": 4096}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lists: dict[str, dict[str, Any]] = {
        name: {}
        for name in (
            *("vr_download_list", "mdx_download_list", "mdx_download_vip_list", "demucs_download_list"),
            *("mdx23c_download_list", "mdx23c_download_vip_list", "roformer_download_list"),
        )
    }
    for name, seed, cls, config in (
        ("tiny_bs_roformer", 1, BSRoformer, {**ROFORMER, "freqs_per_bands": BANDS}),
        ("tiny_mel_band_roformer", 2, MelBandRoformer, {**ROFORMER, "num_bands": 8, "sample_rate": 44100}),
    ):
        torch.manual_seed(seed)
        torch.save(cls(**config).state_dict(), folder / f"{name}.ckpt")
        document = {"audio": {**AUDIO, "chunk_size": 25600}, "model": config, "training": TARGET}
        document["inference"] = {"dim_t": 101, "num_overlap": 2, "batch_size": 1}
        (folder / f"{name}.yaml").write_text(yaml.dump(document))  # with !!python/tuple, as published ones
        lists["roformer_download_list"][f"Roformer {name}"] = {f"{name}.ckpt": f"{name}.yaml"}

    torch.manual_seed(3)
    document = {
        "audio": {**AUDIO, "hop_length": 128, "dim_t": 64},
        "model": MDX23C,
        "training": {"instruments": ["Vocals", "Drums", "Bass"], "target_instrument": None},
        "inference": {"dim_t": 64, "num_overlap": 2, "batch_size": 2},
    }
    torch.save(TFC_TDF_net(ConfigDict(document), device="cpu").state_dict(), folder / "tiny_mdx23c.ckpt")
    (folder / "tiny_mdx23c.yaml").write_text(yaml.dump(document))
    lists["mdx23c_download_list"]["MDX23C tiny"] = {"tiny_mdx23c.ckpt": "tiny_mdx23c.yaml"}

    torch.manual_seed(4)
    torch.save(CascadedNet(2048, nout=8, nout_lstm=8).state_dict(), folder / "tiny_vr.pth")
    (folder / "vr_model_data.json").write_text(json.dumps({md5(folder / "tiny_vr.pth"): VR}))
    lists["vr_download_list"]["VR tiny"] = "tiny_vr.pth"

    write_onnx(folder / "tiny_mdx.onnx")
    (folder / "mdx_model_data.json").write_text(json.dumps({md5(folder / "tiny_mdx.onnx"): MDX}))
    lists["mdx_download_list"]["MDX tiny"] = "tiny_mdx.onnx"

    names = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        kwargs: dict[str, Any] = {
            "channels": 8,
            "growth": 2,
            "nfft": 1024,
            "depth": 3,
            "t_layers": 1,
            "t_heads": 2,
            "segment": 1,
        }
        kwargs |= {"t_hidden_scale": 1.0, "bottom_channels": 16}
        model = HTDemucs(["drums", "bass", "other", "vocals"], **kwargs)
        package = {"klass": HTDemucs, "args": (model.sources,), "kwargs": kwargs, "state": model.state_dict()}
        torch.save(package, folder / "new.th")
        names.append(f"tiny{seed}-{hashlib.sha256((folder / 'new.th').read_bytes()).hexdigest()[:8]}.th")
        (folder / "new.th").rename(folder / names[-1])
    (folder / "tiny_demucs.yaml").write_text("models: ['tiny5', 'tiny6']\n")
    urls = {name: f"https://example.invalid/{name}" for name in (*names, "tiny_demucs.yaml")}
    lists["demucs_download_list"]["Demucs v4: tiny"] = urls
    (folder / "download_checks.json").write_text(json.dumps(lists))


def write_onnx(path: Path) -> None:
    """A network of two convolutions over [batch, 4, bins, frames], of any number of frames."""
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn((4, 4, 3, 3), generator=generator) / 6 for _ in range(2)]
    shape = ["batch", 4, MDX["mdx_dim_f_set"], "frames"]
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["middle"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["middle"], ["bent"]),
        helper.make_node("Conv", ["bent", "second"], ["output"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(w.numpy(), name) for w, name in zip(weights, ("first", "second"), strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
