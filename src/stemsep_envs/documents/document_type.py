"""The class of document classes: declared as pydantic models are, and costing next to nothing until they are used.

A document class remembers its fields as they are written. Its documents are read and written by `fast_path` where that
is sure of itself, and otherwise by the pydantic model that `pydantic_models` then makes of the class. That model's
validators give documents of the same class, so which of the two it was makes no difference.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from stemsep_envs.documents import fast_path
from stemsep_envs.documents.checks import Unsure
from stemsep_envs.documents.declared import MISSING, Declaration, DeclaredField, MethodMark

if TYPE_CHECKING:
    from pydantic import BaseModel


class DocumentType(type):
    """Collects what a document class declares."""

    __declaration__: Declaration

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> DocumentType:
        """Make a document class; fields and validators are kept apart from its methods."""
        parent = next((base.__declaration__ for base in bases if isinstance(base, DocumentType)), None)
        module, annotations = namespace["__module__"], namespace.get("__annotations__", {})
        # A class that a function declares may speak of others that the function declared.
        within = sys._getframe(1).f_locals if "<locals>" in namespace["__qualname__"] else {}  # noqa: SLF001

        def field(name: str) -> DeclaredField:
            return DeclaredField(name, annotations[name], namespace.get(name, MISSING), module, within)

        fields = {
            name: field(name)
            for name, annotation in annotations.items()
            if not (name.startswith("_") or str(annotation).startswith("ClassVar"))
        }
        methods = tuple(value for value in namespace.values() if isinstance(value, MethodMark))
        extra = field("__pydantic_extra__") if "__pydantic_extra__" in annotations else None
        declaration = Declaration(parent, fields, methods, extra, namespace.get("model_config", {}))
        kept = {name: value for name, value in namespace.items() if name not in fields and value not in methods}
        return super().__new__(mcs, name, bases, {**kept, "__declaration__": declaration})

    def __getattr__(cls, name: str) -> Any:
        """Return what only pydantic knows of the class, such as ``model_fields`` or ``model_json_schema``."""
        if not name.startswith("model_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return getattr(model_of(cls), name)


class LightDocument(metaclass=DocumentType):
    """What every document can do, under the names that pydantic's models have for it."""

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")

    def __init__(self, /, **values: Any) -> None:
        try:
            fast_path.read_into(self, values)
        except Unsure:
            model_of(type(self)).__pydantic_validator__.validate_python(values, self_instance=self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: object, handler: Any) -> Any:
        """Let models that hold this class read its documents."""
        return handler.generate_schema(model_of(cls))

    @classmethod
    def read_plainly(cls, value: object) -> LightDocument:
        """Read a document from plain values that are plainly right; raises `Unsure` where they are not."""
        instance = cls.__new__(cls)
        fast_path.read_into(instance, value)
        return instance

    @classmethod
    def model_validate(cls, value: object) -> LightDocument:
        """Read a document from plain values.

        Raises:
            ValidationError: pydantic's, with every problem.
        """
        if isinstance(value, cls):
            return value
        try:
            return cls.read_plainly(value)
        except Unsure:
            read: Any = model_of(cls).model_validate(value)
            return cast("LightDocument", read)

    def model_dump(self, *, mode: str = "python", **options: Any) -> dict[str, Any]:
        """Return the document as plain values; see pydantic for the options."""
        try:
            if mode == "json":
                return _dumped(self, **options)
        except (Unsure, TypeError):  # or an option that is not known here
            pass
        written: dict[str, Any] = _serializer(self).to_python(self, mode=mode, **options)
        return written

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """Return the document as JSON text; see pydantic for the options."""
        try:
            value = _dumped(self, **options)
            if fast_path.is_spelled_alike(value):
                return _json_text(value, indent)
        except (Unsure, TypeError):
            pass
        text: bytes = _serializer(self).to_json(self, indent=indent, **options)
        return text.decode()

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> LightDocument:
        """Return a copy with other values in some fields, which are not checked."""
        fields = type(self).__declaration__.fields
        attributes = {name: value for name, value in self.__dict__.items() if name in fields}
        extra = self.__pydantic_extra__
        for name, value in (update or {}).items():
            if name in fields or extra is None:
                attributes[name] = value
            else:
                extra = {**extra, name: value}
        copied = type(self).__new__(type(self))
        fast_path.fill(copied, attributes, extra, {*self.__pydantic_fields_set__, *(update or {})})
        return copied

    @property
    def model_fields_set(self) -> set[str]:
        """The fields that were stated."""
        stated: set[str] = self.__pydantic_fields_set__
        return stated

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """What was stated beside the fields; None where the class takes nothing beside them."""
        extra: dict[str, Any] | None = self.__pydantic_extra__
        return extra

    def __getattr__(self, name: str) -> Any:
        extra = None if name.startswith("__") else self.__pydantic_extra__
        if extra and name in extra:
            return extra[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, _: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: documents are frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be removed: documents are frozen")

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from ((name, self.__dict__[name]) for name in type(self).__declaration__.fields)
        yield from (self.__pydantic_extra__ or {}).items()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LightDocument) or type(self) is not type(other):
            return NotImplemented
        return list(self) == list(other)

    def __hash__(self) -> int:
        return hash((type(self), *self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    def __getstate__(self) -> tuple[Any, ...]:
        return dict(self.__dict__), self.__pydantic_extra__, self.__pydantic_fields_set__

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        fast_path.fill(self, *state)


def document_class(name: str, base: Any, fields: Mapping[str, tuple[Any, Any]], *, module: str) -> Any:
    """Make a document class whose fields are known from a table only, each with its type and default.

    Args:
        name: Of the class.
        base: The class that it derives from, whose description it takes.
        fields: By name.
        module: Where it is made.
    """
    annotations = {field: annotation for field, (annotation, _) in fields.items()}
    defaults = {field: default for field, (_, default) in fields.items()}
    told = {"__module__": module, "__qualname__": name, "__doc__": base.__doc__, "__annotations__": annotations}
    return DocumentType(name, (base,), {**told, **defaults})


def model_of(document: Any) -> type[BaseModel]:
    """Return the pydantic model of a document class; makes it, and loads pydantic, the first time."""
    from stemsep_envs.documents.pydantic_models import pydantic_model  # noqa: PLC0415 - see `fields`

    return pydantic_model(document)


def _dumped(
    document: LightDocument, *, exclude: Iterable[str] = (), exclude_unset: bool = False, by_alias: bool = False
) -> dict[str, Any]:
    return fast_path.members(document, without=frozenset(exclude), stated_only=exclude_unset, by_key=by_alias)


def _serializer(document: LightDocument) -> Any:
    return model_of(type(document)).__pydantic_serializer__


def _json_text(value: object, indent: int | None) -> str:
    import json  # noqa: PLC0415 - documents that are not written do without

    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, separators=separators)


if TYPE_CHECKING:
    BaseDocument = BaseModel
else:
    BaseDocument = LightDocument
