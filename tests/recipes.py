"""The least recipe of a runtime, for tests to add to what they are about."""

from __future__ import annotations

from typing import Any

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.runtime import RuntimeRecipe


def recipe_document(**changes: Any) -> dict[str, Any]:
    """Return what a recipe must say, of a runtime called ``engine``; keyword arguments replace or add members."""
    least: dict[str, Any] = {
        "id": "engine",
        "title": "An engine",
        "description": "For tests.",
        "python": {"min": "3.10"},
        "accelerators": ["cpu"],
        "packages": [],
        "decodes": ["wav"],
        "encodes": ["wav"],
        "model_types": {"plain": {}},
        "health": {"imports": []},
    }
    return {**least, **changes}


def make_recipe(**changes: Any) -> RuntimeRecipe:
    """Return the recipe of `recipe_document`."""
    return validate(recipe_document(**changes), RuntimeRecipe, origin="a recipe")
