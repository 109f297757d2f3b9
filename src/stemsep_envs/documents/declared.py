"""What a document class declares, kept as it was written until someone asks: fields, bounds, validators."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

MISSING: Any = object()
"""The default of a field that has to be stated."""

_NOT_BOUNDS = {"default", "default_factory", "alias", "description", "examples", "title"}


class Mark:
    """A word of pydantic's, the name of the class, and what it was said with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def said_to_pydantic(self) -> Any:
        """Return what pydantic makes of the same words."""
        import pydantic  # noqa: PLC0415 - loaded when it is first needed: see `fields`

        return getattr(pydantic, type(self).__name__)(*self.args, **self.kwargs)


class MethodMark:
    """A method that checks fields, or a whole document once it is read.

    Attributes:
        word: ``field_validator`` or ``model_validator``.
        names: The fields.
        mode: ``after`` for one that is called with what was read.
        method: The class method, or for a whole document the method.
    """

    def __init__(self, word: str, names: tuple[str, ...], mode: str, method: Any) -> None:
        self.word = word
        self.names = names
        self.mode = mode
        self.method = method

    def said_to_pydantic(self) -> Any:
        """Return pydantic's own decoration of the method."""
        import pydantic  # noqa: PLC0415 - likewise

        return getattr(pydantic, self.word)(*self.names, mode=self.mode)(self.method)


class DeclaredField:
    """A field as its class declares it.

    Attributes:
        name: What programs call it.
        key: What documents call it.
        said: What stands to the right of the equals sign; `MISSING` where there is none.
        default: What it holds where nothing is stated; `MISSING` where it has to be.
        factory: Makes that anew each time; None where ``default`` is it.
        bounds: What is said beside the default of the values it takes; None where that is said in pydantic's own words.
    """

    def __init__(self, name: str, annotation: Any, said: Any, module: str, within: Mapping[str, Any]) -> None:
        self.name = name
        self.key = name
        self.said = said
        self.default = said
        self.factory: Callable[[], Any] | None = None
        self.bounds: Mapping[str, Any] | None = {}
        self._annotation = annotation
        self._module = module
        self._within = within
        if isinstance(said, Mark):
            self.default = said.args[0] if said.args else said.kwargs.get("default", MISSING)
            self.factory = said.kwargs.get("default_factory")
            self.key = said.kwargs.get("alias") or name
            self.bounds = {word: value for word, value in said.kwargs.items() if word not in _NOT_BOUNDS}
        elif type(said).__module__.startswith("pydantic"):
            self.bounds = None
            self.key = said.alias or name

    def evaluated(self) -> Any:
        """Return the annotation as a type.

        Raises:
            NameError: It names what is not there at run time.
        """
        if not isinstance(self._annotation, str):
            return self._annotation
        scope = vars(sys.modules[self._module])
        return eval(self._annotation, scope, dict(self._within))  # noqa: S307 - our own source; pydantic does the same


class FieldsBefore:
    """What a validator of a field is told: the fields that were read before it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data


class Declaration:
    """All that a document class declares.

    Attributes:
        own_fields: The fields that the class itself declares, by name.
        fields: With those of the classes it derives from, which come first.
        own_methods: Its own validators.
        methods: With those of the classes it derives from.
        extra: What values of further keys are, where the class says so.
        config: pydantic's settings of the class.
    """

    def __init__(
        self,
        parent: Declaration | None,
        fields: Mapping[str, DeclaredField],
        methods: tuple[MethodMark, ...],
        extra: DeclaredField | None,
        config: Mapping[str, Any],
    ) -> None:
        self.own_fields = fields
        self.own_methods = methods
        self.fields: Mapping[str, DeclaredField] = {**parent.fields, **fields} if parent else fields
        self.methods: tuple[MethodMark, ...] = (*parent.methods, *methods) if parent else methods
        self.extra: DeclaredField | None = extra or (parent.extra if parent else None)
        self.config: Mapping[str, Any] = {**parent.config, **config} if parent else config
