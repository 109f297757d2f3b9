"""``config.toml`` in the home: what a machine's owner says once instead of in variables each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from stemsep_envs.documents.accelerators import EXAMPLES, FAMILIES, PROCESSOR, find_family
from stemsep_envs.documents.base import Document
from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.documents.fields import AfterValidator, Field

BASE = "base"
_BEST = FAMILIES[0].example


def _index_key(text: str) -> str:
    if text != BASE and find_family(text) is None:
        raise ValueError(f"{text!r} is neither {BASE!r} nor an accelerator such as {EXAMPLES}")
    return text


def _place(text: str) -> str:
    if not text.strip():
        raise ValueError("must be an address, a folder or 'none'")
    return text.strip()


class Configuration(Document):
    """The whole file; everything in it is optional."""

    schema_version: Literal[1] = 1
    builder: BuilderName | None = None
    """What builds environments: ``uv`` (the default) or ``pip``."""
    torch_index: Mapping[Annotated[str, AfterValidator(_index_key)], Annotated[str, AfterValidator(_place)]] = Field(
        default={},
        examples=[{"base": "https://mirror.example.org/whl", _BEST: f"/srv/wheels/{_BEST}", PROCESSOR.name: "none"}],
    )
    """Where builds of torch come from: ``base`` has a folder or index an accelerator below it; an accelerator's own
    entry is the place itself. An address, a folder of wheels, or ``none`` for the ordinary package index alone."""
