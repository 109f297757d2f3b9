"""Which sandbox a model's worker gets: what its trust asks for, what this host has, and what the user allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stemsep_envs.documents.preflight import SandboxAnswer
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.sandbox.level_table import LEVEL_ORDER, LOWEST, LevelName, least_level
from stemsep_envs.sandbox.levels import candidates, choose, measured, with_gpu

_BUILD_OUTPUT_BYTES = 4 << 30
"""For the bytecode of an environment, and what its modules keep at import."""


@dataclass(frozen=True)
class Confinement:
    """The choice of a sandbox, and what was measured of it.

    Attributes:
        required: The least level that the model's trust asks for.
        level: The level to use; None when none will do.
        axes: What the level holds on this host, per axis.
        why: The choice in words.
        lowered_by_flag: Whether the user accepted less than is required.
        reasons: Why there is no level.
        warnings: What the user should know of the choice.
    """

    required: LevelName
    level: LevelName | None
    axes: Mapping[str, str]
    why: str
    lowered_by_flag: bool = False
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()

    def answer(self) -> SandboxAnswer:
        """Return the choice as preflight reports it."""
        return SandboxAnswer(
            required_level=self.required,
            level=self.level,
            reason=self.why,
            axes=dict(self.axes),
        )


_LOWER_HINT = f"--allow-level {LOWEST} runs it without a boundary; do that only for code that you trust"


def required_level(entry: ModelEntry, recipe: RuntimeRecipe, *, trusted_registry: bool) -> LevelName:
    """Return the least level for a model.

    Checkpoints are converted before the worker sees them, so weights bring no code. Reviewed code may then run tidily;
    code that nobody reviewed needs a boundary. A checkpoint that an engine insists on unpickling is code that nobody
    reviewed and that anybody may have written: it needs one that hides the rest of the machine too.
    """
    if any(artifact.pickle == "full" for _, artifact in entry.artifacts.each()):
        return least_level("pickled")
    reviewed = trusted_registry and entry.trust == "reviewed" and recipe.trust == "reviewed"
    return least_level("reviewed" if reviewed else "unreviewed")


def choose_confinement(
    entry: ModelEntry,
    recipe: RuntimeRecipe,
    *,
    home: Home,
    trusted_registry: bool,
    gpu: bool = False,
    asked: LevelName | None = None,
    allowed: LevelName | None = None,
) -> Confinement:
    """Choose the sandbox of a model's worker; fails closed.

    Without a request it is the strongest that starts quickly and is available. A request is met exactly where it is
    strong enough for the model, or for what the user accepts.

    Args:
        entry: The model.
        recipe: Its runtime.
        home: Where measurements are kept.
        trusted_registry: Whether the registry's word on trust counts: a file of the user's may come from anywhere.
        gpu: Whether the worker is given an accelerator, whose driver it then reaches.
        asked: The level that the user asks for.
        allowed: A lower level than the model needs that the user accepts.
    """
    required = required_level(entry, recipe, trusted_registry=trusted_registry)
    floor = max(required, allowed or required, key=LEVEL_ORDER.index)
    if asked is not None and LEVEL_ORDER.index(asked) <= LEVEL_ORDER.index(floor):
        names = tuple(name for name in candidates(asked) if name == asked)
    else:
        names = candidates(asked)
    measurements = measured(names, home.cache_dir)
    choice = choose(required, asked if asked != floor else None, allowed, measurements)
    if choice.level is None:
        reasons = tuple(
            replace(reason, hint=reason.hint or _LOWER_HINT, path=reason.path or "trust") for reason in choice.reasons
        )
        return Confinement(required, None, {}, choice.why, reasons=reasons)
    warnings: tuple[Reason, ...] = ()
    if choice.lowered_by_flag:
        words = f"{entry.id} is confined by {choice.level}, less than its trust asks for ({required})"
        warnings = (Reason("sandbox_lowered", words, path="trust"),)
    held = with_gpu(choice.axes) if gpu else choice.axes
    axes: dict[str, str] = {axis: state for axis, state in held.items()}  # noqa: C416 - widens the keys' type
    return Confinement(required, choice.level, axes, choice.why, choice.lowered_by_flag, warnings=warnings)
