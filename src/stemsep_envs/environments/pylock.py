"""Locks as PEP 751 text (``pylock.toml``), for other installers. Such a file names where each file lies, by its nature.

The lock stays what counts: a file is listed only if it is one of those that the lock names by hash.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError

from stemsep_envs.documents.lock import Lock, LockInputs
from stemsep_envs.environments import torch_index, uv
from stemsep_envs.environments.uv_options import RESOLVE_ENV, declaring_project, target_arguments, wheels_only
from stemsep_envs.errors import BuildError
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.scratch_dirs import scratch_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SECONDS = 900.0


def export_pylock(lock: Lock, *, home: Home, what: str, offline: bool) -> str:
    """Return a lock as the text of a ``pylock.toml`` for its one target.

    Args:
        lock: What is locked.
        home: Whose package cache and configuration are used.
        what: What is exported, in words.
        offline: Use only what the cache holds.

    Raises:
        BuildError: A file cannot be found any more, or the answer is not valid PEP 751.
    """
    index = torch_index.torch_index_of(lock, home=home)
    exactly = torch_index.unlabelled_pins(lock, index)
    asked = "".join(f"{pin.name}=={pin.version}\n" for pin in lock.pins) + exactly
    found = find_files(
        asked, lock.inputs, index, home=home, what=what, offline=offline, allowed=wheels_only(lock.inputs)
    )
    return _written(_checked(found, lock, what), lock)


def find_files(
    asked: str,
    inputs: LockInputs,
    index: torch_index.TorchIndex,
    *,
    home: Home,
    what: str,
    offline: bool,
    allowed: tuple[str, ...],
) -> Pylock:
    """Return where the files of pinned distributions lie; nothing is fetched but what indexes say of them.

    Args:
        asked: A pin a line.
        inputs: The question whose target and Python the files must fit.
        index: Where the torch family comes from.
        home: Whose package cache and configuration are used.
        what: What they belong to, in words.
        offline: Use only what the cache holds.
        allowed: uv's options that say which kinds of files may serve.

    Raises:
        BuildError: No file serves, or the answer is not valid PEP 751.
    """
    with scratch_dir(ensure_dir(home.cache_dir), "finding-") as scratch:
        project = declaring_project(scratch, inputs)
        done = uv.call_uv(
            (
                *("pip", "compile", "-", "--quiet", "--no-deps", "--format", "pylock.toml", "--no-header"),
                *project,
                *target_arguments(inputs),
                *allowed,
                *torch_index.uv_arguments(index, inputs.target),
            ),
            home=home,
            what=f"finding the files of {what}",
            offline=offline,
            timeout_seconds=_SECONDS,
            stdin=asked,
            extra_env=RESOLVE_ENV,
            own_project=bool(project),
        )
    try:
        return Pylock.from_dict(tomllib.loads(done.stdout))
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise BuildError(f"the files of {what} cannot be told: {error}", output=done.stdout[:4000]) from None


def _checked(found: Pylock, lock: Lock, what: str) -> tuple[Package, ...]:
    """Return the packages with those of their files that the lock names."""
    pins = {pin.name: pin for pin in lock.pins}
    packages = []
    for package in found.packages:
        pin = pins.pop(str(package.name), None)
        if pin is None or str(package.version) != pin.version:
            raise BuildError(f"{what} cannot be exported: {package.name} {package.version} is not what is locked")
        allowed = set(pin.hashes)
        wheels = [wheel for wheel in package.wheels or () if wheel.hashes.get("sha256") in allowed]
        sdist = package.sdist if package.sdist and package.sdist.hashes.get("sha256") in allowed else None
        if pin.name not in lock.inputs.builds:
            sdist = None
        if not wheels and sdist is None:
            raise BuildError(
                f"{what} cannot be exported: no file of {pin.name} {pin.version} is one that is locked",
                hint="lock it again, or restore the index it was locked from",
            )
        packages.append(Package(name=package.name, version=package.version, sdist=sdist, wheels=wheels or None))
    if pins:
        raise BuildError(f"{what} cannot be exported: {', '.join(pins)} cannot be found any more")
    return tuple(packages)


def _written(packages: tuple[Package, ...], lock: Lock) -> str:
    inputs = lock.inputs
    lines = [
        f"# exported from the lock sha256:{lock.digest}",
        f"# target: {inputs.target}",
        'lock-version = "1.0"',
        f'requires-python = "=={inputs.python}.*"',
        'created-by = "stemsep-env"',
    ]
    for package in packages:
        lines += ["", "[[packages]]", f"name = {_text(str(package.name))}", f"version = {_text(str(package.version))}"]
        if package.sdist is not None:
            lines.append(f"sdist = {_file(package.sdist)}")
        if package.wheels:
            lines += ["wheels = [", *(f"    {_file(wheel)}," for wheel in package.wheels), "]"]
    text = "\n".join(lines) + "\n"
    Pylock.from_dict(tomllib.loads(text)).validate()
    return text


def _file(item: PackageWheel | PackageSdist) -> str:
    fields: Mapping[str, Any] = {"name": item.name, "url": item.url, "path": item.path}
    parts = [f"{key} = {_text(value)}" for key, value in fields.items() if value]
    if item.size is not None:
        parts.append(f"size = {item.size}")
    parts.append(f"hashes = {{ sha256 = {_text(item.hashes['sha256'])} }}")
    return f"{{ {', '.join(parts)} }}"


def _text(value: str) -> str:
    """Write a TOML string; a JSON string is one, as long as it is ASCII."""
    return json.dumps(value)
