"""Targets: the platform and accelerator an environment is made for, written ``linux-x86_64-cu128``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

Platform = Literal["linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64", "windows-x86_64"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)

_ACCELERATOR = re.compile(r"cpu|mps|xpu|cu(?P<cuda>\d{2,3})|rocm(?P<rocm>\d+\.\d+(\.\d+)?)")
_TARGET = re.compile(rf"(?P<platform>{'|'.join(PLATFORMS)})-(?P<accelerator>[a-z0-9.]+)")


@dataclass(frozen=True, order=True)
class Target:
    """A platform and an accelerator.

    Attributes:
        platform: Operating system and processor.
        accelerator: ``cpu``, ``mps``, ``xpu``, ``cuNNN`` (CUDA) or ``rocmN.N``; the torch build's own word.
    """

    platform: Platform
    accelerator: str

    def __str__(self) -> str:
        return f"{self.platform}-{self.accelerator}"

    @property
    def device(self) -> str:
        """What a worker calls the accelerator: ``cpu``, ``cuda``, ``mps`` or ``xpu`` (ROCm builds too say cuda)."""
        return device_of(self.accelerator)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read from and write to its text."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else parse_target(value),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the text form."""
        return {
            "type": "string",
            "pattern": f"^({'|'.join(PLATFORMS)})-(cpu|mps|xpu|cu[0-9]{{2,3}}|rocm[0-9]+[.][0-9]+([.][0-9]+)?)$",
            "examples": ["linux-x86_64-cpu", "linux-x86_64-cu128", "macos-arm64-mps"],
        }


def is_accelerator(text: str) -> bool:
    """Say whether a word names an accelerator: ``cpu``, ``cu128``, ``rocm6.4``, ``xpu``, ``mps``."""
    return _ACCELERATOR.fullmatch(text) is not None


def parse_target(text: object) -> Target:
    """Read ``linux-x86_64-cu128``.

    Raises:
        ValueError: Not a target; the message says which part is wrong and what is possible.
    """
    match = _TARGET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is not a target: write PLATFORM-ACCELERATOR, with a platform of {', '.join(PLATFORMS)} "
            "and an accelerator such as cpu, cu128, rocm6.4, xpu or mps"
        )
    platform = next(known for known in PLATFORMS if known == match["platform"])
    accelerator = match["accelerator"]
    if not is_accelerator(accelerator):
        raise ValueError(f"{accelerator!r} is not an accelerator: cpu, cuNNN, rocmN.N, xpu or mps")
    if accelerator == "mps" and platform != "macos-arm64":
        raise ValueError("mps exists on macos-arm64 only")
    if platform.startswith("macos") and accelerator not in {"cpu", "mps"}:
        raise ValueError(f"{platform} has no {accelerator}: cpu or mps")
    return Target(platform, accelerator)


def device_of(accelerator: str) -> str:
    """Return the worker's word for an accelerator (torch calls a ROCm device ``cuda``)."""
    if accelerator.startswith(("cu", "rocm")):
        return "cuda"
    return accelerator
