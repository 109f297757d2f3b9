"""Finding runtimes: the folders of `runtimes/`, each with its recipe and adapter."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import InvalidDocumentError, Problem, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPE_NAME = "runtime.toml"


@dataclass(frozen=True)
class Runtime:
    """A runtime's folder and its recipe, read and checked."""

    dir: Path
    recipe: RuntimeRecipe

    @property
    def adapter_path(self) -> Path:
        """The code that runs inside the environment."""
        return self.dir / self.recipe.adapter

    @property
    def locks_dir(self) -> Path:
        """The committed locks."""
        return self.dir / "locks"


def known_runtimes(runtimes_dir: Path) -> tuple[str, ...]:
    """Return the ids of all runtimes, sorted."""
    if not runtimes_dir.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in runtimes_dir.iterdir() if (entry / RECIPE_NAME).is_file()))


def load_runtime(runtimes_dir: Path, runtime_id: str) -> Runtime:
    """Read one runtime.

    Raises:
        UsageError: There is no such runtime.
        InvalidDocumentError: Its recipe is wrong; every problem is listed.
    """
    known = known_runtimes(runtimes_dir)
    if runtime_id not in known:
        raise UsageError(
            f"there is no runtime {runtime_id!r} here",
            hint=f"runtimes: {', '.join(known) or 'none'}",
            code="runtime_unknown",
        )
    path = runtimes_dir / runtime_id / RECIPE_NAME
    try:
        value = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidDocumentError(str(path), (Problem("", f"not TOML: {error}"),)) from None
    recipe = validate(value, RuntimeRecipe, origin=str(path))
    if recipe.id != runtime_id:
        raise InvalidDocumentError(str(path), (Problem("id", f"must be the folder's name, {runtime_id}"),))
    return Runtime(path.parent, recipe)
