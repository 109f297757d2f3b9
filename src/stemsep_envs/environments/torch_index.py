"""Where the builds of torch for an accelerator come from, and the options by which tools look there.

A place is an address (an index with one folder a project), a folder of wheels, or ``none`` (the ordinary package index
alone). It is named, first found first taken, by

1. ``$STEMSEP_ENV_TORCH_INDEX_CU128`` (the accelerator in capitals, dots as underscores): this accelerator's place,
2. ``$STEMSEP_ENV_TORCH_INDEX``: a base, with the accelerator's index or folder below it (``BASE/cu128``),
3. ``cu128`` and then ``base`` in the table ``torch_index`` of the home's ``config.toml``,

and otherwise it is the project's own index for the accelerator, as uv knows it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemsep_envs.documents.configuration import BASE
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.configuration import NAME, read_configuration
from stemsep_envs.host.paths import Home

VARIABLE = "STEMSEP_ENV_TORCH_INDEX"

FAMILY = (
    *("torch", "torchaudio", "torchcodec", "torchtext", "torchvision"),
    *("pytorch-triton", "pytorch-triton-rocm", "pytorch-triton-xpu", "triton-rocm", "triton-xpu"),
)
"""Distributions that are built for one accelerator each: taken from its index and from nowhere else, whoever asks."""


@dataclass(frozen=True)
class Place:
    """Where torch comes from.

    Attributes:
        kind: ``index``; ``folder``; ``ordinary``: the package index alone; ``builtin``: uv's own knowledge.
        address: Of the index, or the folder's path; empty otherwise.
        named_by: The variable or the entry that names it, for messages.
    """

    kind: Literal["index", "folder", "ordinary", "builtin"]
    address: str = ""
    named_by: str = ""

    @property
    def separate(self) -> bool:
        """Whether it is a place of its own that we have to tell the tools about."""
        return self.kind in {"index", "folder"}


def find_place(
    target: Target, torch_packages: tuple[str, ...], *, home: Home, environ: Mapping[str, str] | None = None
) -> Place:
    """Return where the torch packages of a target come from; ``ordinary`` when there are none.

    Raises:
        InvalidDocumentError: The home's configuration is wrong.
        UsageError: It cannot be read.
    """
    if not torch_packages:
        return Place("ordinary")
    environ = os.environ if environ is None else environ
    # Apple's builds have Metal built in: an index calls them by the processor.
    accelerator = "cpu" if target.accelerator == "mps" else target.accelerator
    own_variable = f"{VARIABLE}_{target.accelerator.upper().replace('.', '_')}"
    if environ.get(own_variable):
        return _place(environ[own_variable], f"${own_variable}")
    if environ.get(VARIABLE):
        return _below(environ[VARIABLE], accelerator, f"${VARIABLE}")
    table = read_configuration(home).torch_index
    if target.accelerator in table:
        return _place(table[target.accelerator], f"{NAME}: torch_index.{target.accelerator}")
    if BASE in table:
        return _below(table[BASE], accelerator, f"{NAME}: torch_index.{BASE}")
    return Place("ordinary" if target.platform.startswith("macos") else "builtin")


def uv_arguments(place: Place, target: Target) -> tuple[str, ...]:
    """Return the options by which uv looks there."""
    if place.kind == "builtin":
        return ("--torch-backend", target.accelerator)
    if place.kind == "folder":
        return ("--find-links", place.address)
    # Whatever else the index carries must neither hide newer releases elsewhere nor be hidden by them.
    return ("--index", place.address, "--index-strategy", "unsafe-best-match") if place.kind == "index" else ()


def pip_arguments(place: Place) -> tuple[str, ...]:
    """Return the options by which pip looks there; it knows nothing of the builtin place."""
    if place.kind == "folder":
        return ("--find-links", place.address)
    return ("--extra-index-url", place.address) if place.kind == "index" else ()


def _place(text: str, named_by: str) -> Place:
    if text == "none":
        return Place("ordinary", "", named_by)
    if "://" in text:
        return Place("index", text.rstrip("/"), named_by)
    return Place("folder", str(Path(text).expanduser().absolute()), named_by)


def _below(text: str, accelerator: str, named_by: str) -> Place:
    base = _place(text, named_by)
    if base.kind == "index":
        return Place("index", f"{base.address}/{accelerator}", named_by)
    if base.kind == "folder" and (Path(base.address) / accelerator).is_dir():
        return Place("folder", str(Path(base.address) / accelerator), named_by)
    return base
