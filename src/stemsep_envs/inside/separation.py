"""One track's way through the worker: open, choose the range, separate, encode, report."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Dict, List

from . import memory, stems
from .adapters import Context
from .audio_encoding import choose
from .audio_reading import Reader, open_audio
from .failures import RequestError
from .output_files import PartialFiles
from .params import SeparateRequest, check_stems
from .resampling import resampled_frames
from .source import Source, choose_range

Warnings = List[Dict[str, str]]


def separate(request: SeparateRequest, model: Any, files: PartialFiles, context: Context) -> Dict[str, Any]:
    """Separate one track; the files in `files` are complete when this returns, and the caller keeps or discards them.

    Raises `RequestError`, `RpcError` for stems that the model does not have, and whatever the model raises.
    """
    started = time.perf_counter()
    names = check_stems(request, tuple(model.stems))
    with closing(open_audio(request.input)) as reader:
        opened_seconds = time.perf_counter() - started
        _check_channels(reader, model)
        wanted = choose_range(reader, request.start_seconds, request.duration_seconds)
        source = Source(reader, wanted, model.sample_rate, context.check_cancelled)
        warnings: Warnings = []
        layout = _layout(request, reader, source, warnings)
        sinks = {name: stems.Stem(name, request.output.files[name], layout, files) for name in names}
        model.separate(source, dict(sinks), context)
        context.check_cancelled()
        source.drain()
        _inspect_input(reader, source, warnings)
    separated_at = time.perf_counter()

    model_frames = source.frames or 0
    context.finish(model_frames)
    frames = resampled_frames(source.input_frames, reader.sample_rate, layout.sample_rate)
    written = list(sinks.values())
    for stem in written:
        stem.finish(model_frames, frames)
    gain, gain_reason = stems.encode_all(written, layout, context.at_stage("encode"))

    ended = time.perf_counter()
    decode_seconds = opened_seconds + source.decode_seconds
    streamed_seconds = sum(stem.encode_seconds for stem in written)
    return {
        "input": _describe_input(reader),
        "range": {"start_frame": wanted.start_frame, "frames": source.input_frames},
        "outputs": [stems.describe(stem, layout) for stem in written],
        "gain": gain,
        "gain_reason": gain_reason,
        "warnings": warnings,
        "timings": {
            "decode_seconds": decode_seconds,
            "separate_seconds": max(0.0, separated_at - started - decode_seconds - streamed_seconds),
            "encode_seconds": streamed_seconds + ended - separated_at,
            "total_seconds": ended - started,
        },
        "peak_memory_bytes": memory.peak_bytes(),
    }


def _check_channels(reader: Reader, model: Any) -> None:
    accepted = tuple(model.channels)
    if reader.channels not in accepted:
        counts = " or ".join(str(count) for count in accepted)
        message = f"the input has {_channels(reader.channels)}; this model accepts {counts}"
        raise RequestError("input_channels", message, "Mix or split the input to one of these channel counts.")


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _layout(request: SeparateRequest, reader: Reader, source: Source, warnings: Warnings) -> stems.Layout:
    output = request.output
    encoding = choose(output.format, output.bit_depth, reader.channels)
    wanted_rate = {"model": source.sample_rate, "source": reader.sample_rate}.get(
        str(output.sample_rate), output.sample_rate
    )
    sample_rate = encoding.rate_for(int(wanted_rate))
    if sample_rate != wanted_rate:
        message = f"{output.format} cannot hold {wanted_rate} Hz: the stems have {sample_rate} Hz"
        warnings.append({"code": "sample_rate_changed", "message": message})
    return stems.Layout(
        dir=output.dir,
        encoding=encoding,
        model_rate=source.sample_rate,
        sample_rate=sample_rate,
        channels=reader.channels,
        normalize=output.normalize,
    )


def _inspect_input(reader: Reader, source: Source, warnings: Warnings) -> None:
    """Note what is odd about the input. Fails with `input_nonfinite` if nothing in it is a number."""
    samples = source.input_frames * source.channels
    if source.nonfinite_samples == samples:
        raise RequestError("input_nonfinite", "every sample of the input is NaN or infinite")
    if source.nonfinite_samples:
        message = f"{source.nonfinite_samples} of {samples} samples are NaN or infinite; they were taken as silence"
        warnings.append({"code": "input_nonfinite_samples", "message": message})
    if source.peak == 0.0:
        warnings.append({"code": "input_silent", "message": "every sample of the input is zero"})
    if reader.truncated:
        warnings.append({"code": "input_truncated", "message": _truncation(reader)})


def _truncation(reader: Reader) -> str:
    if reader.promised_frames is None:
        return "the file is cut short or damaged: what could be decoded was separated"
    there = reader.frames if reader.frames is not None and reader.frames < reader.promised_frames else reader.position
    return f"the file is cut short: its header promises {reader.promised_frames} frames, {there} could be decoded"


def _describe_input(reader: Reader) -> Dict[str, Any]:
    frames = reader.position if reader.frames is None else reader.frames
    return {
        "sample_rate": reader.sample_rate,
        "channels": reader.channels,
        "frames": frames,
        "duration_seconds": frames / reader.sample_rate,
        "container": reader.container,
        "subtype": reader.subtype,
    }
