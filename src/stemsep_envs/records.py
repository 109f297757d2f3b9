"""Data classes as the standard library has them, made without generating code.

``dataclasses.dataclass`` writes and compiles up to six functions for a class, which takes half a millisecond; a command
loads a hundred such classes and makes instances of some. The decorator here means the same for the options it takes,
with methods that go through the fields when they are called. Type checkers see the standard library's, whose functions
(``fields``, ``asdict``, ``is_dataclass``) work with these classes too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, ge, gt, le, lt
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "replace"]

_MISSING: Any = object()


class _Field:
    """One field: its default, and what it takes part in."""

    def __init__(self, default: Any, factory: Any, *, init: bool, repr: bool, compare: bool) -> None:  # noqa: A002
        self.name = ""
        self.annotation: Any = None
        self.default = default
        self.factory = factory
        self.init = init
        self.repr = repr
        self.compare = compare


class _StandardFields:
    """Gives a class the fields that the standard library looks for, when it does."""

    def __get__(self, _: object, owner: Any) -> Mapping[str, Any]:
        import dataclasses  # noqa: PLC0415 - needed by few

        fields: tuple[_Field, ...] = owner.__record_fields__
        stand_in: Any = type(
            owner.__name__,
            (),
            {
                "__module__": owner.__module__,
                "__annotations__": {field.name: field.annotation for field in fields},
                **{
                    field.name: dataclasses.field(
                        default=dataclasses.MISSING if field.default is _MISSING else field.default,
                        default_factory=dataclasses.MISSING if field.factory is _MISSING else field.factory,
                        init=field.init,
                        repr=field.repr,
                        compare=field.compare,
                    )
                    for field in fields
                },
            },
        )
        made = dataclasses.dataclass(init=False, repr=False, eq=False)(stand_in).__dataclass_fields__
        owner.__dataclass_fields__ = made
        return made  # type: ignore[no-any-return]


def _dataclass(
    cls: Any = None,
    /,
    *,
    frozen: bool = False,
    eq: bool = True,
    repr: bool = True,  # noqa: A002 - as the standard library calls it
    order: bool = False,
) -> Any:
    """Make a data class; see `dataclasses.dataclass`."""

    def made(cls: Any) -> Any:
        fields = _fields_of(cls)
        methods: dict[str, Any] = {"__init__": _init(fields, cls), "__match_args__": _names(fields, init=True)}
        if repr:
            methods["__repr__"] = _repr(_names(fields, repr=True))
        if eq:
            key = _key(_names(fields, compare=True))
            methods["__eq__"] = _eq(key)
            # What can be changed cannot be found again by its hash.
            methods["__hash__"] = _hash(key) if frozen else None
            if order:
                methods |= {f"__{compare.__name__}__": _ordered(compare, key) for compare in (lt, le, gt, ge)}
        if frozen:
            methods |= {"__setattr__": _refusal("assign to"), "__delattr__": _refusal("delete")}
        for name, method in methods.items():
            if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
                setattr(cls, name, method)
        cls.__record_fields__ = fields
        cls.__dataclass_fields__ = _StandardFields()
        return cls

    return made if cls is None else made(cls)


def _field(
    *,
    default: Any = _MISSING,
    default_factory: Any = _MISSING,
    init: bool = True,
    repr: bool = True,  # noqa: A002
    compare: bool = True,
) -> Any:
    """Say more of a field than its default; see `dataclasses.field`."""
    return _Field(default, default_factory, init=init, repr=repr, compare=compare)


def _replace(instance: Any, /, **changes: Any) -> Any:
    """Return a copy of an instance with other values in some fields; see `dataclasses.replace`."""
    if not hasattr(type(instance), "__record_fields__"):  # one of the standard library's own
        import dataclasses  # noqa: PLC0415 - needed by few

        return dataclasses.replace(instance, **changes)
    for field in type(instance).__record_fields__:
        if field.init and field.name not in changes:
            changes[field.name] = getattr(instance, field.name)
    return type(instance)(**changes)


def _fields_of(cls: Any) -> tuple[_Field, ...]:
    """Return the fields of a class, those of its bases first, and leave on the class the defaults alone."""
    fields: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= {field.name: field for field in base.__dict__.get("__record_fields__", ())}
    for name, annotation in cls.__annotations__.items():
        if str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            continue
        said = cls.__dict__.get(name, _MISSING)
        field = said if isinstance(said, _Field) else _Field(said, _MISSING, init=True, repr=True, compare=True)
        field.name, field.annotation = name, annotation
        if type(field.default) in {list, dict, set}:
            raise ValueError(f"mutable default for field {name}: use default_factory")
        if field is said and field.default is _MISSING:
            delattr(cls, name)
        elif field is said:
            setattr(cls, name, field.default)
        fields[name] = field
    return tuple(fields.values())


def _names(fields: tuple[_Field, ...], **part: bool) -> tuple[str, ...]:
    (attribute,) = part
    return tuple(field.name for field in fields if getattr(field, attribute))


def _init(fields: tuple[_Field, ...], cls: Any) -> Callable[..., None]:
    stated = [(field.name, field.default, field.factory) for field in fields if field.init]
    made = [(field.name, field.default, field.factory) for field in fields if not field.init]
    has_more_to_do = hasattr(cls, "__post_init__")

    def initialize(self: Any, /, *args: Any, **named: Any) -> None:
        held = self.__dict__
        count = len(args)
        for index, (name, default, factory) in enumerate(stated):
            if index < count:
                held[name] = args[index]
            elif name in named:
                held[name] = named.pop(name)
            elif default is not _MISSING:
                held[name] = default
            elif factory is not _MISSING:
                held[name] = factory()
            else:
                raise TypeError(f"{type(self).__name__}() misses the argument {name!r}")
        if named or count > len(stated):
            raise TypeError(f"{type(self).__name__}() got arguments it does not take: {', '.join(named) or count}")
        for name, default, factory in made:
            held[name] = factory() if default is _MISSING else default
        if has_more_to_do:
            self.__post_init__()

    return initialize


def _repr(names: tuple[str, ...]) -> Callable[[Any], str]:
    def show(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return show


def _key(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the values that an instance is compared by."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


def _eq(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], bool]:
    def equals(self: Any, other: object) -> bool:
        return key(self) == key(other) if type(other) is type(self) else NotImplemented

    return equals


def _ordered(compare: Callable[[Any, Any], bool], key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, Any], bool]:
    def method(self: Any, other: Any) -> bool:
        return compare(key(self), key(other)) if type(other) is type(self) else NotImplemented

    return method


def _hash(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    return lambda self: hash(key(self))


def _refusal(what: str) -> Callable[..., None]:
    def refuse(_: object, name: str, *__: object) -> None:
        from dataclasses import FrozenInstanceError  # noqa: PLC0415 - needed by few

        raise FrozenInstanceError(f"cannot {what} field {name!r}")

    return refuse


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _field, _replace
