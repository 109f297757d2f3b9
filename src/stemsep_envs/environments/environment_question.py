"""What an environment is planned from: plain data, so that a plan can be made anew, by another process too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target


@dataclass(frozen=True)
class EnvironmentQuestion:
    """All that `environment_plan.plan_environment` is asked.

    Attributes:
        runtime_id: The runtime that the environment serves.
        requirements: What it must hold, and who asks. From `merging.merge`.
        target: What it is made for. From `targets.choose_target`.
        locks_dir: The locks that ship with the runtime: ``runtimes/<id>/locks``.
        health_imports: Modules that must import in it.
        source_reasons: Distributions that may be built from source, each with the runtime's reason; which of them an
            environment has, its lock says.
        engine_digest: The engine's source tree, when the runtime has one.
        engine_known: Whether the engine has a name yet; without one, neither has the environment.
        python: A minor (``3.11``) that the user insists on.
        builder: What the user wants it built with.
    """

    runtime_id: str
    requirements: Requirements
    target: Target
    locks_dir: Path
    health_imports: tuple[str, ...] = ()
    source_reasons: Mapping[str, str] = field(default_factory=dict)
    engine_digest: str | None = None
    engine_known: bool = True
    python: str | None = None
    builder: BuilderName | None = None

    @property
    def title(self) -> str:
        """What is planned, in words: ``dsp for linux-x86_64-cpu``."""
        return f"{self.recipe_title} for {self.target}"

    @property
    def recipe_title(self) -> str:
        """The runtime and its variant, in words: ``msst fno``."""
        variants = [party.name for party in self.requirements.parties if party.kind == "variant"]
        return " ".join([self.runtime_id, *variants])


def question_of(  # noqa: PLR0913 - the whole question, once
    recipe: RuntimeRecipe,
    requirements: Requirements,
    target: Target,
    *,
    locks_dir: Path,
    engine_digest: str | None = None,
    engine_known: bool = True,
    python: str | None = None,
    builder: BuilderName | None = None,
) -> EnvironmentQuestion:
    """Return the question for an environment of a runtime; the arguments are the attributes of the question."""
    variants = recipe.variants.values()
    stated = (recipe.source_distributions, *(variant.source_distributions for variant in variants))
    return EnvironmentQuestion(
        runtime_id=recipe.id,
        requirements=requirements,
        target=target,
        locks_dir=locks_dir,
        health_imports=recipe.health.imports,
        source_reasons={canonicalize_name(name): why for named in stated for name, why in named.items()},
        engine_digest=engine_digest,
        engine_known=engine_known,
        python=python,
        builder=builder,
    )
