"""Starts a worker inside a model's environment: `python -I entry.py --adapter /abs/adapter.py`.

The protocol has the original stdin and stdout to itself. Before anything else is imported both are moved to private
descriptors, so that whatever an engine prints, from Python or from C, goes to stderr. The folder of this script
is loaded as the package `inside` without touching `sys.path`, where an engine keeps its own modules.

Runs on Python 3.8 and later, and imports nothing of the package that it is part of.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import importlib.util
import os
import sys

try:
    import fcntl
except ImportError:
    import msvcrt  # Windows

# Far above the descriptors that engines expect to find free, or close in a sweep over the low ones; lower ones where
# the limit on open files (`ulimit -n`) forbids that.
_LOWEST_PRIVATE_DESCRIPTORS = (200, 50, 10)


def _keep(descriptor: int) -> int:
    """A private, non-inheritable duplicate of `descriptor`."""
    if sys.platform == "win32":
        return os.dup(descriptor)
    for lowest in _LOWEST_PRIVATE_DESCRIPTORS:
        try:
            return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
        except OSError:
            continue
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def take_protocol_descriptors() -> tuple[int, int]:
    """Move stdin and stdout away: returns what they were, leaves /dev/null and stderr in their place."""
    incoming, outgoing = _keep(0), _keep(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        msvcrt.setmode(incoming, os.O_BINARY)
        msvcrt.setmode(outgoing, os.O_BINARY)
    # A pipe makes Python buffer stdout in blocks: the log would show prints late, and lose them in a crash.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    return incoming, outgoing


def load_inside() -> None:
    """Import the folder of this script as a package of the name `inside`."""
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "inside", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["inside"] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Serve one session; returns the exit status."""
    incoming, outgoing = take_protocol_descriptors()
    faulthandler.enable()
    parser = argparse.ArgumentParser(description="Serve a separation model over JSON-RPC on stdin and stdout.")
    parser.add_argument("--adapter", required=True, metavar="PATH", help="the runtime's adapter.py")
    parser.add_argument("--engine", metavar="PATH", help="the folder that the adapter imports its engine from")
    arguments = parser.parse_args()
    load_inside()
    request_loop = importlib.import_module("inside.request_loop")
    if arguments.engine is not None:  # only now: a module of the engine's may be called like one that we need
        sys.path.insert(0, arguments.engine)
    status: int = request_loop.serve(incoming, outgoing, adapter_path=arguments.adapter)
    return status


if __name__ == "__main__":
    status = main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)  # nothing is left to do, and an engine takes half a second to be taken down
