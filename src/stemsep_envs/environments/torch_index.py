"""Where the builds of torch for an accelerator come from.

``$STEMSEP_ENV_TORCH_INDEX`` names it: unset, the project's own index for the accelerator, as uv knows it; an address,
the base of a mirror that has one index an accelerator below it (``BASE/cu128``); a folder, the wheels in it;
``none``, the ordinary package index alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stemsep_envs.documents.target import Target

VARIABLE = "STEMSEP_ENV_TORCH_INDEX"


def resolve_arguments(
    target: Target, torch_packages: tuple[str, ...], environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return uv's options that find the torch packages of a target; none when there are no such packages."""
    place = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not torch_packages or place == "none":
        return ()
    if place and "://" not in place:
        return ("--find-links", str(Path(place).expanduser().absolute()))
    if place:
        return ("--index", f"{place.rstrip('/')}/{target.accelerator}", "--index-strategy", "unsafe-best-match")
    # Apple's builds are those of the ordinary index: they have Metal built in.
    return () if target.platform.startswith("macos") else ("--torch-backend", target.accelerator)
