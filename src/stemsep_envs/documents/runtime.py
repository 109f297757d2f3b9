"""`runtimes/<id>/runtime.toml`: an engine that can execute models, and the recipe for its environment.

A recipe is data: what Python and packages the engine needs on which accelerators, the settings it understands and in
which units, and how to tell that a built environment is healthy. The code that runs inside is the adapter beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from stemsep_envs.documents.accelerators import FAMILY_NAMES
from stemsep_envs.documents.base import Document
from stemsep_envs.documents.engine_source import EngineSource, Patches
from stemsep_envs.documents.fields import AfterValidator, Field, StringConstraints, model_validator
from stemsep_envs.documents.target import Target

RuntimeId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
VariantId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
SettingValue = bool | int | float | str
OverlapUnit = Literal["ratio", "divisor", "seconds"]

if TYPE_CHECKING:
    Accelerator: TypeAlias = str
else:
    Accelerator = Literal[FAMILY_NAMES]
    """The name of a family of accelerators, as the table has it."""


def _requirement(text: str) -> str:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"not a PEP 508 requirement: {error}") from None
    return text


def _version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion:
        raise ValueError(f"{text!r} is not a version") from None
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


PatternText = Annotated[str, AfterValidator(_pattern)]
"""A regular expression that is searched for."""

RequirementText = Annotated[str, AfterValidator(_requirement)]
"""One PEP 508 requirement, such as ``neuraloperator==1.0.2``."""

VersionText = Annotated[str, AfterValidator(_version)]
"""One PEP 440 version."""


class PythonRange(Document):
    """Python minors the engine runs on, both ends included (``min = "3.10"``, ``max = "3.13"`` admits 3.13.5)."""

    min: VersionText
    max: VersionText | None = None


class TorchRange(Document):
    """The torch releases the engine runs with, both ends included, and the builds it may use."""

    min: VersionText | None = None
    max: VersionText | None = None
    packages: tuple[str, ...] = ("torch",)
    """Distributions that come from the torch index of the target (torch, torchaudio, torchvision)."""


class SettingDeclaration(Document):
    """One setting an engine understands."""

    type: Literal["bool", "int", "float", "str"]
    default: SettingValue | None = None
    min: float | None = None
    max: float | None = None
    choices: tuple[SettingValue, ...] | None = None
    unit: str | None = None
    description: str

    @model_validator(mode="after")
    def _default_is_allowed(self) -> SettingDeclaration:
        if self.default is not None:
            problem = self.problem_with(self.default)
            if problem is not None:
                raise ValueError(f"its own default {problem}")
        return self

    def problem_with(self, value: SettingValue) -> str | None:
        """Say in words what is wrong with ``value``, or None when the engine would take it."""
        kinds: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
        if not isinstance(value, kinds[self.type]) or (isinstance(value, bool) and self.type != "bool"):
            words = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
            return f"must be {words[self.type]}, not {value!r}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.min is not None and value < self.min:
                return f"must be at least {self.min:g}, not {value:g}"
            if self.max is not None and value > self.max:
                return f"must be at most {self.max:g}, not {value:g}"
        if self.choices is not None and value not in self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}, not {value}"
        return None


class OverlapDeclaration(Document):
    """How the engine spells the overlap of its processing chunks or windows."""

    setting: str = "overlap"
    unit: OverlapUnit


class SegmentDeclaration(Document):
    """How the engine spells the length of its processing chunks."""

    setting: str = "segment_size"
    unit: Literal["samples", "seconds"]


_Spelled = TypeVar("_Spelled", OverlapDeclaration, SegmentDeclaration)


class ModelType(Document):
    """One kind of model that the engine can execute."""

    stems: tuple[str, ...] | None = None
    """The stems it makes, when the kind alone fixes them."""
    channels: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2)
    sample_rate: Annotated[int, Field(ge=1)] | None = None
    """In Hz, when the kind alone fixes it: how a segment in seconds becomes samples."""
    packages: tuple[RequirementText, ...] = ()
    overlap: OverlapDeclaration | None = None
    """Where this kind spells it otherwise than the runtime does."""
    segment: SegmentDeclaration | None = None
    """Likewise."""
    settings: Mapping[str, SettingDeclaration] = {}


class WeightNames(Document):
    """How checkpoints of a variant are told from others: by the names of their weights, in regular expressions."""

    have: Annotated[tuple[PatternText, ...], Field(min_length=1)]
    """Each of these is found in the name of some weight."""
    lack: tuple[PatternText, ...] = ()
    """None of these is found in any."""


class Variant(Document):
    """A named set of patches and pins on the runtime."""

    description: str
    packages: tuple[RequirementText, ...] = ()
    torch: TorchRange | None = None
    source_distributions: Mapping[str, str] = {}
    """Packages that may be built from source for this variant alone, each with the reason."""
    excluded: Mapping[str, str] = {}
    """Distributions that this variant's packages declare and inference never needs, each with the reason."""
    weights: WeightNames | None = None
    """So that a checkpoint of another variant is refused before anything is built; the adapter looks again."""
    patches: Patches = ()
    performs: tuple[str, ...] = ()
    """Manual steps of registry entries that these patches do, so that preflight need not ask for them."""


