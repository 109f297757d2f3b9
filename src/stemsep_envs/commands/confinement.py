"""Which sandbox a model's worker gets: what its trust asks for, what this host has, and what the user allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemsep_envs.documents.preflight import SandboxAnswer
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.sandbox.hygiene import Hygiene
from stemsep_envs.sandbox.policy import LEVEL_ORDER, Level, LevelName


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
    level: Level | None
    axes: Mapping[str, str]
    why: str
    lowered_by_flag: bool = False
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()

    def answer(self) -> SandboxAnswer:
        """Return the choice as preflight reports it."""
        return SandboxAnswer(
            required_level=self.required,
            level=self.level.name if self.level else None,
            reason=self.why,
            axes=dict(self.axes),
        )


_SAFE_SUFFIXES = (".safetensors", ".onnx", ".yaml", ".yml", ".json")
"""Files that hold data and cannot carry code that runs on loading, as checkpoints in pickle form can."""


def required_level(entry: ModelEntry, recipe: RuntimeRecipe) -> LevelName:
    """Return the least level for a model: reviewed code without pickles may run tidily, all else needs a boundary."""
    reviewed = entry.trust == "reviewed" and recipe.trust == "reviewed"
    pickles = [name for _, name in _file_names(entry) if not name.lower().endswith(_SAFE_SUFFIXES)]
    return "hygiene" if reviewed and not pickles else "landlock"


def choose_confinement(
    entry: ModelEntry,
    recipe: RuntimeRecipe,
    *,
    home: Home,  # noqa: ARG001 - where measurements of stronger levels are kept
    least: LevelName | None = None,
    allowed: LevelName | None = None,
) -> Confinement:
    """Choose the sandbox of a model's worker; fails closed.

    Args:
        entry: The model.
        recipe: Its runtime.
        home: Where measurements are kept.
        least: A level that the user asks for at least.
        allowed: A lower level that the user accepts.
    """
    required = required_level(entry, recipe)
    wanted = min(required, least or required, key=LEVEL_ORDER.index)
    if allowed is not None and LEVEL_ORDER.index(allowed) > LEVEL_ORDER.index(wanted):
        wanted, lowered = allowed, True
    else:
        lowered = False
    level = Hygiene()
    measured = level.measure()
    if wanted != level.name:
        reason = Reason(
            "sandbox_level_missing",
            f"{entry.id} needs the sandbox level {wanted}, which this version does not have",
            hint="--allow-level hygiene runs it without a boundary; do that only for code that you trust",
            path="trust",
        )
        return Confinement(required, None, {}, reason.message, reasons=(reason,))
    warnings: tuple[Reason, ...] = ()
    if lowered:
        words = f"{entry.id} runs without a boundary although its trust asks for {required}"
        warnings = (Reason("sandbox_lowered", words, path="trust"),)
    return Confinement(
        required,
        level,
        {axis: str(state) for axis, state in measured.axes.items()},
        measured.reason,
        lowered,
        warnings=warnings,
    )


def _file_names(entry: ModelEntry) -> list[tuple[str, str]]:
    return [(name, artifact.filename) for name, artifact in entry.artifacts.each()]
