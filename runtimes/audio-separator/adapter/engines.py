"""The engine's own objects, one for each architecture, made without the program around them.

What the program's `Separator.load_model` does with a model's data is done here: the same common parameters, the same
parameters of the architecture, the same class.
"""

from __future__ import annotations

import logging
import os
import sys
from types import ModuleType
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from .configs import hop_of
from .context import Context
from .files import Files
from .settings import Settings, frames_of, seconds_of, stem_names

SAMPLE_RATE = 44100
_MDX_HOP = 1024
_DEMUCS_SOURCES = ["drums", "bass", "other", "vocals", "guitar", "piano"]
_DEMUCS_STEMS = ["Bass", "Drums", "Other", "Vocals", "Guitar", "Piano"]  # the engine swaps the first two
_VR_SIZES = [31191, 33966, 56817, 123821, 123812, 129605, 218409, 537238, 537227]
_SHOWN_CHARACTERS = 800
_UNBOUNDED = float("inf")


class Engine(NamedTuple):
    """A loaded model.

    Attributes:
        own: The engine's object.
        modules: Where its loops are.
        shares: Which part of the work each loop is; see `watching`.
        stems: The engine's stem for each name.
        sample_rate: In hertz.
        segment: In seconds, or None where there is none.
        files: Kept as long as the model is.
    """

    own: Any
    modules: Sequence[ModuleType]
    shares: Sequence[float]
    stems: Dict[str, str]
    sample_rate: int
    segment: Any
    files: Files


def make_engine(settings: Settings, files: Files, data: Dict[str, Any], device: str, context: Context) -> Engine:
    """Make the engine's object for a model. Fails with `model_failed` or `unsupported_setting`."""
    makers = {"roformer": _mdxc, "mdx23c": _mdxc, "mdx": _mdx, "vr": _vr, "demucs": _demucs}
    log = _EngineLog(context)
    with files.as_data(context):
        engine = makers[settings.model_type](settings, files, data, _common(settings, data, device, log), context)
    policy = getattr(engine.own, "resolve_execution_policy", None)
    if policy is not None and not engine.own._execution_policy_resolved:  # noqa: SLF001 - as Separator.load_model does
        policy(settings.model_type)
    if log.provider_missing:
        context.fail("unsupported_setting", log.provider_missing, hint="Choose the CPU, or repair the CUDA libraries.")
    return engine


class _EngineLog(logging.Handler):
    """Passes what the engine says on to the host, and keeps its last complaint."""

    def __init__(self, context: Context) -> None:
        super().__init__(logging.WARNING)
        self.last_error = ""
        self.provider_missing = ""
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR and not self.last_error:
            self.last_error = text
        if text.startswith("ONNX Runtime could not activate"):
            self.provider_missing = text
        self._context.log("warning" if record.levelno >= logging.WARNING else "info", text)


def _common(settings: Settings, data: Dict[str, Any], device: str, log: _EngineLog) -> Dict[str, Any]:
    """The parameters that all architectures have, as `Separator.load_model` gives them."""
    import torch

    logger = logging.Logger("audio-separator", logging.WARNING)  # noqa: LOG001 - of its own, for this model
    logger.addHandler(log)
    normalization = settings["normalization"]
    precision = settings.values.get("precision", "float32")
    torch_device = torch.device(device)
    return {
        "logger": logger,
        "log_level": logging.WARNING,
        "torch_device": torch_device,
        "torch_device_cpu": torch.device("cpu"),
        "torch_device_mps": torch_device if device == "mps" else None,
        "onnx_execution_provider": _providers(device),
        "model_data": data,
        "output_format": "WAV",
        "output_bitrate": None,
        "output_dir": None,
        # The engine's default is 0.9: louder tracks and stems are made quieter. None changes no gain.
        "normalization_threshold": _UNBOUNDED if normalization is None else normalization,
        "amplification_threshold": settings["amplification"],
        "output_single_stem": None,
        "invert_using_spec": False,  # in 0.47.1 it fails: the stem and the mix are turned differently
        "sample_rate": _sample_rate(data),
        "use_soundfile": True,
        "use_autocast": precision == "autocast",
        "use_native_fp16": precision == "float16",
        "use_torch_compile": False,
    }


