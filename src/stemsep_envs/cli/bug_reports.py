"""What is written of a bug in this program: a file with the traceback, without secrets."""

from __future__ import annotations

import secrets
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path

from stemsep_envs._version import __version__
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import find_home
from stemsep_envs.host.redaction import redact


def write_bug_report(error: BaseException) -> str | None:
    """Write the traceback of a bug into a file of the home, or here; return where, or None where it cannot be."""
    text = "".join(traceback.format_exception(error))
    head = f"stemsep-envs {__version__}, Python {sys.version}, {sys.platform}\n\n"
    name = f"bug-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}.txt"
    for folder in (_quietly(lambda: find_home().root / "reports"), Path.cwd()):
        if folder is None:
            continue
        try:
            write_atomic(folder / name, redact(head + text).encode(errors="replace"))
        except (StemsepEnvError, OSError):
            continue
        return str(folder / name)
    return None


def _quietly(make: object) -> Path | None:
    try:
        made = make() if callable(make) else None
    except Exception:  # noqa: BLE001 - perhaps the very bug that is to be reported
        return None
    return made if isinstance(made, Path) else None
