"""Which builder: what was asked for, the variable, the configuration, or the first in the table."""

from __future__ import annotations

import os

from stemsep_envs.documents.builders import BUILDER_NAMES, DEFAULT_BUILDER
from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.documents.wording import either
from stemsep_envs.environments.configuration import read_configuration
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import Home

VARIABLE = "STEMSEP_ENV_BUILDER"


def choose_builder(asked: BuilderName | None, *, home: Home) -> BuilderName:
    """Return what builds: what was asked for, else ``$STEMSEP_ENV_BUILDER``, else the configuration, else the default.

    Raises:
        UsageError: The variable names no builder.
        InvalidDocumentError: The home's configuration is wrong.
    """
    if asked is not None:
        return asked
    named = os.environ.get(VARIABLE)
    if not named:
        return read_configuration(home).builder or DEFAULT_BUILDER
    if named not in BUILDER_NAMES:
        raise UsageError(f"{VARIABLE}={named}: write {either(BUILDER_NAMES)}")
    return named
