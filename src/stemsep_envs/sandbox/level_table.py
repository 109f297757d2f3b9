"""The table of sandbox levels: which there are, where, and what they must hold. A new one is a module and its row here.

Imported by the command line: plain data, so that what a level is made of is loaded when a worker is confined by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

Axis = Literal["files_read", "files_written", "network", "processes", "system_calls", "memory", "gpu"]
AXES: tuple[Axis, ...] = ("files_read", "files_written", "network", "processes", "system_calls", "memory", "gpu")
AxisState = Literal["held", "limited", "open"]
"""``held``: the probe's forbidden act did not happen; ``limited``: part of it did; ``open``: nothing stops it."""

Trust = Literal["reviewed", "unreviewed", "pickled"]
"""Whose code a worker runs: reviewed; anybody's; or what a pickle of anybody's makes the engine do."""


class LevelRow(NamedTuple):
    """One level.

    Attributes:
        name: Its word for ``--sandbox``.
        implementation: The module of this package and the class in it that confines a worker (`policy.Level`).
        systems: Where it exists, by ``sys.platform``; None for everywhere.
        promises: The least that must be measured of it, per axis, for it to count as a level.
        enough_for: The least trusted code that may run in it.
        starts_quickly: Whether it is used unasked; one that starts slowly is used only on request.
    """

    name: str
    implementation: str
    systems: tuple[str, ...] | None
    promises: Mapping[Axis, AxisState]
    enough_for: Trust
    starts_quickly: bool = True

    @property
    def is_boundary(self) -> bool:
        """Whether it holds anything at all."""
        return any(state != "open" for state in self.promises.values())

    @property
    def keeps_files(self) -> bool:
        """Whether a worker in it can change no file but its own."""
        return self.promises["files_written"] == "held"

    def is_on(self, sys_platform: str) -> bool:
        """Say whether a platform has it."""
        return self.systems is None or sys_platform in self.systems


_ALL_HELD: Mapping[Axis, AxisState] = dict.fromkeys(AXES, "held")
_ALL_OPEN: Mapping[Axis, AxisState] = dict.fromkeys(AXES, "open")

LEVELS: tuple[LevelRow, ...] = (
    LevelRow(
        name="container",
        implementation="container.Container",
        systems=("linux",),
        promises={**_ALL_HELD, "gpu": "limited"},
        enough_for="pickled",
        starts_quickly=False,
    ),
    LevelRow(
        name="namespaces",
        implementation="namespaces.Namespaces",
        systems=("linux",),
        promises={**_ALL_HELD, "memory": "limited", "gpu": "limited"},
        enough_for="pickled",
    ),
    LevelRow(
        name="seatbelt",
        implementation="seatbelt.Seatbelt",
        systems=("darwin",),
        promises={**_ALL_OPEN, "files_read": "limited", "files_written": "held", "network": "held"},
        enough_for="unreviewed",
    ),
    LevelRow(
        name="landlock",
        implementation="landlock.Landlock",
        systems=("linux",),
        promises={
            **_ALL_HELD,
            "files_read": "limited",
            "processes": "limited",
            "memory": "limited",
            "gpu": "limited",
        },
        enough_for="unreviewed",
    ),
    LevelRow(
        name="hygiene",
        implementation="hygiene.Hygiene",
        systems=None,
        promises=_ALL_OPEN,
        enough_for="reviewed",
    ),
)
"""Strongest first. `seatbelt` is macOS's and `landlock` Linux's: each stands where the other would."""

LEVEL_ORDER: tuple[str, ...] = tuple(row.name for row in LEVELS)
LOWEST: str = LEVEL_ORDER[-1]

if TYPE_CHECKING:
    LevelName: TypeAlias = str
else:
    LevelName = Literal[LEVEL_ORDER]
    """The name of a level."""

_BY_NAME = {row.name: row for row in LEVELS}
_TRUSTS: tuple[Trust, ...] = ("reviewed", "unreviewed", "pickled")


def level_row(name: LevelName) -> LevelRow:
    """Return a level's row.

    Raises:
        KeyError: There is no such level.
    """
    return _BY_NAME[name]


def least_level(trust: Trust) -> LevelName:
    """Return the weakest level that code may run in; the stronger ones will do as well."""
    least = _TRUSTS.index(trust)
    return [row.name for row in LEVELS if _TRUSTS.index(row.enough_for) >= least][-1]
