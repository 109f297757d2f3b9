"""Runs confined, by the Python of a build: unpacks a source distribution, or calls one hook of its build backend.

``python -I build_backend.py ORDER``, with a JSON object as the order; answers with one on the original stdout, and
sends what others print to stderr. Runs on Python 3.8 and newer with the standard library alone, and is confined because
what it unpacks, and the code that it calls, is anyone's.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tarfile
import traceback
import zipfile
from typing import Any, Callable, Dict, Optional

Order = Dict[str, Any]

_TEXT_BYTES = 1 << 18
"""No longer text is taken out of a distribution."""


def main() -> None:
    """Do what the command line orders, and answer."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    order = json.loads(sys.argv[1])
    try:
        said = _ORDERS[order["do"]](order)
    except BaseException as error:  # a setup.py may raise anything, SystemExit too
        traceback.print_exc()
        said = {"error": "%s: %s" % (type(error).__name__, error)}
    json.dump(said, answer, ensure_ascii=False)
    answer.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _unpack(order: Order) -> Order:
    """Unpack an archive into a new folder and say what lies in it."""
    folder = order["folder"]
    os.mkdir(folder)
    if zipfile.is_zipfile(order["archive"]):
        with zipfile.ZipFile(order["archive"]) as archive:
            archive.extractall(folder)  # noqa: S202 - confined
    else:
        with tarfile.open(order["archive"]) as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, filter="data")
            else:  # Pythons without it; what a path leads out to is not there for a confined process
                archive.extractall(folder, [item for item in archive if item.isreg() or item.isdir()])  # noqa: S202
    roots = sorted(os.listdir(folder))
    if len(roots) != 1 or not os.path.isdir(os.path.join(folder, roots[0])):
        raise ValueError("a source distribution holds one folder, not %s" % ", ".join(roots[:5]))
    root = os.path.join(folder, roots[0])
    return {"root": roots[0], "pyproject": _text(root, "pyproject.toml"), "pkg_info": _text(root, "PKG-INFO")}


def _text(folder: str, name: str) -> Optional[str]:
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        data = stream.read(_TEXT_BYTES + 1)
    if len(data) > _TEXT_BYTES:
        raise ValueError("%s is larger than %d bytes" % (name, _TEXT_BYTES))
    return data.decode("utf-8", "replace")


def _hook(order: Order) -> Order:
    """Call a hook of the backend; say that it has none of that name, or what it answered."""
    os.chdir(order["source"])
    inner = [os.path.realpath(os.path.join(order["source"], part)) for part in order["backend_path"]]
    root = os.path.realpath(order["source"])
    if not all(path == root or path.startswith(root + os.sep) for path in inner):
        raise ValueError("its backend-path leads out of it")
    sys.path[:] = inner + [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    module, _, attributes = order["backend"].partition(":")
    backend = importlib.import_module(module)
    for attribute in attributes.split(".") if attributes else ():
        backend = getattr(backend, attribute)
    hook = getattr(backend, order["hook"], None)
    if hook is None:
        return {"missing": True}
    out = order["out"]
    os.makedirs(out, exist_ok=True)
    if order["hook"] == "build_wheel":
        name = str(hook(out, None, None))
        return {"name": name, "metadata": _metadata_of(os.path.join(out, name)) if order["metadata"] else None}
    if order["hook"] == "prepare_metadata_for_build_wheel":
        return {"metadata": _text(os.path.join(out, str(hook(out, None))), "METADATA")}
    return {"requires": [str(text) for text in hook(None)]}


def _metadata_of(path: str) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        if len(names) != 1:
            raise ValueError("the wheel has %d files of metadata" % len(names))
        with archive.open(names[0]) as stream:
            return stream.read(_TEXT_BYTES).decode("utf-8", "replace")


_ORDERS: Dict[str, Callable[[Order], Order]] = {"unpack": _unpack, "hook": _hook}

if __name__ == "__main__":
    main()
