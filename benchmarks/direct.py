"""The engine's own time: ``python -I direct.py PACKAGE_DIR ADAPTER REQUEST.json``, run by an environment's interpreter.

Starts, imports the adapter and what reads and writes audio, loads the model, separates the tracks one after another and
writes the stems: what a program of the engine's own would do. There is no protocol, no sandbox, no host, no hashing
and no record.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Do the request; print the seconds that each track took, as JSON."""
    package_dir, adapter_path, request_path = sys.argv[1:]
    sys.path.append(package_dir)  # the package `inside` is in it
    with open(request_path, encoding="utf-8") as stream:  # noqa: PTH123
        request = json.load(stream)

    from inside import adapters, params  # type: ignore[import-not-found]  # noqa: PLC0415
    from inside.output_files import PartialFiles  # type: ignore[import-not-found]  # noqa: PLC0415
    from inside.separation import separate  # type: ignore[import-not-found]  # noqa: PLC0415

    context = adapters.Context(0, "separate", lambda *_: None, lambda: False)
    adapter = adapters.load_adapter(adapter_path)
    adapter.describe()
    model = adapter.load(params.parse_load(request["load"]), context)
    seconds = []
    for track in request["tracks"]:
        os.makedirs(track["output"]["dir"], exist_ok=True)  # noqa: PTH103
        files = PartialFiles()
        result = separate(params.parse_separate(track), model, files, context)
        files.keep()
        seconds.append(result["timings"]["total_seconds"])
    print(json.dumps(seconds))


main()
