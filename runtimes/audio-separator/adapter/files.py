"""A model's files under the names that the engine knows them by, and checkpoints read as data.

Artifacts lie under their hashes, without suffixes; the engine goes by names. It gets a folder of links of its own. What
it asks `torch.load` for while a model is made is answered by the worker's reading of converted checkpoints, for exactly
the files of this model; anything else is refused. Nothing is unpickled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Dict, Iterator, List, Mapping, Optional

from .context import Context

_MAX_TEXT_BYTES = 16 << 20

DEMUCS_CLASSES = {
    "demucs.demucs.Demucs": "demucs.Demucs",
    "demucs.hdemucs.HDemucs": "hdemucs.HDemucs",
    "demucs.htdemucs.HTDemucs": "htdemucs.HTDemucs",
}
"""Classes that a checkpoint of Demucs may name, and where the engine has its own."""


class Files:
    """The artifacts of one model, in a folder that lasts as long as this object."""

    def __init__(self, artifacts: Mapping[str, Mapping[str, str]], context: Context) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="model-")
        self._artifacts: Dict[str, Mapping[str, str]] = {}
        for artifact in artifacts.values():
            path = os.path.join(self._folder.name, _name_for_engine(artifact))
            if path in self._artifacts:
                context.fail("model_failed", "two files of the model are called {}".format(artifact["filename"]))
            self._artifacts[path] = artifact
            _link(artifact["path"], path)

    @property
    def folder(self) -> str:
        """The folder."""
        return self._folder.name

    def find(self, *suffixes: str) -> List[str]:
        """Paths of the files whose names end so, in the order of the artifacts."""
        return [path for path in self._artifacts if path.lower().endswith(suffixes)]

    def only(self, what: str, suffixes: List[str], context: Context) -> str:
        """The path of the one file whose name ends so; `model_failed` if there are none or several."""
        found = self.find(*suffixes)
        if len(found) != 1:
            names = ", ".join(os.path.basename(path) for path in found) or "none"
            endings = " or ".join(suffixes)
            context.fail("model_failed", f"the model needs one {what} ({endings}), and has {names}")
        return found[0]

    def name(self, path: str) -> str:
        """The file's own name, for messages."""
        return self._artifacts[path]["filename"]

    def text(self, path: str, context: Context) -> str:
        """A text file; `model_failed` if it is none."""
        with open(path, "rb") as stream:
            data = stream.read(_MAX_TEXT_BYTES + 1)
        try:
            if len(data) > _MAX_TEXT_BYTES:
                raise ValueError("it is too large")
            return data.decode("utf-8")
        except ValueError as error:
            context.fail("model_failed", f"{self.name(path)} is no text: {error}")

    @contextmanager
    def as_data(self, context: Context) -> Iterator[None]:
        """While it lasts, `torch.load` gives what this model's checkpoints hold, and opens nothing else."""
        import torch

        def load_data(path: Any, *_: Any, **__: Any) -> Any:
            artifact = self._artifacts.get(os.fspath(path))
            if artifact is None:
                context.fail("model_failed", f"the engine tried to load {path}, which is no file of this model")
            return _for_engine(context.read_checkpoint(artifact), artifact["filename"], context)

        loads, torch.load = torch.load, load_data
        try:
            yield
        finally:
            torch.load = loads


def _name_for_engine(artifact: Mapping[str, str]) -> str:
    """The file's name. Demucs' checksum in it is left out: the engine would compare it with the converted file."""
    name = artifact["filename"]
    stem, dot, suffix = name.rpartition(".")
    if suffix == "th" and "-" in stem:
        return stem.split("-")[0] + dot + suffix
    return name


def _link(source: str, path: str) -> None:
    try:
        os.symlink(source, path)
    except OSError:  # Windows lets few users make links
        shutil.copyfile(source, path)


def _for_engine(content: Any, filename: str, context: Context) -> Any:
    """What a checkpoint holds, as the engine expects it: for Demucs with the class that it names."""
    if not isinstance(content, dict) or "klass" not in content:
        return content
    name = str(getattr(content["klass"], "name", content["klass"]))
    known = DEMUCS_CLASSES.get(name)
    if known is None:
        context.fail("model_failed", f"{filename} holds a {name}, which is no model of Demucs 3 or 4")
    from importlib import import_module

    module, _, class_name = known.partition(".")
    klass = getattr(import_module(f"audio_separator.separator.uvr_lib_v5.demucs.{module}"), class_name)
    try:
        args, kwargs = _plain(content.get("args", ())), _plain(content.get("kwargs", {}))
    except ValueError as error:
        context.fail("model_failed", f"{filename} wants its model made with {error}")
    if not isinstance(content.get("state"), dict):
        context.fail("model_failed", f"{filename} holds no weights: its state is no dictionary")
    return {**content, "klass": klass, "args": args, "kwargs": kwargs, "state": _plain_meta(content["state"])}


def _plain(value: Any) -> Any:
    """An argument as plain values and fractions; raises ValueError, naming what is neither."""
    if value is None or isinstance(value, (bool, int, float, str, Fraction)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if getattr(value, "name", None) == "fractions.Fraction" and value.args:
        return Fraction(*value.args)
    raise ValueError(f"a {getattr(value, 'name', type(value).__name__)}, which is no plain value")


def _plain_meta(state: Dict[str, Any]) -> Dict[str, Any]:
    """A state, where it is quantized with the class of quantizer that its description names."""
    meta = state.get("meta")
    if not state.get("__quantized") or not isinstance(meta, dict):
        return state
    name = str(getattr(meta.get("klass"), "name", meta.get("klass")))
    quantizer = _quantizer(name)
    return {**state, "meta": {**meta, "klass": quantizer}} if quantizer is not None else state


def _quantizer(name: str) -> Optional[Any]:
    if name in ("diffq.diffq.DiffQuantizer", "diffq.DiffQuantizer"):
        from diffq import DiffQuantizer

        return DiffQuantizer
    if name in ("diffq.uniform.UniformQuantizer", "diffq.UniformQuantizer"):
        from diffq import UniformQuantizer

        return UniformQuantizer
    return None