def _providers(device: str) -> List[str]:
    import onnxruntime

    if device == "cuda":
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        return ["CUDAExecutionProvider"]
    if device == "mps" and "CoreMLExecutionProvider" in onnxruntime.get_available_providers():
        return ["CoreMLExecutionProvider"]
    return ["CPUExecutionProvider"]


def _sample_rate(data: Dict[str, Any]) -> int:
    rate = (data.get("audio") or {}).get("sample_rate")
    return rate if isinstance(rate, int) and rate > 0 else SAMPLE_RATE


def _made(cls: Any, common: Dict[str, Any], own: Dict[str, Any], path: str, files: Files, context: Context) -> Any:
    """An object of the engine for the weights at `path`; whatever it raises in words."""
    common = {**common, "model_name": os.path.splitext(os.path.basename(path))[0], "model_path": path}
    (log,) = common["logger"].handlers
    try:
        return cls(common_config=common, arch_config=own)
    except (Exception, SystemExit) as error:
        if _is_ours(error):
            raise
        # The program ends itself when weights do not fit, after it has said why to its log.
        words = (
            log.last_error if isinstance(error, SystemExit) and log.last_error else f"{type(error).__name__}: {error}"
        )
        context.fail("model_failed", f"{files.name(path)} cannot be loaded: {_shortened(words)}")


def _is_ours(error: BaseException) -> bool:
    """Say whether an error is one that the context raised, and already in words."""
    return hasattr(error, "kind") and hasattr(error, "hint")


def _shortened(words: str) -> str:
    joined = " ".join(words.split())
    return joined if len(joined) <= _SHOWN_CHARACTERS else joined[:_SHOWN_CHARACTERS] + " …"


def _named(stems: Sequence[str], settings: Settings, context: Context) -> Dict[str, str]:
    """Stems: each name with that of the engine's stem which it is; the engine's in lower case, or as `stem_names` says.

    Of two stems, what is left of a mix without its vocals has the name that registries give it, besides the engine's.
    """
    wanted = stem_names(settings, context)
    unknown = sorted(set(wanted) - {stem.lower() for stem in stems})
    if unknown:
        words = f"stem_names: the model has no {', '.join(unknown)}, it makes {', '.join(stems)}"
        context.fail("unsupported_setting", words)
    names = {wanted.get(stem.lower(), stem.lower()): stem for stem in stems}
    if len(stems) == 2 and "vocals" in names and "instrumental" not in names:
        names["instrumental"] = stems[1] if stems[0] == names["vocals"] else stems[0]
    return names


def _mdxc(settings: Settings, files: Files, data: Dict[str, Any], common: Dict[str, Any], context: Context) -> Engine:
    from audio_separator.separator.architectures import mdxc_separator

    path = files.only("checkpoint", [".ckpt", ".pt", ".pth", ".safetensors", ".chpt"], context)
    rate, hop = common["sample_rate"], hop_of(data)
    segment = settings["segment"]
    frames = data["inference"]["dim_t"] if segment is None else frames_of(segment, hop, rate, context)
    own = {
        # What the engine takes for tracks under ten seconds, whatever the model's own is.
        "segment_size": 256 if segment is None else frames,
        "override_model_segment_size": segment is not None,
        "overlap": settings["overlap"],
        "batch_size": settings.values.get("batch_size"),
        "pitch_shift": settings["pitch_shift"],
    }
    made = _made(mdxc_separator.MDXCSeparator, common, own, path, files, context)
    instruments = list(data["training"]["instruments"])
    if not data["training"].get("target_instrument") and len(instruments) != 2:
        stems = instruments
    else:
        stems = [made.primary_stem_name, made.secondary_stem_name]
    named = _named(stems, settings, context)
    return Engine(made, [mdxc_separator], [1.0], named, rate, seconds_of(frames, hop, rate), files)


