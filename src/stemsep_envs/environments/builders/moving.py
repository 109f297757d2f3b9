"""Making a virtual environment of the standard library movable: nothing in it may name the folder it was built in.

uv does so by itself. An environment is built beside its place and moved there, and a home may be moved as a whole.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
from pathlib import Path

from stemsep_envs.host import files

_ACTIVATION = ("activate", "activate.csh", "activate.fish", "activate.nu", "Activate.ps1", "activate.bat")
_HEADER = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""
"""A shell line that Python reads as a string: it starts the interpreter that lies beside the script."""


def make_movable(venv: Path) -> None:
    """Take the folder's name out of scripts and configuration; the files of distributions stay as RECORD says.

    On Windows the launchers of scripts are programs with the path inside, and keep it: workers start the interpreter
    itself.
    """
    config = venv / "pyvenv.cfg"
    lines = [line for line in config.read_text("utf-8").splitlines() if not line.startswith("command")]
    files.write_atomic(config, "".join(f"{line}\n" for line in lines).encode())
    scripts = venv / ("Scripts" if os.name == "nt" else "bin")
    for name in _ACTIVATION:
        files.remove_file(scripts / name)
    if os.name == "nt":
        return
    for record in venv.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        _mend_scripts(record, scripts, str(venv).encode())


def _mend_scripts(record: Path, scripts: Path, named: bytes) -> None:
    """Rewrite the first lines of a distribution's scripts, and what RECORD says of them."""
    rows = list(csv.reader(io.StringIO(record.read_text("utf-8"))))
    changed = False
    for row in rows:
        path = Path(os.path.normpath(record.parents[1] / row[0]))
        if path.parent != scripts or not path.is_file():
            continue
        data = path.read_bytes()
        body = _without_header(data, named)
        if body is None:
            continue
        data = _HEADER + body
        files.write_atomic(path, data)
        path.chmod(0o755)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        row[1:] = [f"sha256={digest}", str(len(data))]
        changed = True
    if changed:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        files.write_atomic(record, text.getvalue().encode())


def _without_header(data: bytes, named: bytes) -> bytes | None:
    """Return a script behind the lines that start its interpreter by name; None when it has no such lines."""
    first, _, rest = data.partition(b"\n")
    if not first.startswith(b"#!"):
        return None
    if named in first:
        return rest
    second, _, behind = rest.partition(b"\n")
    if first == b"#!/bin/sh" and second.startswith(b"'''exec'") and named in second:
        return behind.partition(b"\n")[2]  # the line that ends the string
    return None
