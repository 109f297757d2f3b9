"""Merging what a runtime, a model type, a variant and a model ask for into one set of requirements, by rule.

The rules, each of which keeps who asked:

- python: the ranges are intersected. Both ends are included and an end covers what begins with it (``max 3.13`` admits
  3.13.5).
- torch: the ranges are intersected likewise; lists of the builds for a family of accelerators are intersected; a
  demand without a list takes any.
- packages: all are joined; demands for one package combine (``numpy>=1.26`` and ``numpy<3`` become ``numpy<3,>=1.26``).
- accelerators: the kinds the runtime can use.

A contradiction that can be seen without a resolver becomes a `Reason` that names every side. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from stemsep_envs.documents.accelerators import family_named
from stemsep_envs.documents.requirements import (
    Demand,
    Party,
    Range,
    Requirements,
    Source,
    Want,
    version_range,
)
from stemsep_envs.documents.runtime import RuntimeRecipe, TorchRange
from stemsep_envs.errors import Reason


def runtime_demands(
    recipe: RuntimeRecipe, *, model_type: str | None = None, variant: str | None = None
) -> tuple[Demand, ...]:
    """Return what a runtime asks for, with one of its model types and one of its variants.

    Raises:
        KeyError: The runtime has no such model type or variant.
    """
    party = Party("runtime", recipe.id)
    packages = _wants(recipe.packages, party, "packages")
    if model_type is not None:
        packages += _wants(recipe.model_types[model_type].packages, party, f"model_types.{model_type}.packages")
    python = version_range(recipe.python.min, recipe.python.max, party, "python")
    demands = [_with_torch(Demand(party, python=python, packages=packages), recipe.torch)]
    if variant is not None:
        chosen = recipe.variants[variant]
        party = Party("variant", variant)
        demand = Demand(
            party,
            packages=_wants(chosen.packages, party, f"variants.{variant}.packages"),
            source_distributions=tuple(chosen.source_distributions),
            excluded=tuple(chosen.excluded),
        )
        demands.append(_with_torch(demand, chosen.torch))
    return tuple(demands)


def model_demand(
    model_id: str,
    *,
    python: tuple[str | None, str | None] = (None, None),
    torch: tuple[str | None, str | None] = (None, None),
    builds: Mapping[str, Sequence[str]] | None = None,
    packages: Sequence[str] = (),
) -> Demand:
    """Return what a registry entry asks for in its ``requirements``.

    Args:
        model_id: The entry.
        python: ``requirements.python`` min and max.
        torch: ``requirements.torch`` min and max.
        builds: The builds in ``requirements.torch``, by family: ``cu128``, ``12.8`` and ``128`` all mean one; none of
            a family takes any of it.
        packages: ``requirements.pip.packages``.

    Raises:
        ValueError: A build that is none.
    """
    party = Party("model", model_id)
    named = {name: tuple(map(family_named(name).build_named, texts)) for name, texts in (builds or {}).items() if texts}
    return Demand(
        party,
        python=version_range(*python, party, "requirements.python"),
        torch=version_range(*torch, party, "requirements.torch") if any(torch) or named else None,
        builds=named,
        packages=_wants(packages, party, "requirements.pip.packages"),
    )


def merge(recipe: RuntimeRecipe, demands: Sequence[Demand]) -> Requirements:
    """Merge demands for an environment of a runtime.

    Args:
        recipe: The runtime: its accelerators, and which packages it may build from source.
        demands: From `runtime_demands` and `model_demand`.

    Returns:
        The requirements; `Requirements.conflicts` says why they cannot be met, when that can be seen here.
    """
    torches = [demand.torch for demand in demands if demand.torch is not None]
    merged = Requirements(
        python=reduce(Range.intersect, (demand.python for demand in demands), Range()),
        torch=reduce(Range.intersect, torches) if torches else None,
        torch_packages=tuple(dict.fromkeys(name for demand in demands for name in demand.torch_packages)),
        packages=tuple(dict.fromkeys(want for demand in demands for want in demand.packages)),
        accelerators=recipe.accelerators,
        source_distributions=_source_distributions(recipe, demands),
        parties=tuple(dict.fromkeys(demand.party for demand in demands)),
        conflicts=(),
        builds=_common_builds(demands),
        excluded=_excluded(recipe, demands),
        accelerator_packages=tuple(
            (kind, _wants(texts, Party("runtime", recipe.id), f"accelerator_packages.{kind}"))
            for kind, texts in sorted(recipe.accelerator_packages.items())
        ),
    )
    return replace(
        merged, conflicts=(*_python_conflicts(merged), *_torch_conflicts(merged, demands), *_package_conflicts(merged))
    )


def _source_distributions(recipe: RuntimeRecipe, demands: Sequence[Demand]) -> tuple[str, ...]:
    named = [*recipe.source_distributions, *(name for demand in demands for name in demand.source_distributions)]
    return tuple(sorted(set(map(canonicalize_name, named))))


def _excluded(recipe: RuntimeRecipe, demands: Sequence[Demand]) -> tuple[str, ...]:
    """Return what no lock shall have; what anybody asks for by name is not excluded."""
    asked = {canonicalize_name(Requirement(want.text).name) for demand in demands for want in demand.packages}
    named = [*recipe.excluded, *(name for demand in demands for name in demand.excluded)]
    return tuple(sorted(set(map(canonicalize_name, named)) - asked))


def _common_builds(demands: Sequence[Demand]) -> Mapping[str, tuple[str, ...]]:
    """Return, of each family, the builds that all who name any of it have in common, in the order of the first."""
    common: dict[str, tuple[str, ...]] = {}
    for demand in demands:
        for name, builds in demand.builds.items():
            common[name] = tuple(build for build in common.get(name, builds) if build in builds)
    return common


def _python_conflicts(merged: Requirements) -> list[Reason]:
    if not merged.python.empty:
        return []
    return [_empty_range("python_unsatisfiable", "Python", merged.python)]


def _empty_range(code: str, name: str, bounds: Range) -> Reason:
    if bounds.lower is None or bounds.upper is None:
        raise ValueError("an open range is not empty")
    low, high = bounds.lower, bounds.upper
    return Reason(
        code,
        f"no {name} can serve: {low.source} asks for {low.text} or newer, {high.source} for {high.text} at most",
        hint="widen one of the two, or choose another runtime for this model",
        path=low.source.registry_path or high.source.registry_path,
        about=(name.lower(),),
    )


def _torch_conflicts(merged: Requirements, demands: Sequence[Demand]) -> list[Reason]:
    reasons = []
    if merged.torch is not None and merged.torch.empty:
        reasons.append(_empty_range("torch_unsatisfiable", "torch", merged.torch))
    for name in (name for name, builds in merged.builds.items() if not builds):
        sides = [
            f"{demand.party} allows {', '.join(demand.builds[name])}" for demand in demands if name in demand.builds
        ]
        reasons.append(
            Reason(
                "torch_unsatisfiable",
                f"no {family_named(name).title} build of torch can serve: {'; '.join(sides)}",
                hint="allow one build in common",
                path=f"requirements.torch.{name}",
                about=("torch",),
            )
        )
    return reasons


@dataclass(frozen=True)
class _Ask:
    requirement: Requirement
    words: str
    source: Source


def _package_conflicts(merged: Requirements) -> list[Reason]:
    """Find packages whose specifiers no version can meet, and requirements that name a place instead of a version."""
    reasons = []
    by_name: dict[str, list[_Ask]] = {}
    for want in merged.packages:
        requirement = Requirement(want.text)
        if requirement.url is not None:
            reasons.append(
                Reason(
                    "package_url",
                    f"{want.source} names a place ({want.text}): locks hold names, versions and hashes only",
                    hint="name a released version, or make it the engine of a runtime",
                    path=want.source.registry_path,
                    about=(canonicalize_name(requirement.name),),
                )
            )
        elif requirement.marker is None:  # whether a marked one applies is the resolver's to say
            by_name.setdefault(canonicalize_name(requirement.name), []).append(
                _Ask(requirement, want.text, want.source)
            )
    if merged.torch is not None and not merged.torch.empty:
        by_name.setdefault("torch", []).extend(_torch_asks(merged.torch))
    for name, asks in sorted(by_name.items()):
        if _unmeetable([ask.requirement.specifier for ask in asks]):
            sides = " and ".join(f"{ask.words} ({ask.source})" for ask in asks if ask.requirement.specifier)
            paths = [ask.source.registry_path for ask in asks if ask.source.registry_path]
            reasons.append(
                Reason(
                    "torch_unsatisfiable" if name == "torch" else "packages_conflict",
                    f"no version of {name} can serve {sides}",
                    hint="change one of them, or choose another runtime for this model",
                    path=paths[0] if paths else None,
                    about=(name,),
                )
            )
    return reasons


def _torch_asks(torch: Range) -> list[_Ask]:
    asks = []
    if torch.lower is not None:
        text = f"torch>={torch.lower.version}"
        asks.append(_Ask(Requirement(text), text, torch.lower.source))
    if torch.upper is not None:
        text = f"torch<{torch.upper.ceiling}"
        asks.append(_Ask(Requirement(text), text, torch.upper.source))
    return asks


def _unmeetable(specifiers: Sequence[SpecifierSet]) -> bool:
    """Say whether no version can be in all specifiers; False also when only a resolver could tell.

    If some version fits, one fits at or just beside a version that the specifiers name, or beyond them all.
    """
    joined = reduce(SpecifierSet.__and__, specifiers, SpecifierSet())
    named = {Version(item.version.removesuffix(".*")) for item in joined if item.operator != "==="}
    if len(joined) < 2 or any(item.operator == "===" for item in joined):
        return False
    candidates = set(named)
    for version in named:
        release = ".".join(map(str, version.release))
        beside = (f"{release}.0.0.1", f"{release}.post1", f"{release}.99999", _before(version))
        candidates.update(Version(text) for text in beside)
    candidates |= {Version("0"), Version("99999")}
    return not any(joined.contains(version, prereleases=True) for version in candidates)


def _before(version: Version) -> str:
    """Return a release just below ``version``: 2.2.99999 for 2.3, 1.99999 for 2.0."""
    release = list(version.release)
    while release and release[-1] == 0:
        release.pop()
    if not release:
        return "0"
    return ".".join(map(str, [*release[:-1], release[-1] - 1, 99999]))


def _wants(texts: Iterable[str], party: Party, field: str) -> tuple[Want, ...]:
    return tuple(Want(text, Source(party, f"{field}[{index}]")) for index, text in enumerate(texts))


def _with_torch(demand: Demand, torch: TorchRange | None) -> Demand:
    if torch is None:
        return demand
    party = demand.party
    field = f"variants.{party.name}.torch" if party.kind == "variant" else "torch"
    bounds = version_range(torch.min, torch.max, party, field)
    return replace(demand, torch=bounds, torch_packages=torch.packages)
