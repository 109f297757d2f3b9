"""Targets: the platform and accelerator an environment is made for, written ``linux-x86_64-cu128``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from stemsep_envs.documents.accelerator_family import Family
from stemsep_envs.documents.accelerators import BUILD_PATTERN, EXAMPLES, FAMILIES, TARGET_EXAMPLES, family_of
from stemsep_envs.documents.platforms import PLATFORM_NAMES
from stemsep_envs.documents.wording import either

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

Platform: TypeAlias = str
"""The name of a platform, as a row of `documents.platforms` has it."""

_TARGET = re.compile(rf"(?P<platform>{'|'.join(PLATFORM_NAMES)})-(?P<accelerator>[a-z0-9.]+)")


@dataclass(frozen=True, order=True)
class Target:
    """A platform and an accelerator.

    Attributes:
        platform: Operating system and processor.
        accelerator: The torch build's own word: ``cu128``, ``cpu``.
    """

    platform: Platform
    accelerator: str

    def __str__(self) -> str:
        return f"{self.platform}-{self.accelerator}"

    @property
    def family(self) -> Family:
        """The accelerator's row in the table."""
        return family_of(self.accelerator)

    @property
    def device(self) -> str:
        """What a worker calls the accelerator, which is torch's word for it."""
        return self.family.device

    @classmethod
    def from_document(cls, value: object) -> Target:
        """Read what stands for a target in a document."""
        return value if isinstance(value, cls) else parse_target(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read from and write to its text."""
        from pydantic_core import core_schema  # noqa: PLC0415 - pydantic asks, so it is loaded

        return core_schema.no_info_plain_validator_function(
            cls.from_document,
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the text form."""
        return {
            "type": "string",
            "pattern": f"^({'|'.join(PLATFORM_NAMES)})-({BUILD_PATTERN})$",
            "examples": list(TARGET_EXAMPLES),
        }


def parse_target(text: object) -> Target:
    """Read ``linux-x86_64-cu128``.

    Raises:
        ValueError: Not a target; the message says which part is wrong and what is possible.
    """
    match = _TARGET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is not a target: write PLATFORM-ACCELERATOR, with a platform of {', '.join(PLATFORM_NAMES)} "
            f"and an accelerator such as {EXAMPLES}"
        )
    target = Target(match["platform"], match["accelerator"])
    _refuse_impossible(target)
    return target


def _refuse_impossible(target: Target) -> None:
    platforms = target.family.platforms
    if target.platform in platforms:
        return
    if len(platforms) == 1:
        raise ValueError(f"{target.accelerator} exists on {platforms[0]} only")
    has = (family.pattern_in_words for family in FAMILIES if target.platform in family.platforms)
    raise ValueError(f"{target.platform} has no {target.accelerator}: {either(has)}")
