"""What would make a host better for running models, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stemsep_envs.documents.doctor_report import HomeFacts, InterpreterFacts, LevelFacts
from stemsep_envs.documents.reports import Finding
from stemsep_envs.host.paths import default_registry_path

_LITTLE_SPACE_BYTES = 5 << 30
"""A torch environment takes one to six GiB."""


def advice_for(
    home: HomeFacts, interpreters: Sequence[InterpreterFacts], levels: Sequence[LevelFacts]
) -> Iterator[Finding]:
    """Yield what to do about a home, interpreters and sandbox levels that fall short."""
    if not home.writable:
        yield Finding(
            code="home_not_writable",
            message=f"{home.path} cannot be written",
            hint="set STEMSEP_ENV_HOME to a folder that can be, or run as its owner",
        )
    if home.free_bytes is not None and home.free_bytes < _LITTLE_SPACE_BYTES:
        yield Finding(
            code="little_space",
            message=f"only {home.free_bytes >> 20} MiB are free where environments are kept",
            hint="free some space; an environment with torch takes 1 to 6 GiB",
        )
    if not interpreters:
        yield Finding(
            code="no_interpreter",
            message="no Python that environments can be made of was found",
            hint="one is installed on first use where the network allows it",
        )
    if not default_registry_path().is_file():
        yield Finding(
            code="registry_missing",
            message=f"there is no registry at {default_registry_path()}",
            hint="unset STEMSEP_ENV_REGISTRY to use the one that came with the program",
        )
    for level in levels:
        if not level.available and level.remedy:
            yield Finding(
                code="sandbox_level_missing",
                message=f"the sandbox level {level.level} is not available: {level.reason}",
                hint=level.remedy,
            )
