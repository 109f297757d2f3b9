"""The engine of a model: the source tree that its runtime's recipe names, patched as its variant says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stemsep_envs.documents.engine_source import EngineSource, PatchStep
from stemsep_envs.errors import Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.registry.recipes import Runtime

if TYPE_CHECKING:
    from stemsep_envs.environments.engines.ensure import Engine, Report

# Most runtimes have no engine of their own: what makes one is loaded by the functions that need it.


@dataclass(frozen=True)
class PlannedEngine:
    """What an engine is made of.

    Attributes:
        digest: Its name.
        source: Where the stock tree comes from.
        patches: What is changed in it, in order.
        runtime_dir: Where the recipe's patch files are.
        artifacts: Files of the model that patches take, by artifact name.
        title: What to call it: ``msst hyperace_v2``.
    """

    digest: str
    source: EngineSource
    patches: tuple[PatchStep, ...]
    runtime_dir: Path
    artifacts: Mapping[str, Path]
    title: str

    def reasons(self, home: Home, *, offline: bool) -> tuple[Reason, ...]:
        """Say everything that is missing to make it."""
        from stemsep_envs.environments.engines.ensure import engine_reasons  # noqa: PLC0415

        return engine_reasons(
            self.source,
            self.patches,
            home=home,
            runtime_dir=self.runtime_dir,
            artifacts=self.artifacts,
            offline=offline,
        )

    def ensure(self, home: Home, *, offline: bool, report: Report) -> Engine:
        """Return the tree, made if need be.

        Raises:
            BlockedError: Something is missing.
            BuildError: It cannot be fetched.
            MismatchError: The stock tree is not the one that the patches were written for.
            LimitError: No space.
        """
        from stemsep_envs.environments.engines.ensure import ensure_engine  # noqa: PLC0415

        return ensure_engine(
            self.source,
            self.patches,
            home=home,
            runtime_dir=self.runtime_dir,
            artifacts=self.artifacts,
            offline=offline,
            report=report,
            title=self.title,
        )

    def recipe_files(self) -> tuple[Path, ...]:
        """Return the files beside the recipe that the patches take."""
        named = [step.source for step in self.patches if step.source and not step.source.startswith("artifact:")]
        return tuple(self.runtime_dir / name for name in named)

    def tree_dir(self, home: Home) -> Path:
        """Return where the tree lies once it is made."""
        from stemsep_envs.environments.engines import store  # noqa: PLC0415

        return store.tree_dir(home, self.digest)

    def receipt_path(self, home: Home) -> Path:
        """Return the file that says that the tree is whole."""
        from stemsep_envs.environments.engines import store  # noqa: PLC0415

        return store.engine_dir(home, self.digest) / store.RECEIPT

    def import_dir(self, home: Home) -> Path:
        """Return the folder of the tree that the adapter imports from."""
        return self.tree_dir(home) / self.source.package_dir

    def state_of(self, name: str, home: Home) -> bool | None:
        """Say whether the tree has a file, or None while the tree is not here."""
        from stemsep_envs.environments.engines import store  # noqa: PLC0415

        if any(step.path == name for step in self.patches):
            return True
        if store.problem_with(home, self.digest) is not None:
            return None
        return (self.tree_dir(home) / name).is_file()


def planned_engine(runtime: Runtime, variant: str | None, artifacts: Mapping[str, Path]) -> PlannedEngine | None:
    """Return the engine of a runtime with one of its variants, or None when the runtime has none of its own."""
    source = runtime.recipe.engine
    if source is None:
        return None
    from stemsep_envs.environments.engines.ensure import engine_digest  # noqa: PLC0415

    patches = runtime.recipe.variants[variant].patches if variant else ()
    title = " ".join(filter(None, (runtime.recipe.id, variant)))
    return PlannedEngine(engine_digest(source, patches), source, patches, runtime.dir, artifacts, title)
