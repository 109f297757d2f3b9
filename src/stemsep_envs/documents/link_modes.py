"""The table of ways in which the files of an environment are joined to the package cache. A new one is a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

Need = Literal["same_file_system", "cloning", "read_only_view"]

UNMET: Mapping[Need, str] = {
    "same_file_system": "the package cache is on another file system",
    "cloning": "the file system cannot clone",
    "read_only_view": "no sandbox of this platform shows workers their environment read-only",
}
"""What is said where a need is not met."""


class LinkModeRow(NamedTuple):
    """One way.

    Attributes:
        name: Its word, which is uv's too (``--link-mode``).
        why: What speaks for it; empty for what is taken because nothing else can be.
        needs: What must be so for it to be chosen.
        shares_files: Whether whoever can write in the environment changes the cache, and every other environment.
    """

    name: str
    why: str = ""
    needs: tuple[Need, ...] = ()
    shares_files: bool = False


LINK_MODES: tuple[LinkModeRow, ...] = (
    LinkModeRow(
        name="clone",
        why="the file system clones files: shared on the disk, and not writable through one another",
        needs=("same_file_system", "cloning"),
    ),
    LinkModeRow(
        name="hardlink",
        why="the file system cannot clone; workers see the environment read-only",
        needs=("same_file_system", "read_only_view"),
        shares_files=True,
    ),
    LinkModeRow(name="copy"),
)
"""Best first; the last needs nothing and shares nothing."""

LINK_MODE_NAMES: tuple[str, ...] = tuple(row.name for row in LINK_MODES)
UNSHARED: str = LINK_MODES[-1].name

_BY_NAME = {row.name: row for row in LINK_MODES}


def link_mode_row(name: str) -> LinkModeRow:
    """Return a mode's row.

    Raises:
        KeyError: There is no such mode.
    """
    return _BY_NAME[name]


def best_link_mode(met: Mapping[Need, Callable[[], bool]]) -> tuple[str, str]:
    """Return the best mode and why.

    Args:
        met: Finds out whether a need is met; asked in the order of the rows' needs, and no more than must be known.
    """
    refusal = ""
    for row in LINK_MODES:
        unmet = next((need for need in row.needs if not met[need]()), None)
        if unmet is None:
            return row.name, row.why or refusal
        refusal = UNMET[unmet]
    raise ValueError("the last row of the table needs something")
