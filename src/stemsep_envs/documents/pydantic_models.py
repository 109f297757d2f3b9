"""The pydantic model of a document class: made of what the class declares, when something is pydantic's to decide.

That is every value that is not plainly right, with the words for what is wrong; every JSON schema; and what takes a
closer look at annotations. The model's validators give instances of the document class, and its serializers take them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from stemsep_envs.documents.declared import MISSING, Declaration, Mark


class _Model(BaseModel):
    """What the models of all document classes have in common."""

    # A schema is built when the first document of its kind is read: a command touches a few of a hundred models.
    # Fields may begin with "model_", which older pydantic releases warn about.
    model_config = ConfigDict(defer_build=True, protected_namespaces=())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let the model's documents be instances of the class that it was made of."""
        schema = handler(source)
        model: Any = handler.resolve_ref_schema(schema)
        while model["type"] != "model":  # what checks the whole document stands around it
            model = model["schema"]
        model["cls"] = _document_of[cls]
        return schema


_models: dict[Any, type[BaseModel]] = {}
_document_of: dict[type[BaseModel], Any] = {}


def pydantic_model(document: Any) -> type[BaseModel]:
    """Return the pydantic model of a document class; makes it the first time."""
    made = _models.get(document)
    if made is None:
        made = _models[document] = _made(document, document.__declaration__)
        _document_of[made] = document
    return made


def _made(document: Any, declaration: Declaration) -> type[BaseModel]:
    parents = tuple(pydantic_model(base) for base in document.__bases__ if hasattr(base, "__declaration__"))
    fields = declaration.own_fields
    annotations = {name: _real_annotation(field.evaluated()) for name, field in fields.items()}
    if declaration.extra is not None:
        annotations["__pydantic_extra__"] = _real_annotation(declaration.extra.evaluated())
    namespace: dict[str, Any] = {
        "__module__": document.__module__,
        "__qualname__": document.__qualname__,
        "__doc__": document.__doc__,
        "__annotations__": annotations,
        "model_config": declaration.config,
        **{name: _real(field.said) for name, field in fields.items() if field.said is not MISSING},
        **{mark.method.__name__: mark.said_to_pydantic() for mark in declaration.own_methods},
    }
    metaclass: Any = type(_Model)
    made: type[BaseModel] = metaclass(document.__name__, parents or (_Model,), namespace)
    return made


def _real_annotation(annotation: Any) -> Any:
    """Return an annotation with pydantic's own words in place of our marks."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marked = (_real_annotation(parts[0]), *map(_real, parts[1:]))
        return Annotated[marked]
    if origin is Union or origin is UnionType:
        return Union[tuple(map(_real_annotation, parts))]  # noqa: UP007 - of as many as there are
    if origin in {tuple, list, dict, Mapping}:
        return origin[tuple(map(_real_annotation, parts))]
    return annotation


def _real(said: Any) -> Any:
    return said.said_to_pydantic() if isinstance(said, Mark) else said
