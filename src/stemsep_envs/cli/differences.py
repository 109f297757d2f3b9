"""What differs in an environment from what was built, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stemsep_envs.cli.console import Console

if TYPE_CHECKING:
    from stemsep_envs.documents.environment_reports import Difference

_MOST_SHOWN = 50


def tell_differences(console: Console, differences: Iterable[Difference]) -> None:
    """Print the differences, a line each; ``--json`` has them all."""
    several = list(differences)
    for item in several[:_MOST_SHOWN]:
        console.line(f"  {item.kind:<11} {item.path}: {item.detail}")
    if len(several) > _MOST_SHOWN:
        console.line(f"  and {len(several) - _MOST_SHOWN} more (--json lists them all)")
