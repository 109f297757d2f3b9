"""Whether the distributions of an environment fit one another: what each says it needs is there, in a version it takes.

Read as data. A tool that asks the environment's own Python runs code of the packages to do so: the lines of ``.pth``
files, which no isolation option of Python's stops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import default_environment
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}


@dataclass(frozen=True)
class Installed:
    """A distribution that is there, and what it says it needs (requirements, a specifier of Pythons) in its words."""

    name: NormalizedName
    version: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""


def installed_in(folders: Iterable[Path]) -> tuple[Installed, ...]:
    """Return the distributions of ``site-packages`` folders; of one that is there twice, the one that imports."""
    found: dict[NormalizedName, Installed] = {}
    for item in distributions(path=[str(folder) for folder in folders]):
        raw, _ = parse_email(text_of(item, "METADATA", "PKG-INFO").partition("\n\n")[0])  # then comes a description
        name = canonicalize_name(raw.get("name", ""))
        if name:
            requires, python = tuple(raw.get("requires_dist", ())), raw.get("requires_python", "")
            found.setdefault(name, Installed(name, raw.get("version", ""), requires, python))
    return tuple(found[name] for name in sorted(found))


def text_of(distribution: Distribution, *names: str) -> str:
    """Return the first of a distribution's own files that it has, whatever bytes are in it; empty where it has none."""
    for name in names:
        try:
            text = distribution.read_text(name)
        except UnicodeDecodeError:  # older ones are in any encoding; the folder they lie in has no public name
            folder = Path(str(distribution.locate_file(""))) / str(getattr(distribution, "_path", ""))
            text = (folder / name).read_text("utf-8", errors="replace")
        if text:
            return text
    return ""


def contradictions(
    installed: Collection[Installed], *, implementation: str, python: str, excluded: Collection[str] = ()
) -> tuple[str, ...]:
    """Say in words what of the distributions does not fit.

    Args:
        installed: All that are there.
        implementation: Of the Python they are installed for, on this machine: ``cpython``.
        python: Its version: ``3.11.7``.
        excluded: Distributions that are missing on purpose.
    """
    there = {item.name: item for item in installed}
    environment = marker_environment(implementation, python)
    return tuple(words for item in installed for words in _wrong_with(item, there, environment, excluded))


def marker_environment(implementation: str, python: str) -> dict[str, str]:
    """Return what the markers of requirements are evaluated with, for another Python of this machine."""
    return {
        **{key: str(value) for key, value in default_environment().items()},
        "implementation_name": implementation,
        "implementation_version": python,
        "platform_python_implementation": _IMPLEMENTATIONS.get(implementation, implementation),
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "extra": "",
    }


def _wrong_with(
    item: Installed,
    there: Mapping[NormalizedName, Installed],
    environment: Mapping[str, str],
    excluded: Collection[str],
) -> Iterator[str]:
    who = f"{item.name} {item.version}"
    python = environment["python_full_version"]
    try:
        if not SpecifierSet(item.requires_python).contains(python, prereleases=True):
            yield f"{who} is for Python {item.requires_python}, and this is {python}"
        for text in item.requires:
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate(dict(environment)):
                continue
            found = there.get(canonicalize_name(needed.name))
            if found is None:
                if canonicalize_name(needed.name) not in excluded:
                    yield f"{who} needs {text}, which is not installed"
            elif not _fits(found.version, needed):
                yield f"{who} needs {text}, and {found.version} is installed"
    except ValueError as error:  # specifiers, requirements, versions and markers have one each
        yield f"{who} says what cannot be read of its needs: {str(error).splitlines()[0]}"


def _fits(version: str, needed: Requirement) -> bool:
    try:
        return needed.url is not None or needed.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
