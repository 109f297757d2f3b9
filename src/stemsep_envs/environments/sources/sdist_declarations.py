"""What the texts in a source distribution say: how it is built, and what it needs. Read as hostile input; no I/O."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from stemsep_envs.environments.uv_options import Declared
from stemsep_envs.errors import BuildError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CODE = "source_build_failed"
_STATIC_SINCE = Version("2.2")
"""From this version of the metadata on, a source distribution says which of it may still change (PEP 643)."""

_RESOLVED = {"requires-dist", "requires-python", "provides-extra"}
_MOST = 1000


@dataclass(frozen=True)
class BuildSystem:
    """How a source distribution is built (PEP 517, PEP 518).

    Attributes:
        requires: What its build needs, as it words it.
        backend: Module, and object in it, whose hooks build it.
        backend_path: Folders in it that the backend lies in.
    """

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...]


LEGACY = BuildSystem(("setuptools>=40.8.0",), "setuptools.build_meta:__legacy__", ())
"""How one is built that does not say, by PEP 517."""


def build_system(pyproject: str | None, what: str) -> BuildSystem:
    """Read ``pyproject.toml``.

    Args:
        pyproject: The file's text; None when there is none.
        what: The distribution, in words.

    Raises:
        BuildError: It is no TOML, or its table ``build-system`` is not one.
    """
    if pyproject is None:
        return LEGACY
    try:
        table = tomllib.loads(pyproject).get("build-system", {})
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refused(what, f"its pyproject.toml cannot be read: {error}") from None
    if not isinstance(table, dict):
        raise _refused(what, "its pyproject.toml has no table build-system")
    requires = _texts(table.get("requires", list(LEGACY.requires)), "build-system.requires", what)
    backend = table.get("build-backend")
    if backend is None:
        return BuildSystem(read_requirements(requires, what), LEGACY.backend, ())
    if not isinstance(backend, str):
        raise _refused(what, "its build-system.build-backend is no text")
    path = _texts(table.get("backend-path", []), "build-system.backend-path", what)
    return BuildSystem(read_requirements(requires, what), backend, tuple(path))


def static_metadata(pkg_info: str | None, what: str) -> Declared | None:
    """Return what ``PKG-INFO`` declares where that holds for every wheel built from it; else None.

    Raises:
        BuildError: It declares what is no requirement.
    """
    if pkg_info is None:
        return None
    raw, _ = parse_email(pkg_info)
    try:
        version = Version(raw.get("metadata_version", "0"))
    except InvalidVersion:
        return None
    dynamic = {field.lower() for field in raw.get("dynamic", [])}
    if version < _STATIC_SINCE or dynamic & _RESOLVED:
        return None
    return read_metadata(pkg_info, what)


def read_metadata(text: str, what: str) -> Declared:
    """Read ``METADATA``.

    Raises:
        BuildError: It declares what is no requirement, or one by address.
    """
    raw, _ = parse_email(text)
    python = raw.get("requires_python", "")
    try:
        SpecifierSet(python)
        extras = tuple(canonicalize_name(extra, validate=True) for extra in raw.get("provides_extra", [])[:_MOST])
        name = canonicalize_name(raw.get("name", ""), validate=True)
        version = str(Version(raw.get("version", "")))
    except (InvalidSpecifier, InvalidName, InvalidVersion) as error:
        raise _refused(what, f"its metadata cannot be read: {error}") from None
    requires = read_requirements(raw.get("requires_dist", []), what)
    return Declared(name, version, requires, python, extras)


def read_requirements(texts: Iterable[object], what: str) -> tuple[str, ...]:
    """Check requirements that an untrusted party words; return them in normal wording.

    Raises:
        BuildError: One is none, or asks for an address: what comes from there no index and no lock vouches for.
    """
    read: list[str] = []
    for text in texts:
        if len(read) >= _MOST or not isinstance(text, str) or not text.isascii():
            raise _refused(what, f"it asks for {str(text)[:80]!r}")
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise _refused(what, f"it asks for {text[:80]!r}: {str(error).splitlines()[0]}") from None
        if requirement.url is not None:
            raise _refused(what, f"it asks for {requirement.name} by an address, which no lock can vouch for")
        read.append(str(requirement))
    return tuple(read)


def _texts(value: object, field: str, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refused(what, f"its {field} is no list of texts")
    return value


def _refused(what: str, why: str) -> BuildError:
    return BuildError(f"{what} cannot be built from its source: {why}", code=CODE)
