"""Making a virtual environment of the standard library movable: nothing in it may name the folder it was built in.

uv does so by itself. An environment is built beside its place and moved there, and a home may be moved as a whole.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
from pathlib import Path

from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.tree_removal import remove_file

_ACTIVATION = ("activate", "activate.csh", "activate.fish", "activate.nu", "Activate.ps1", "activate.bat")
_INTERPRETER = re.compile(r"python[\d.]*", re.IGNORECASE)
"""What scripts are started by: one that is called so would start itself. The seal refuses it."""

_HEADER = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""
"""A shell line that Python reads as a string: it starts the interpreter that lies beside the script."""


def make_movable(venv: Path) -> None:
    """Take the folder's name out of the configuration of an empty environment, and its scripts for shells out of it."""
    config = venv / "pyvenv.cfg"
    lines = [line for line in config.read_text("utf-8").splitlines() if not line.startswith("command")]
    write_atomic(config, "".join(f"{line}\n" for line in lines).encode())
    for name in _ACTIVATION:
        remove_file(_scripts_dir(venv) / name)


def make_scripts_movable(venv: Path) -> None:
    """Take the folder's name out of the scripts of distributions, and let their RECORDs say so.

    On Windows the launchers of scripts are programs with the path inside, and keep it: workers start the interpreter
    itself.
    """
    scripts = _scripts_dir(venv)
    if os.name == "nt":
        return
    for record in venv.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        _mend_scripts(record, scripts, str(venv).encode())


def _scripts_dir(venv: Path) -> Path:
    return venv / ("Scripts" if os.name == "nt" else "bin")


def _mend_scripts(record: Path, scripts: Path, named: bytes) -> None:
    """Rewrite the first lines of a distribution's scripts, and what RECORD says of them."""
    rows = list(csv.reader(io.StringIO(record.read_text("utf-8"))))
    changed = False
    for row in rows:
        path = Path(os.path.normpath(record.parents[1] / row[0]))
        if path.parent != scripts or path.is_symlink() or not path.is_file() or _INTERPRETER.fullmatch(path.name):
            continue
        data = path.read_bytes()
        body = _without_header(data, named)
        if body is None:
            continue
        data = _HEADER + body
        write_atomic(path, data)
        path.chmod(0o755)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        row[1:] = [f"sha256={digest}", str(len(data))]
        changed = True
    if changed:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_atomic(record, text.getvalue().encode())


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
