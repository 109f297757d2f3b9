"""The parameters of each request, checked: every problem is reported, with its dotted path."""

from __future__ import annotations

import math
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type, TypeVar, Union

from . import audio_encoding
from .messages import INVALID_PARAMS, RpcError

PROTOCOL = 1

FORMATS = tuple(audio_encoding.FORMATS)
ARTIFACT_FORMATS = ("raw", "tree")
BIT_DEPTHS = tuple(
    sorted({depth for written in audio_encoding.FORMATS.values() for depth in written.subtypes if depth})
)
SAMPLE_RATES = (1000, 768_000)

_T = TypeVar("_T")


class OutputRequest(NamedTuple):
    """How the stems are to be written. `sample_rate` in hertz, or "model", or "source"."""

    dir: str
    files: Dict[str, str]
    format: str
    bit_depth: Optional[str]
    sample_rate: Union[int, str]
    normalize: bool


class SeparateRequest(NamedTuple):
    """One track to separate; no stems named means all."""

    input: str
    start_seconds: Optional[float]
    duration_seconds: Optional[float]
    stems: Optional[Tuple[str, ...]]
    output: OutputRequest


class _Fields:
    """Takes the members of a JSON object one by one and notes what is wrong with them."""

    def __init__(self, value: Any, path: str, problems: List[Dict[str, str]]) -> None:
        self._path = path
        self._problems = problems
        if not isinstance(value, dict):
            self._problem("", "must be an object")
            value = {}
        self._value: Dict[str, Any] = value

    def _problem(self, name: str, message: str) -> None:
        self._problems.append({"path": ".".join(part for part in (self._path, name) if part), "message": message})

    def take(self, name: str, expected: str, valid: Callable[[Any], bool], default: _T, required: bool = True) -> Any:
        """Member `name` if it is `valid`; otherwise `default`, and a problem unless it is absent and not required."""
        value = self._value.get(name)
        if value is None and not required:
            return default
        if not valid(value):
            self._problem(name, f"must be {expected}" if name in self._value else f"is missing: {expected}")
            return default
        return value

    def text(self, name: str) -> str:
        return str(self.take(name, "a string", _is(str), ""))

    def path_text(self, name: str) -> str:
        expected = "an absolute path"
        return str(self.take(name, expected, lambda v: isinstance(v, str) and os.path.isabs(v) and "\0" not in v, ""))

    def mapping(self, name: str) -> Dict[str, Any]:
        value: Dict[str, Any] = self.take(name, "an object", _is(dict), {})
        return value

    def fields(self, name: str) -> _Fields:
        return _Fields(self._value.get(name), f"{self._path}.{name}".lstrip("."), self._problems)

    def seconds(self, name: str) -> Optional[float]:
        value = self.take(name, "null or a number of seconds, not negative", _is_seconds, None, required=False)
        return None if value is None else float(value)


def _is(kind: Type[Any]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_seconds(value: Any) -> bool:
    # Bounded, so that seconds times a sample rate stay a whole number that anything downstream can hold.
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= 1e9


def _is_plain_name(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\\0")


def check_initialize(params: Any) -> None:
    """Refuse a host that speaks another protocol."""
    problems: List[Dict[str, str]] = []
    fields = _Fields(params, "", problems)
    fields.take("protocol", f"{PROTOCOL}", lambda value: value == PROTOCOL and _is_count(value), None)
    _raise(problems)


def parse_load(params: Any) -> Dict[str, Any]:
    """The request for the adapter's `load`, with the members that the interface promises."""
    problems: List[Dict[str, str]] = []
    fields = _Fields(params, "", problems)
    model = fields.fields("model")
    request = {
        "model": {
            "id": model.text("id"),
            "model_type": model.take("model_type", "a string or null", _is(str), None, required=False),
            "variant": model.take("variant", "a string or null", _is(str), None, required=False),
            "architecture": model.text("architecture"),
        },
        "artifacts": fields.mapping("artifacts"),
        "device": fields.text("device"),
        "settings": fields.mapping("settings"),
    }
    artifacts = _Fields(request["artifacts"], "artifacts", problems)
    request["artifacts"] = {name: _artifact(artifacts.fields(name)) for name in request["artifacts"]}
    _raise(problems)
    return request


def _artifact(fields: _Fields) -> Dict[str, str]:
    return {
        "path": fields.path_text("path"),
        "filename": fields.take("filename", "a file name without a folder", _is_plain_name, ""),
        "kind": fields.text("kind"),
        "format": fields.take(
            "format", _one_of(ARTIFACT_FORMATS), lambda v: v in ARTIFACT_FORMATS, "raw", required=False
        ),
    }


def parse_separate(params: Any) -> SeparateRequest:
    """One track to separate."""
    problems: List[Dict[str, str]] = []
    fields = _Fields(params, "", problems)
    output = fields.fields("output")
    files = output.mapping("files")
    names = _Fields(files, "output.files", problems)
    for stem in files:
        names.take(stem, "a file name without a folder", _is_plain_name, "")
    stems = fields.take("stems", "null or a list of names", _is_names, None, required=False)
    request = SeparateRequest(
        input=fields.path_text("input"),
        start_seconds=fields.seconds("start_seconds"),
        duration_seconds=fields.seconds("duration_seconds"),
        stems=None if stems is None else tuple(dict.fromkeys(stems)),
        output=OutputRequest(
            dir=output.path_text("dir"),
            files=files,
            format=output.take("format", _one_of(FORMATS), lambda v: v in FORMATS, ""),
            bit_depth=output.take(
                "bit_depth", "null or " + _one_of(BIT_DEPTHS), lambda v: v in BIT_DEPTHS, None, required=False
            ),
            sample_rate=output.take(
                "sample_rate",
                '"model", "source", or hertz from {} to {}'.format(*SAMPLE_RATES),
                lambda v: v in ("model", "source") or (_is_count(v) and SAMPLE_RATES[0] <= v <= SAMPLE_RATES[1]),
                0,
            ),
            normalize=output.take("normalize", "true or false", _is(bool), False, required=False),
        ),
    )
    _raise(problems)
    return request


def check_stems(request: SeparateRequest, available: Tuple[str, ...]) -> Tuple[str, ...]:
    """The stems to write, in the model's order; each must be one that it has and have a file name of its own."""
    wanted = available if request.stems is None else request.stems
    problems = [
        {"path": "stems", "message": f"the model has no stem {stem!r}, only {', '.join(available)}"}
        for stem in wanted
        if stem not in available
    ]
    problems += [
        {"path": f"output.files.{stem}", "message": "is missing: a file name without a folder"}
        for stem in wanted
        if stem in available and stem not in request.output.files
    ]
    named = [request.output.files[stem] for stem in wanted if stem in request.output.files]
    if len(set(named)) < len(named):
        problems.append({"path": "output.files", "message": "two stems have the same file name"})
    if not wanted:
        problems.append({"path": "stems", "message": "names no stem"})
    _raise(problems)
    return tuple(stem for stem in available if stem in wanted)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _one_of(values: Tuple[str, ...]) -> str:
    return "one of " + ", ".join(values)


def _raise(problems: List[Dict[str, str]]) -> None:
    if problems:
        message = "; ".join("{} {}".format(problem["path"] or "params", problem["message"]) for problem in problems)
        raise RpcError(INVALID_PARAMS, message[:2000], {"kind": "invalid_params", "problems": problems[:50]})
