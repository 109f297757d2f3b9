"""Reading ``config.toml`` of the home."""

from __future__ import annotations

import sys

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.configuration import Configuration
from stemsep_envs.errors import InvalidDocumentError, Problem, UsageError
from stemsep_envs.host.paths import Home

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "config.toml"


def read_configuration(home: Home) -> Configuration:
    """Return the home's configuration; the defaults where there is no file.

    Raises:
        InvalidDocumentError: It is not TOML, or says what is not understood; every problem is listed.
        UsageError: It cannot be read.
    """
    path = home.root / NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Configuration()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(str(path), (Problem("", f"not UTF-8 text: {error.reason}"),)) from None
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidDocumentError(str(path), (Problem("", f"not TOML: {error}"),)) from None
    return validate(value, Configuration, origin=str(path))
