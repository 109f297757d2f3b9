"""Where the builds of torch for an accelerator come from, and the options by which tools look there.

It is an address (an index with one folder a project), a folder of wheels, or ``none`` (the ordinary package index
alone). It is named, first found first taken, by

1. ``$STEMSEP_ENV_TORCH_INDEX_CU128`` (the accelerator in capitals, dots as underscores): this accelerator's index,
2. ``$STEMSEP_ENV_TORCH_INDEX``: a base, with the accelerator's index or folder below it (``BASE/cu128``),
3. ``cu128`` and then ``base`` in the table ``torch_index`` of the home's ``config.toml``,
4. a folder of wheels that uv or pip was told of (``UV_FIND_LINKS``, ``PIP_FIND_LINKS``) and that has builds of torch
   for the accelerator and platform,

and otherwise it is the project's own index for the accelerator, as uv knows it; for macOS and for Windows without an
accelerator it is the ordinary index, which has just these builds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from stemsep_envs.documents.accelerators import PACKAGES
from stemsep_envs.documents.configuration import BASE
from stemsep_envs.documents.lock import Lock
from stemsep_envs.documents.platforms import platform_row
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.configuration import NAME, read_configuration
from stemsep_envs.host.paths import Home

VARIABLE = "STEMSEP_ENV_TORCH_INDEX"

FAMILY = ("torch", "torchaudio", "torchcodec", "torchtext", "torchvision", *PACKAGES)
"""Distributions that are built for one accelerator each: taken from its index and from nowhere else, whoever asks."""


_FOLDERS = ("UV_FIND_LINKS", "PIP_FIND_LINKS")


@dataclass(frozen=True)
class TorchIndex:
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
        """Whether the tools have to be told of it."""
        return self.kind in {"index", "folder"}


def find_torch_index(  # noqa: PLR0911 - one answer each
    target: Target, torch_packages: tuple[str, ...], *, home: Home, environ: Mapping[str, str] | None = None
) -> TorchIndex:
    """Return where the torch packages of a target come from; ``ordinary`` when there are none.

    Raises:
        InvalidDocumentError: The home's configuration is wrong.
        UsageError: It cannot be read.
    """
    if not torch_packages:
        return TorchIndex("ordinary")
    environ = os.environ if environ is None else environ
    label = target.family.label_of(target.accelerator)
    own_variable = f"{VARIABLE}_{target.accelerator.upper().replace('.', '_')}"
    if environ.get(own_variable):
        return _parse_index(environ[own_variable], f"${own_variable}")
    if environ.get(VARIABLE):
        return _below(environ[VARIABLE], label, f"${VARIABLE}")
    table = read_configuration(home).torch_index
    if target.accelerator in table:
        return _parse_index(table[target.accelerator], f"{NAME}: torch_index.{target.accelerator}")
    if BASE in table:
        return _below(table[BASE], label, f"{NAME}: torch_index.{BASE}")
    folder = _find_links_folder(target, label, environ)
    if folder is not None:
        return folder
    return TorchIndex("ordinary" if target.platform in target.family.ordinary_on else "builtin")


def torch_index_of(lock: Lock, *, home: Home) -> TorchIndex:
    """Return where the torch packages of a lock are installed from; raises as `find_torch_index` does.

    Builds of the ordinary index have no label (``2.13.0``, not ``2.13.0+cu130``): torch's own index does not have them.
    """
    index = find_torch_index(lock.inputs.target, lock.inputs.torch_packages, home=home)
    if index.kind == "builtin" and not any("+" in pin.version for pin in lock.pins if pin.name in FAMILY):
        return TorchIndex("ordinary")
    return index


def unlabelled_pins(lock: Lock, index: TorchIndex) -> str:
    """Return constraints that keep a labelled build from being taken for one without a label: ``torch===2.13.0``.

    To an installer ``torch==2.13.0`` also means ``2.13.0+cu130``, which it prefers where it sees both.
    """
    if not index.separate:
        return ""
    pins = (pin for pin in lock.pins if pin.name in FAMILY and "+" not in pin.version)
    return "".join(f"{pin.name}==={pin.version}\n" for pin in pins)


def uv_arguments(index: TorchIndex, target: Target) -> tuple[str, ...]:
    """Return the options by which uv looks there."""
    if index.kind == "builtin":
        return ("--torch-backend", target.accelerator)
    if index.kind == "folder":
        return ("--find-links", index.address)
    # Whatever else the index carries must neither hide newer releases elsewhere nor be hidden by them.
    return ("--index", index.address, "--index-strategy", "unsafe-best-match") if index.kind == "index" else ()


def pip_arguments(index: TorchIndex) -> tuple[str, ...]:
    """Return the options by which pip looks there; it knows nothing of the builtin index."""
    if index.kind == "folder":
        return ("--find-links", index.address)
    return ("--extra-index-url", index.address) if index.kind == "index" else ()


def _parse_index(text: str, named_by: str) -> TorchIndex:
    if text == "none":
        return TorchIndex("ordinary", "", named_by)
    if "://" in text:
        return TorchIndex("index", text.rstrip("/"), named_by)
    return TorchIndex("folder", str(Path(text).expanduser().absolute()), named_by)


def _below(text: str, label: str, named_by: str) -> TorchIndex:
    base = _parse_index(text, named_by)
    if base.kind == "index":
        return TorchIndex("index", f"{base.address}/{label}", named_by)
    if base.kind == "folder" and (Path(base.address) / label).is_dir():
        return TorchIndex("folder", str(Path(base.address) / label), named_by)
    return base


def _find_links_folder(target: Target, label: str, environ: Mapping[str, str]) -> TorchIndex | None:
    """Return the first folder of wheels that the tools were told of and that has torch for a target."""
    for variable in _FOLDERS:
        for text in environ.get(variable, "").replace(",", " ").split():
            folder = Path(text).expanduser().absolute()
            if "://" not in text and any(_is_build(path.name, target, label) for path in _torches(folder)):
                return TorchIndex("folder", str(folder), f"${variable}")
    return None


def _torches(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.glob("torch-*.whl")
    except OSError:
        return


def _is_build(name: str, target: Target, label: str) -> bool:
    try:
        distribution, version, _, tags = parse_wheel_filename(name)
    except (InvalidWheelFilename, ValueError):
        return False
    fits = any(platform_row(target.platform).admits_wheel(tag.platform) for tag in tags)
    return canonicalize_name(distribution) == "torch" and version.local == label and fits