def _mdx(settings: Settings, files: Files, data: Dict[str, Any], common: Dict[str, Any], context: Context) -> Engine:
    _without_torchvision()
    from audio_separator.separator.architectures import mdx_separator

    path = files.only("ONNX file", [".onnx"], context)
    segment = settings["segment"]
    frames = 256 if segment is None else frames_of(segment, _MDX_HOP, SAMPLE_RATE, context)
    if _MDX_HOP * (frames - 1) <= data["mdx_n_fft_scale_set"]:
        words = f"segment is {seconds_of(frames, _MDX_HOP, SAMPLE_RATE):.3g} s, no longer than the model's window"
        context.fail("unsupported_setting", words)
    own = {
        "hop_length": _MDX_HOP,
        "segment_size": frames,
        "overlap": settings["overlap"],
        "batch_size": settings["batch_size"],
        "enable_denoise": settings["denoise"],
    }
    _check_graph(path, data, files, context)
    made = _made(mdx_separator.MDXSeparator, common, own, path, files, context)
    named = _named([made.primary_stem_name, made.secondary_stem_name], settings, context)
    seconds = seconds_of(frames, _MDX_HOP, SAMPLE_RATE)
    # The second pass only transforms there and back.
    return Engine(made, [mdx_separator], [0.95, 0.05], named, SAMPLE_RATE, seconds, files)


def _check_graph(path: str, data: Dict[str, Any], files: Files, context: Context) -> None:
    """Refuse weights whose input is not what the model's numbers say."""
    import onnx

    try:
        shape = [
            dim.dim_value for dim in onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
        ]
    except Exception as error:
        words = _shortened(str(error)) or type(error).__name__
        context.fail("model_failed", f"{files.name(path)} is no ONNX model: {words}")
    if len(shape) != 4 or shape[1] not in (0, 4) or shape[2] not in (0, data["mdx_dim_f_set"]):
        words = f"{files.name(path)} takes input of the shape {shape}, not [batch, 4, {data['mdx_dim_f_set']}, frames]"
        context.fail("model_failed", words, hint="dim_f or the file is that of another model.")


