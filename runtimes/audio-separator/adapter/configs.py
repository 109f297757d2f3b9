"""What a model is made with: `model_data`, as the engine calls it.

roformer, mdx23c    the model's YAML file. `!!python/tuple` in it makes a tuple, and no other tag makes anything.
mdx, vr             a few numbers, which the engine looks up by the MD5 of the weights. They come from settings,
                    else from a JSON file of the model: the numbers themselves, or a table of them by MD5; else from the
                    package's own table, else from mdx_models.json beside this.
demucs              nothing, but for a bag its YAML file, which the engine reads itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict

from .context import Context
from .files import Files
from .settings import Settings

_HASHED_BYTES = 10_000 * 1024

_MDX_NAMES = {
    "compensate": "compensate",
    "dim_f": "mdx_dim_f_set",
    "dim_t": "mdx_dim_t_set",
    "n_fft": "mdx_n_fft_scale_set",
    "primary_stem": "primary_stem",
}
_VR_NAMES = {name: name for name in ("vr_model_param", "nout", "nout_lstm", "primary_stem")}


def read_model_data(settings: Settings, files: Files, context: Context) -> Dict[str, Any]:
    """The model's data. Fails with `model_failed`, naming what is missing."""
    if settings.model_type in ("roformer", "mdx23c"):
        return _from_yaml(settings, files, context)
    if settings.model_type == "mdx":
        return _from_numbers(_MDX_NAMES, files.only("ONNX file", [".onnx"], context), settings, files, context)
    if settings.model_type == "vr":
        return _from_numbers(_VR_NAMES, files.only("checkpoint", [".pth"], context), settings, files, context)
    return {}


def _from_yaml(settings: Settings, files: Files, context: Context) -> Dict[str, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain values, and tuples."""

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
    path = files.only("config", [".yaml", ".yml"], context)
    try:
        data = yaml.load(files.text(path, context), Loader=Loader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        context.fail("model_failed", f"{files.name(path)} is no YAML: {error}")
    if not isinstance(data, dict):
        context.fail("model_failed", f"{files.name(path)} is no config of a model: it is no mapping")
    for part in ("model", "training", "audio"):
        if not isinstance(data.get(part), dict):
            context.fail("model_failed", f"{files.name(path)} has no section {part!r}")
    instruments = data["training"].get("instruments")
    if not isinstance(instruments, list) or not instruments or not all(isinstance(one, str) for one in instruments):
        context.fail("model_failed", f"{files.name(path)}: training.instruments names no stems")
    is_roformer = _is_roformer(data, files.name(path), context)
    if is_roformer != (settings.model_type == "roformer"):
        found = "a roformer" if is_roformer else "no roformer"
        words = f"{files.name(path)} describes {found}, and the model's type is {settings.model_type}"
        context.fail("model_failed", words, hint="Correct runtime.model_type of the registry entry, or its config.")
    if is_roformer:
        data["is_roformer"] = True
    return _with_segment(data, files.name(path), context)


def _tuple(loader: Any, node: Any) -> Any:
    return tuple(loader.construct_sequence(node, deep=True))


def _is_roformer(data: Dict[str, Any], filename: str, context: Context) -> bool:
    from audio_separator.separator.roformer.configuration_normalizer import ConfigurationNormalizer

    try:
        found = ConfigurationNormalizer().detect_model_type(data)
    except Exception as error:
        context.fail("model_failed", f"{filename} describes no model: {error}")
    return found is not None


def _with_segment(data: Dict[str, Any], filename: str, context: Context) -> Dict[str, Any]:
    """The data with `inference.dim_t`: the length of a segment in frames. MSST's configs give it in samples."""
    inference = data.setdefault("inference", {}) or {}
    if inference.get("dim_t") is None:
        chunk_size = inference.get("chunk_size", data["audio"].get("chunk_size"))
        hop = hop_of(data)
        if not isinstance(chunk_size, int) or not isinstance(hop, int) or hop < 1:
            words = f"{filename} does not say how long a segment is: neither inference.dim_t nor audio.chunk_size"
            context.fail("model_failed", words)
        inference = {**inference, "dim_t": chunk_size // hop + 1}
    return {**data, "inference": inference}


def hop_of(data: Dict[str, Any]) -> Any:
    """The hop of a config in samples: what the engine multiplies frames with."""
    if data.get("is_roformer") and data["model"].get("stft_hop_length") is not None:
        return data["model"]["stft_hop_length"]
    return data["audio"].get("hop_length")


def _from_numbers(
    names: Dict[str, str], weights: str, settings: Settings, files: Files, context: Context
) -> Dict[str, Any]:
    data = _looked_up(weights, files, context)
    data.update({own: settings[name] for name, own in names.items() if settings[name] is not None})
    wanted = ("vr_model_param",) if settings.model_type == "vr" else ("compensate", "dim_f", "dim_t", "n_fft")
    missing = [name for name in wanted if data.get(names[name]) is None]
    if missing:
        context.fail(
            "model_failed",
            f"nothing says with what {files.name(weights)} is to be run: {', '.join(missing)}",
            hint="Give them as settings (runtime_settings of the entry, or --set), or a JSON file as config.",
        )
    data.setdefault("primary_stem", "Vocals")
    return data


def _looked_up(weights: str, files: Files, context: Context) -> Dict[str, Any]:
    """What the model's JSON file, or the package's table, says of the weights; empty when they say nothing."""
    for path in files.find(".json"):
        try:
            table = json.loads(files.text(path, context))
        except ValueError as error:
            context.fail("model_failed", f"{files.name(path)} is no JSON: {error}")
        if not isinstance(table, dict):
            context.fail("model_failed", f"{files.name(path)} says nothing about a model")
        if not all(isinstance(value, dict) for value in table.values()):
            return dict(table)
        found = table.get(_engine_hash(weights))
        # Converted weights have another hash; a table of one model needs none.
        found = next(iter(table.values())) if found is None and len(table) == 1 else found
        if found is not None:
            return dict(found)
    digest = _engine_hash(weights)
    return dict(_package_table().get(digest) or _own_table().get(digest) or {})


def _own_table() -> Dict[str, Dict[str, Any]]:
    with open(os.path.join(os.path.dirname(__file__), "mdx_models.json"), encoding="utf-8") as stream:
        rows: Dict[str, Any] = json.load(stream)["models"]
    return {digest: dict(zip(_MDX_NAMES.values(), row, strict=True)) for digest, row in rows.items()}


def _package_table() -> Dict[str, Dict[str, Any]]:
    from importlib import resources

    text = resources.files("audio_separator").joinpath("model-data.json").read_text("utf-8")
    tables = json.loads(text)
    return {**tables.get("vr_model_data", {}), **tables.get("mdx_model_data", {})}


def _engine_hash(path: str) -> str:
    """The MD5 of the last ten million bytes, more or less, by which the engine knows weights."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        stream.seek(max(0, size - _HASHED_BYTES))
        return hashlib.md5(stream.read(), usedforsecurity=False).hexdigest()
