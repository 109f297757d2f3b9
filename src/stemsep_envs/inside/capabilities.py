"""What this environment is and has: the answer to `initialize`."""

from __future__ import annotations

import os
import platform
from typing import Any, Dict, Iterable, List

from . import audio_encoding, audio_reading
from .params import PROTOCOL


def describe(packages: Iterable[str], devices: List[str]) -> Dict[str, Any]:
    """Versions of Python and of `packages`, the `devices`, and the audio formats."""
    return {
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
        "packages": _versions(packages),
        "devices": devices,
        "decodes": audio_reading.formats(),
        "encodes": audio_encoding.available(),
        "pid": os.getpid(),
    }


def _versions(packages: Iterable[str]) -> Dict[str, str]:
    from importlib import metadata

    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
