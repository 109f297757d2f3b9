"""Where the files of one distribution lie: asked of uv, which knows every index and folder that the user named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.pylock import Package
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from stemsep_envs.documents.lock import LockInputs, Pin
from stemsep_envs.environments import torch_index
from stemsep_envs.environments.pylock import find_files
from stemsep_envs.errors import BuildError
from stemsep_envs.host.paths import Home


@dataclass(frozen=True)
class Sdist:
    """A source distribution.

    Attributes:
        name: Its distribution, in normal form.
        version: Its version.
        filename: What it is called: ``torch_harmonics-0.7.3.tar.gz``.
        address: A web address, or the path of a file.
        sha256: Its hash, where its index gives one.
        size_bytes: Its size, likewise.
    """

    name: str
    version: str
    filename: str
    address: str
    sha256: str | None
    size_bytes: int | None


def has_wheel(pin: Pin, inputs: LockInputs, *, home: Home, offline: bool) -> bool:
    """Say whether an index has a wheel of a pin that fits the target and is one of those that are locked.

    Raises:
        BuildError: No index answers.
    """
    wheels, allowed = replace(inputs, builds=()), ("--only-binary", ":all:")
    try:
        found = _find(pin.name, pin.version, wheels, home=home, offline=offline, allowed=allowed)
    except BuildError as error:
        if error.code == "index_unreachable":
            raise
        return False  # none fits, or offline none is known
    return any(wheel.hashes.get("sha256") in pin.hashes for wheel in found.wheels or ())


def find_sdist(name: str, version: str, inputs: LockInputs, *, home: Home, offline: bool) -> Sdist:
    """Return where the source distribution of a version lies.

    Raises:
        BuildError: No index has one, or none answers.
    """
    asked = replace(inputs, builds=(name,))
    allowed = ("--only-binary", ":all:", "--no-binary", name)
    package = _find(name, version, asked, home=home, offline=offline, allowed=allowed)
    if package.sdist is None:
        raise BuildError(f"no index has the source of {name} {version}", code="source_missing")
    sdist = package.sdist
    address = sdist.url or str(home.root / (sdist.path or ""))  # uv runs in the home
    parts = urlsplit(address)
    if parts.scheme == "file":
        address = url2pathname(parts.path)
    filename = sdist.name or unquote(parts.path).rpartition("/")[2]
    _refuse_other(filename, name, version)
    return Sdist(name, version, filename, address, sdist.hashes.get("sha256"), sdist.size)


def _find(
    name: str, version: str, inputs: LockInputs, *, home: Home, offline: bool, allowed: tuple[str, ...]
) -> Package:
    index = torch_index.find_torch_index(inputs.target, inputs.torch_packages, home=home)
    found = find_files(
        f"{name}=={version}\n",
        inputs,
        index,
        home=home,
        what=f"{name} {version}",
        offline=offline,
        allowed=allowed,
    )
    for package in found.packages:
        if package.name == name and str(package.version) == version:
            return package
    raise BuildError(f"no index has {name} {version}", code="source_missing")


def _refuse_other(filename: str, name: str, version: str) -> None:
    try:
        parsed = parse_sdist_filename(filename)
    except InvalidSdistFilename:
        parsed = None
    if "/" in filename or "\\" in filename or parsed != (canonicalize_name(name), Version(version)):
        raise BuildError(f"{filename!r} is not what the source of {name} {version} is called", code="source_missing")
