"""The table of builders: what makes an environment of a lock. `environments.builders` has a module for each."""

from __future__ import annotations

from typing import NamedTuple


class BuilderRow(NamedTuple):
    """One builder.

    Attributes:
        name: Its word for ``--builder``.
        unjoined: Why its files cannot be joined to the package cache; empty where they can.
    """

    name: str
    unjoined: str = ""


BUILDERS: tuple[BuilderRow, ...] = (
    BuilderRow("uv"),
    BuilderRow("pip", unjoined="pip unpacks every file anew"),
)
"""The default first."""

BUILDER_NAMES: tuple[str, ...] = tuple(row.name for row in BUILDERS)
DEFAULT_BUILDER: str = BUILDER_NAMES[0]

_BY_NAME = {row.name: row for row in BUILDERS}


def builder_row(name: str) -> BuilderRow:
    """Return a builder's row.

    Raises:
        KeyError: There is no such builder.
    """
    return _BY_NAME[name]
