"""The shape of a row in the table of accelerators (`documents.accelerators`), and what follows from a row alone.

A row is data and pure functions. How its devices are found is one of them: it looks at the machine through a
`MachineView` that it is handed, and so touches nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class MachineView(Protocol):
    """The ways in which a row may look at a machine. What cannot be read is not there."""

    @property
    def platform(self) -> str | None:
        """The platform's name, or None where no target runs."""

    def ask(self, program: str, *arguments: str, also_in: str = "") -> str | None:
        """Return what a program prints; None where there is none, in ``also_in`` neither, or where it fails."""

    def exists(self, path: str) -> bool:
        """Say whether there is such a file or device."""

    def read(self, path: str) -> str | None:
        """Return a small text file; None where it cannot be read."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match an absolute pattern, in order."""


class Device(NamedTuple):
    """One device as its driver describes it; None where it does not say.

    Attributes:
        name: For people.
        architecture: What builds carry code for, in the words of the family: ``9.0`` (compute capability), ``gfx1100``.
        memory_bytes: Its own memory.
    """

    name: str
    architecture: str | None = None
    memory_bytes: int | None = None


class Found(NamedTuple):
    """What was found of a family on a machine.

    Attributes:
        words: For people: why builds for it run here.
        devices: Its devices, as far as they are told apart.
        driver: The version of their driver.
    """

    words: str
    devices: tuple[Device, ...] = ()
    driver: str | None = None


def find_nothing(_: MachineView) -> Found | None:
    """Find nothing."""
    return None


def refuse_nothing(_: str, __: Found, ___: str) -> str | None:
    """Say that a build runs wherever its family is found."""
    return None


@dataclass(frozen=True, eq=False, repr=False)  # rows are told apart by identity, and load quickly
class Family:
    """A kind of accelerator that torch is built for.

    Attributes:
        name: Its word in recipes, in the registry and for ``--target``.
        title: For people.
        device: The worker's word for its devices, which is torch's.
        platforms: Those that there are targets of it for.
        absent: Why its builds do not run where it is not found.
        find: Looks for its devices.
        found_on: Platforms on which what is found runs its builds; all of ``platforms`` by default.
        always: What is found of it without looking, on every machine.
        prefix: What the words of its builds begin with; its own word where there is one build alone.
        number: A regular expression for what follows; empty where there is one build alone. Kept to what JSON Schema
            knows too: it becomes part of published patterns.
        dotted: Whether dots stay in that number: ``12.8`` is ``cu128``, ``6.4`` is ``rocm6.4``.
        pattern_in_words: How the word of a build is written: ``cuNNN``.
        example: The word of one.
        builds: Those that are known, oldest first.
        refusal: Says why one of its builds does not run on what was found on a platform; None when it does, as far as
            is known.
        index_label: The word by which torch's index and wheels go instead of a build's own.
        ordinary_on: Platforms for which the ordinary package index has just these builds.
        runs_any_build: Whether every build of torch drives it that there is for its platforms.
        runtime_library: A regular expression for the distribution whose version tells the build where wheels of torch
            have no label; the ordinary index has builds then that torch's own need not be asked for.
        packages: Distributions that exist for it alone and come from torch's index.
        device_nodes: Patterns of its nodes below ``/dev``.
        readable: What its libraries read of the machine beside its system folders.
        variables: Beginnings of the environment variables that steer its driver.
    """

    name: str
    title: str
    device: str
    platforms: tuple[str, ...]
    absent: str
    find: Callable[[MachineView], Found | None] = find_nothing
    found_on: tuple[str, ...] | None = None
    always: Found | None = None
    prefix: str = ""
    number: str = ""
    dotted: bool = False
    pattern_in_words: str = ""
    example: str = ""
    builds: tuple[str, ...] = ()
    refusal: Callable[[str, Found, str], str | None] = refuse_nothing
    index_label: str | None = None
    ordinary_on: tuple[str, ...] = ()
    runs_any_build: bool = False
    runtime_library: str | None = None
    packages: tuple[str, ...] = ()
    device_nodes: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Call a single build by the family's name."""
        if not self.number:
            for field in ("prefix", "pattern_in_words", "example"):
                object.__setattr__(self, field, self.name)
            object.__setattr__(self, "builds", (self.name,))

    @property
    def is_processor(self) -> bool:
        """Whether this is no accelerator but the processor, which every machine has."""
        return self.always is not None

    @property
    def pattern(self) -> str:
        """A regular expression for the words of its builds."""
        return re.escape(self.prefix) + self.number

    def has_build(self, text: str) -> bool:
        """Say whether a word is that of one of its builds, known or not."""
        return re.fullmatch(self.pattern, text) is not None

    def build_named(self, text: str) -> str:
        """Return the word of a build however it is spelled: ``cu128`` for ``cu128``, ``12.8``, ``128`` or ``cuda12.8``.

        Raises:
            ValueError: It is none.
        """
        number = text.lower()
        for word in dict.fromkeys((self.name, self.prefix)):
            number = number.removeprefix(word)
        build = self.prefix + (number if self.dotted else number.replace(".", ""))
        if not self.has_build(build):
            raise ValueError(f"{text!r} is not a {self.title} build: write {self.example}")
        return build

    def age_of(self, build: str) -> tuple[int, ...]:
        """Return what orders builds, oldest first."""
        return tuple(map(int, re.findall(r"\d+", build.removeprefix(self.prefix))))

    def label_of(self, build: str) -> str:
        """Return the word by which torch's index, and the local version of its wheels, call a build."""
        return self.index_label or build

    def build_of(self, distribution: str, version: str) -> str | None:
        """Return the build that a distribution gives away by its version, or None when it is none that does."""
        if self.runtime_library is None or re.fullmatch(self.runtime_library, distribution) is None:
            return None
        return self.build_named(".".join(version.split(".")[:2]))

    def why_not(self, build: str, found: Found | None, platform: str) -> str | None:
        """Say why a build does not run on what was found on a platform; None when it does, as far as is known."""
        found = found or self.always
        on = self.platforms if self.found_on is None else self.found_on
        return self.absent if found is None or platform not in on else self.refusal(build, found, platform)

    def usable(self, found: Found | None, platform: str) -> tuple[str, ...]:
        """Return the known builds that run on what was found on a platform, newest first."""
        return tuple(build for build in reversed(self.builds) if self.why_not(build, found, platform) is None)