class Health(Document):
    """How to tell that a built environment works: modules that must import."""

    imports: tuple[str, ...]


class ShippedLocks(Document):
    """For which targets and Pythons locks ship with the runtime; for others they are resolved on first use."""

    targets: tuple[Target, ...] = ()
    pythons: tuple[Annotated[str, StringConstraints(pattern=r"^3\.[0-9]{1,2}$")], ...] = ()
    """Minors, such as ``3.11``; empty for all that the runtime admits."""


class RuntimeRecipe(Document):
    """A whole ``runtime.toml``."""

    schema_version: Literal[1] = 1
    id: RuntimeId
    title: str
    description: str
    adapter: Literal["adapter.py", "adapter"] = "adapter.py"
    """The code that runs inside: a file, or a folder that is a package."""
    trust: Literal["reviewed", "unreviewed"] = "unreviewed"
    """Whether the engine's own code was read by us; model weights are judged by the registry entry."""
    python: PythonRange
    accelerators: tuple[Accelerator, ...]
    packages: tuple[RequirementText, ...]
    accelerator_packages: Mapping[Accelerator, tuple[RequirementText, ...]] = {}
    """What is needed besides on one kind of accelerator, where builds for them exclude each other."""
    torch: TorchRange | None = None
    source_distributions: Mapping[str, str] = {}
    """Packages that may be built from source, each with the reason; all others install from wheels only."""
    excluded: Mapping[str, str] = {}
    """Distributions that packages declare and inference never needs, each with the reason: no lock has them."""
    decodes: tuple[str, ...]
    encodes: tuple[str, ...]
    overlap: OverlapDeclaration | None = None
    segment: SegmentDeclaration | None = None
    settings: Mapping[str, SettingDeclaration] = {}
    """Settings that every model type of the runtime understands."""
    model_types: Mapping[str, ModelType]
    variants: Mapping[VariantId, Variant] = {}
    engine: EngineSource | None = None
    """The source tree that models of this runtime run in; None when the packages are all there is."""
    health: Health
    locks: ShippedLocks = ShippedLocks()

    def declared_settings(self, model_type: str) -> dict[str, SettingDeclaration]:
        """Return the settings of a model type: the runtime's own, then those of the type."""
        own = self.model_types.get(model_type)
        return {**self.settings, **(own.settings if own else {})}

    def overlap_of(self, model_type: str) -> OverlapDeclaration | None:
        """Return how a model type spells overlap; None when it knows none."""
        own = self.model_types.get(model_type)
        return self._declared(own.overlap if own and own.overlap else self.overlap, model_type)

    def segment_of(self, model_type: str) -> SegmentDeclaration | None:
        """Return how a model type spells the length of its chunks; None when it knows none."""
        own = self.model_types.get(model_type)
        return self._declared(own.segment if own and own.segment else self.segment, model_type)

    def _declared(self, spelled: _Spelled | None, model_type: str) -> _Spelled | None:
        return spelled if spelled and spelled.setting in self.declared_settings(model_type) else None
