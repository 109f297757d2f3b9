"""A model from its files: one checkpoint, or a bag: a YAML file that names checkpoints, and those.

models: [f7e0c4bc, d12395a8]      signatures, the beginnings of file names
weights: [[1, 1, 1, 0], [1, 1, 1, 1]]      of each model in each stem, optional
segment: 7.8                      in seconds, optional
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .context import Context
from .packages import Package, build, read_package

_MAX_YAML_BYTES = 1 << 20
_MODELS = re.compile(rb"""^["']?models["']?\s*:""", re.MULTILINE)
_MAX_MODELS = 64
_SUFFIXES = (".th", ".safetensors")


def load_model(request: Dict[str, Any], context: Context) -> Any:
    """The model or bag of models that a request's artifacts are, in evaluation mode. Fails with `model_failed`."""
    artifacts: Dict[str, Dict[str, str]] = request["artifacts"]
    checkpoints = {name: artifact for name, artifact in artifacts.items() if _is_checkpoint(artifact)}
    if not checkpoints:
        context.fail("model_failed", "the model has no checkpoint: none of its files ends in .th or .safetensors")
    bags = [artifact for artifact in artifacts.values() if _is_bag(artifact, of_one=len(checkpoints) == 1)]
    if len(bags) > 1:
        names = ", ".join(artifact["filename"] for artifact in bags)
        context.fail(
            "model_failed", f"the model has {len(bags)} YAML files ({names}); which of them is the bag is not told"
        )
    if bags:
        return _bag(bags[0], list(checkpoints.values()), request, context)
    if len(checkpoints) > 1:
        names = ", ".join(artifact["filename"] for artifact in checkpoints.values())
        context.fail(
            "model_failed",
            f"the model has {len(checkpoints)} checkpoints ({names}) and nothing that says how they work together",
            hint="A bag of models needs its YAML file, as the artifact `config`.",
        )
    (artifact,) = checkpoints.values()
    return build(_expected(read_package(artifact, context), request, context), context)


def _is_bag(artifact: Mapping[str, str], of_one: bool) -> bool:
    """Say whether a file describes a bag. A model of one checkpoint may come with another engine's config instead."""
    if not artifact["filename"].endswith((".yaml", ".yml")):
        return False
    if not of_one:
        return True
    with open(artifact["path"], "rb") as stream:
        return _MODELS.search(stream.read(_MAX_YAML_BYTES)) is not None


def _is_checkpoint(artifact: Mapping[str, str]) -> bool:
    return artifact["format"] == "tree" or artifact["filename"].endswith(_SUFFIXES)


def _expected(package: Package, request: Dict[str, Any], context: Context) -> Package:
    """The package, if it is of the model type that was asked for."""
    wanted = request["model"]["model_type"]
    if wanted is not None and package.model_type != wanted:
        context.fail(
            "model_failed",
            f"{package.filename} holds a model of type {package.model_type}, not {wanted}",
            hint="Correct runtime.model_type of the registry entry, or its checkpoint.",
        )
    return package


def _bag(
    yaml_file: Mapping[str, str], checkpoints: List[Dict[str, str]], request: Dict[str, Any], context: Context
) -> Any:
    from demucs.apply import BagOfModels

    filename = yaml_file["filename"]
    signatures, weights, segment = _read_bag(yaml_file, context)
    by_signature = _by_signature(checkpoints, context)
    missing = [signature for signature in signatures if signature not in by_signature]
    if missing:
        context.fail(
            "model_failed",
            "{} names {}, of which there is no checkpoint; there is {}".format(
                filename, ", ".join(missing), ", ".join(sorted(by_signature))
            ),
            hint="Each checkpoint of a bag is an artifact of the registry entry, named SIGNATURE-CHECKSUM.th.",
        )
    models = []
    for signature in signatures:
        context.check_cancelled()
        models.append(build(_expected(read_package(by_signature[signature], context), request, context), context))
    _check_alike(models, signatures, filename, context)
    if weights is not None:
        _check_weights(weights, models, filename, context)
    return BagOfModels(models, weights, segment).eval()


def _read_bag(
    yaml_file: Mapping[str, str], context: Context
) -> Tuple[List[str], Optional[List[List[float]]], Optional[float]]:
    import yaml

    filename = yaml_file["filename"]
    with open(yaml_file["path"], "rb") as stream:
        data = stream.read(_MAX_YAML_BYTES + 1)
    if len(data) > _MAX_YAML_BYTES:
        context.fail("model_failed", f"{filename} is too large for the description of a bag of models")
    try:
        content = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        context.fail("model_failed", f"{filename} is no YAML that describes a bag of models: {error}")
    members = content if isinstance(content, dict) else {}
    signatures = members.get("models")
    # Digits alone are a number to YAML, and a signature all the same: 955717e8 is one too.
    if not isinstance(signatures, list) or not 0 < len(signatures) <= _MAX_MODELS:
        context.fail("model_failed", f"{filename} names no models: a bag has `models: [SIGNATURE, ...]`")
    numbers = [signature for signature in signatures if not isinstance(signature, str)]
    if numbers:
        words = f"{filename}: models: {numbers[0]!r} is no text to YAML"
        context.fail("model_failed", words, hint="Put the signature in quotes.")
    segment = members.get("segment")
    if segment is not None and not (_is_number(segment) and segment > 0):
        context.fail("model_failed", f"{filename}: segment is {segment!r}, not a number of seconds")
    return signatures, members.get("weights"), segment


def _by_signature(checkpoints: List[Dict[str, str]], context: Context) -> Dict[str, Dict[str, str]]:
    """Checkpoints by the signature in their file names: `f7e0c4bc` of f7e0c4bc-ba3fe64a.th."""
    found: Dict[str, Dict[str, str]] = {}
    for artifact in checkpoints:
        stem = artifact["filename"].rpartition(".")[0] or artifact["filename"]
        signature = stem.rpartition("-")[0] or stem
        if signature in found:
            both = "{} and {}".format(found[signature]["filename"], artifact["filename"])
            context.fail("model_failed", f"{both} have the same signature")
        found[signature] = artifact
    return found


def _check_alike(models: List[Any], signatures: List[str], filename: str, context: Context) -> None:
    first = models[0]
    for model, signature in zip(models, signatures, strict=True):
        for what in ("sources", "samplerate", "audio_channels"):
            if getattr(model, what) != getattr(first, what):
                context.fail(
                    "model_failed",
                    f"{filename}: {signature} has {what} {getattr(model, what)}, and {signatures[0]} has "
                    f"{getattr(first, what)}: models of a bag must agree",
                )


def _check_weights(weights: Any, models: List[Any], filename: str, context: Context) -> None:
    stems = len(models[0].sources)
    fits = isinstance(weights, list) and len(weights) == len(models)
    if not fits or not all(
        isinstance(row, list) and len(row) == stems and all(map(_is_number, row)) for row in weights
    ):
        context.fail("model_failed", f"{filename}: weights must be {len(models)} lists of {stems} numbers")
    for index, stem in enumerate(models[0].sources):
        if sum(row[index] for row in weights) == 0:
            context.fail("model_failed", f"{filename}: no model has a weight in the stem {stem!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
