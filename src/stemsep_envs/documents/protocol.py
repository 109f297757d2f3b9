"""The worker protocol: JSON-RPC 2.0, one message a line, on the worker's original stdin and stdout.

The worker is untrusted, so everything it says is parsed here into bounded, frozen models before anyone looks at it, and
rid of what could steer the terminal, or the log, that it ends up in. The
other half, `inside/entry.py`, runs inside the environment and shares no code with this package.

Order of a session: ``initialize``, ``load``, ``separate`` any number of times, ``shutdown``. The worker sends
``progress`` and ``log`` notifications while a request runs; the host may send ``cancel``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from stemsep_envs.documents.audio import AudioFormat, BitDepth
from stemsep_envs.documents.base import Document
from stemsep_envs.documents.fields import BeforeValidator, ConfigDict, Field, StringConstraints
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.documents.terminal import clean, clean_word

PROTOCOL_VERSION = 1
MAX_LINE_BYTES = 1 << 20
"""A longer line ends the session: a worker has nothing to say that needs more."""

MAX_LINE_VALUES = 20_000
"""Likewise a line that holds more values than this: the longest honest one has some thousands."""

Method = Literal["initialize", "load", "separate", "shutdown"]


def _cleaned(value: Any) -> Any:
    """Clean all text in a JSON value; its depth is bounded where it was read."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean_word(key): _cleaned(item) for key, item in value.items()}
    return value


def _cleaned_word(value: Any) -> Any:
    return clean_word(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_cleaned), StringConstraints(max_length=64_000)]
Word = Annotated[str, BeforeValidator(_cleaned_word), StringConstraints(min_length=1, max_length=200)]
WarningCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
Value = Annotated[Any, BeforeValidator(_cleaned)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
SampleRate = Annotated[int, Field(ge=1, le=10_000_000)]


class Reply(Document):
    """What a worker says: strict types, so that nothing is coerced, and additive fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class InitializeParams(Document):
    """Opens a session."""

    protocol: Literal[1] = 1


class InitializeResult(Reply):
    """What the worker is and can do."""

    protocol: Literal[1]
    python: Word
    platform: Word
    packages: Annotated[Mapping[Word, Word], Field(max_length=500)]
    devices: Annotated[list[Word], Field(max_length=64)]
    decodes: Annotated[list[Word], Field(max_length=200)]
    encodes: Annotated[list[Word], Field(max_length=200)]
    pid: Count


class LoadedModel(Document):
    """The model to load, as the registry names it."""

    id: str
    model_type: str | None
    variant: str | None
    architecture: str


class LoadedArtifact(Document):
    """A file of the model, as the worker is shown it."""

    path: str
    """Absolute. A blob's own name is its hash: an engine that wants a name links it in a folder of its own."""
    filename: str
    """The name that the engine knows it by."""
    kind: str
    """What it is: checkpoint, config, patch …."""
    format: Literal["raw", "tree"] = "raw"
    """``raw``: the file as it was published. ``tree``: a checkpoint that was converted to safetensors with the shape of
    its object tree beside the tensors."""


class LoadParams(Document):
    """Loads one model; a session serves one."""

    model: LoadedModel
    artifacts: Mapping[str, LoadedArtifact]
    """By artifact name (``primary``, ``config``, ``additional[0]`` …)."""
    device: str
    settings: Mapping[str, SettingValue]


class LoadResult(Reply):
    """What the loaded model makes and takes. ``sample_rate`` null: it works at the rate of its input."""

    stems: Annotated[list[Word], Field(min_length=1, max_length=64)]
    sample_rate: SampleRate | None
    channels: Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(max_length=64)]
    settings: Annotated[Mapping[Word, Value], Field(max_length=500)]
    load_seconds: Seconds


class OutputRequest(Document):
    """Where and how the stems are to be written."""

    dir: str
    files: Mapping[str, str]
    format: AudioFormat
    bit_depth: BitDepth | None
    sample_rate: Literal["model", "source"] | SampleRate
    normalize: bool


class SeparateParams(Document):
    """Separates one track. ``stems`` null: all of them."""

    input: str
    start_seconds: Seconds | None
    duration_seconds: Seconds | None
    stems: tuple[str, ...] | None
    output: OutputRequest


class InputFacts(Reply):
    """What the worker found the input to be. ``frames`` counts samples per channel of the whole file."""

    sample_rate: SampleRate
    channels: Annotated[int, Field(ge=1, le=1024)]
    frames: Count
    duration_seconds: Seconds
    container: Word
    subtype: Word


class RangeFacts(Reply):
    """The part of the input that was separated, in its own frames."""

    start_frame: Count
    frames: Count


class StemFacts(Reply):
    """One stem file. ``peak`` is the largest absolute sample value before any gain, full scale 1.0."""

    stem: Word
    file: Word
    frames: Count
    sample_rate: SampleRate
    channels: Annotated[int, Field(ge=1, le=1024)]
    peak: Annotated[float, Field(ge=0)]
    subtype: Word


class WorkerWarning(Reply):
    """Something about this track that its owner should know."""

    code: WarningCode
    message: Text


class SeparateTimings(Reply):
    """Where the worker's time went, in seconds."""

    decode_seconds: Seconds
    separate_seconds: Seconds
    encode_seconds: Seconds
    total_seconds: Seconds


class SeparateResult(Reply):
    """The outcome of one track. ``gain`` is linear and the same for all stems."""

    input: InputFacts
    range: RangeFacts
    outputs: Annotated[list[StemFacts], Field(max_length=64)]
    gain: Annotated[float, Field(gt=0)]
    gain_reason: Literal["clipping", "normalize"] | None
    warnings: Annotated[list[WorkerWarning], Field(max_length=100)]
    timings: SeparateTimings
    peak_memory_bytes: Count


class ProgressParams(Reply):
    """How far a request is; ``total_frames`` null while unknown."""

    id: Count
    stage: Word
    done_frames: Count
    total_frames: Count | None


class LogParams(Reply):
    """One line from the adapter."""

    level: Word
    message: Text


class ErrorData(Reply):
    """What a failed request means, in a stable word, with what to do about it."""

    kind: Word = "model_failed"
    hint: Text | None = None
    traceback: Text | None = None


class ErrorObject(Reply):
    """JSON-RPC's error member."""

    code: int
    message: Text
    data: ErrorData = ErrorData()


class CancelParams(Document):
    """Asks the worker to give up a request."""

    id: int


class Incoming(Reply):
    """Any line from a worker: a response (``id`` with ``result`` or ``error``) or a notification (``method``)."""

    jsonrpc: Literal["2.0"]
    id: Count | None = None
    method: Word | None = None
    params: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    error: ErrorObject | None = None
