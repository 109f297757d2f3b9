"""Which builder: what was asked for, the variable, the configuration, or uv."""

from __future__ import annotations

import os
from typing import get_args

from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.environments.configuration import read_configuration
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import Home

VARIABLE = "STEMSEP_ENV_BUILDER"


def choose_builder(asked: BuilderName | None, *, home: Home) -> BuilderName:
    """Return what builds: what was asked for, else ``$STEMSEP_ENV_BUILDER``, else the configuration, else uv.

    Raises:
        UsageError: The variable names no builder.
        InvalidDocumentError: The home's configuration is wrong.
    """
    if asked is not None:
        return asked
    named = os.environ.get(VARIABLE)
    if not named:
        return read_configuration(home).builder or "uv"
    for known in get_args(BuilderName):
        if known == named:
            chosen: BuilderName = known
            return chosen
    raise UsageError(f"{VARIABLE}={named}: write {' or '.join(get_args(BuilderName))}")
