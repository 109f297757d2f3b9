"""What ``env adopt --json`` prints."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.environment import Receipt


class AdoptReport(Document):
    """An interpreter that is used from now on in place of a built environment."""

    schema_version: Literal[1] = 1
    model_id: str
    dir: str
    """The folder of the environment that stands for it."""
    receipt: Receipt