def _without_torchvision() -> None:
    """Stand in for torchvision where it is not installed: onnx2torch imports it for layers that no such model has."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):

        def missing(*_: Any, **__: Any) -> Any:
            raise RuntimeError("this model has layers of object detection, for which torchvision is not installed")

        package, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
        ops.roi_align = ops.nms = ops.box_convert = missing  # type: ignore[attr-defined]
        package.ops = ops  # type: ignore[attr-defined]
        sys.modules.update({"torchvision": package, "torchvision.ops": ops})


def _vr(settings: Settings, files: Files, data: Dict[str, Any], common: Dict[str, Any], context: Context) -> Engine:
    from audio_separator.separator.architectures import vr_separator

    path = files.only("checkpoint", [".pth"], context)
    _check_vr_parameters(vr_separator, data, context)
    own = {
        "batch_size": settings["batch_size"],
        "window_size": settings["window_size"],
        "aggression": settings["aggression"],
        "enable_tta": settings["tta"],
        "enable_post_process": settings["post_process"],
        "post_process_threshold": settings["post_process_threshold"],
        "high_end_process": settings["high_end_process"],
    }
    made = _made(vr_separator.VRSeparator, common, own, path, files, context)
    try:
        # The engine loads at the first track, and tells the size of its network from the size of the file; a converted
        # file is about as large.
        kibibytes = -(-os.stat(path).st_size // 1024)
        made._ensure_model_loaded(min(_VR_SIZES, key=lambda size: abs(size - kibibytes)))  # noqa: SLF001
    except Exception as error:
        if _is_ours(error):
            raise
        words = _shortened(f"{type(error).__name__}: {error}")
        context.fail("model_failed", f"{files.name(path)} cannot be loaded: {words}")
    named = _named([made.primary_stem_name, made.secondary_stem_name], settings, context)
    # Reading the bands, cutting into patches, the network; then the last two again, with everything shifted.
    shares = [0.0, 0.0, 0.5, 0.0, 0.5] if settings["tta"] else [0.0, 0.0, 1.0]
    return Engine(made, [vr_separator], shares, named, SAMPLE_RATE, None, files)


def _check_vr_parameters(module: ModuleType, data: Dict[str, Any], context: Context) -> None:
    root = os.path.dirname(os.path.dirname(os.path.abspath(str(module.__file__))))
    folder = os.path.join(root, "uvr_lib_v5", "vr_network", "modelparams")
    known = sorted(name[: -len(".json")] for name in os.listdir(folder) if name.endswith(".json"))
    if data["vr_model_param"] not in known:
        words = f"vr_model_param is {data['vr_model_param']!r}; the engine has {', '.join(known)}"
        context.fail("unsupported_setting", words)


def _demucs(settings: Settings, files: Files, _: Dict[str, Any], common: Dict[str, Any], context: Context) -> Engine:
    from audio_separator.separator.architectures import demucs_separator
    from audio_separator.separator.uvr_lib_v5.demucs import apply

    # One checkpoint is no bag: its YAML is the config that another runtime takes.
    is_bag = len(files.find(".th")) > 1
    path = files.only("YAML file", [".yaml"], context) if is_bag else files.only("checkpoint", [".th"], context)
    own = {
        "segment_size": "Default",
        "shifts": settings["shifts"],
        "overlap": settings["overlap"],
        "segments_enabled": True,
    }
    made = _made(demucs_separator.DemucsSeparator, common, own, path, files, context)
    model = _demucs_model(path, files, context)
    members = list(getattr(model, "models", [model]))
    if settings["segment"] is not None:
        _set_segment(members, settings["segment"], context)
    # The engine reads the model anew for each track, after making another one that it drops.
    demucs_separator.get_demucs_model = lambda **_: model
    demucs_separator.HDemucs = lambda **_: None
    named = _named(_demucs_stems(model, files.name(path), context), settings, context)
    passes = len(members) * max(1, settings["shifts"])
    segment = min(float(member.segment) for member in members)
    return Engine(made, [apply], [1 / passes] * passes, named, int(model.samplerate), segment, files)


def _demucs_model(path: str, files: Files, context: Context) -> Any:
    from pathlib import Path

    from audio_separator.separator.uvr_lib_v5.demucs.pretrained import get_model

    try:
        return get_model(name=os.path.splitext(os.path.basename(path))[0], repo=Path(files.folder))
    except (Exception, SystemExit) as error:
        if _is_ours(error):
            raise
        words = _shortened(f"{type(error).__name__}: {error}")
        context.fail("model_failed", f"{files.name(path)} cannot be loaded: {words}")


def _demucs_stems(model: Any, filename: str, context: Context) -> Tuple[str, ...]:
    """The stems that the engine names, by their number alone: refused where a model has others, or another order."""
    count = len(model.sources)
    if count not in (4, 6) or list(model.sources) != _DEMUCS_SOURCES[:count]:
        words = f"{filename} makes {', '.join(model.sources)}; this engine knows {', '.join(_DEMUCS_SOURCES[:4])}"
        context.fail("model_failed", words, hint="The runtime stemsep-legacy takes the names from the model.")
    return tuple(_DEMUCS_STEMS[:count])


def _set_segment(members: Sequence[Any], seconds: float, context: Context) -> None:
    for member in members:
        if type(member).__name__ == "HTDemucs" and seconds > float(member.segment):
            words = f"segment is {seconds:g} s, and this model was trained with {float(member.segment):g} s"
            context.fail("unsupported_setting", words, hint="No longer ones work.")
        member.segment = seconds
