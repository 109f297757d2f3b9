"""The words that documents are declared with: pydantic's own, which is loaded when it is first needed.

Type checkers see pydantic here. A running program sees marks that remember what was said: `pydantic_models` says it to
pydantic, and `fast_path` reads plainly right values by it. So a program whose documents are without fault never loads
pydantic, which takes longer than most of what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from stemsep_envs.documents.declared import FieldsBefore, Mark, MethodMark

__all__ = [
    "AfterValidator",
    "BeforeValidator",
    "ConfigDict",
    "Field",
    "PlainSerializer",
    "PlainValidator",
    "StrictBool",
    "StrictInt",
    "StringConstraints",
    "ValidationInfo",
    "WithJsonSchema",
    "field_validator",
    "model_validator",
]

if TYPE_CHECKING:
    from pydantic import (
        AfterValidator,
        BeforeValidator,
        ConfigDict,
        Field,
        PlainSerializer,
        PlainValidator,
        StrictBool,
        StrictInt,
        StringConstraints,
        ValidationInfo,
        WithJsonSchema,
        field_validator,
        model_validator,
    )
else:
    ConfigDict = dict
    ValidationInfo = FieldsBefore

    class AfterValidator(Mark):
        """A function that values of a type go through once they are read."""

    class BeforeValidator(Mark):
        """A function that they go through before."""

    class PlainValidator(Mark):
        """A function that reads them in place of their type."""

    class PlainSerializer(Mark):
        """A function that writes them."""

    class WithJsonSchema(Mark):
        """How a schema describes them."""

    class Strict(Mark):
        """Nothing of another type is taken for them."""

    class StringConstraints(Mark):
        """Bounds of a text."""

    class Field(Mark):
        """A field's default and bounds, and what a schema tells of it."""

    StrictBool = Annotated[bool, Strict()]
    StrictInt = Annotated[int, Strict()]

    def field_validator(*names: str, mode: str = "after") -> Any:
        """Decorate a class method that checks fields."""
        return lambda method: MethodMark("field_validator", names, mode, method)

    def model_validator(*, mode: str) -> Any:
        """Decorate a method that checks a whole document."""
        return lambda method: MethodMark("model_validator", (), mode, method)
