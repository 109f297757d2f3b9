"""What ``gc`` and ``remove`` removed, or would remove, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stemsep_envs.cli.console import Console, human_bytes

if TYPE_CHECKING:
    from stemsep_envs.documents.artifacts import ArtifactCollectionReport
    from stemsep_envs.documents.environment_reports import CollectionReport, KeptItem

_SHOWN_CHARACTERS = 12
_NAMED_BY_DIGEST = frozenset({"environment", "engine", "artifact", "converted"})


def tell_removals(
    console: Console, report: CollectionReport | ArtifactCollectionReport, *, kept: Iterable[KeptItem] = ()
) -> None:
    """Print what was removed, what was kept although it was chosen, and the space that is free again; or the report."""
    if console.json:
        console.document(report)
        return
    for removed in report.removed:
        name = removed.name[:_SHOWN_CHARACTERS] if removed.kind in _NAMED_BY_DIGEST else removed.name
        console.line(f"{'would remove' if report.dry_run else 'removed'} {removed.kind} {name}: {removed.why}")
    for item in kept:
        console.line(f"kept environment {item.digest[:_SHOWN_CHARACTERS]}: {item.why}")
    freed, left = human_bytes(report.freed_bytes), human_bytes(report.remaining_bytes)
    console.line(f"{freed} would be freed; {left} would be left" if report.dry_run else f"{freed} freed; {left} left")
