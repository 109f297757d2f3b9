"""Follows a pickle without executing it: every value it makes is one of `values`, nothing is imported or called.

`pickletools` tells the instructions apart and reads their arguments; what they do is done here. Each instruction takes
at least a byte, and makes no more than it names: time and memory are bounded by the length of the pickle, whatever it
says. What is repeated by reference stays one value.
"""

# ruff: noqa: SLF001 - the table at the end names the machine's own methods
from __future__ import annotations

import pickletools
import warnings
from typing import IO, Any, Callable, Dict, List, Tuple

from .values import Call, CheckpointError, Named, Series, Table

MAX_PICKLE_BYTES = 256 << 20
_MAX_INSTRUCTIONS = 20_000_000
_MAX_INTEGER_BITS = 4096
_MAX_NAME_CHARACTERS = 500

_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}

Rebuild = Callable[[str, List[Any]], Any]
"""Makes the value of a call it knows, from the name and the arguments; `NotImplemented` for others."""


class Counts:
    """How often something was named and called."""

    __slots__ = ("called", "named")

    def __init__(self) -> None:
        self.named = 0
        self.called = 0


class Machine:
    """Follows pickles of one file.

    Attributes:
        inert: What was named or called and is not data, by name.
        notes: What was left out, in words.
        instructions: How many were followed.
    """

    def __init__(
        self, name_value: Callable[[str], Any], rebuild: Rebuild, set_state: Callable[[Any, Any], str], persistent: Any
    ) -> None:
        """Take the four things that depend on what is known.

        Args:
            name_value: The value that a name stands for, or None.
            rebuild: Makes the value of a call that is known.
            set_state: Gives a value its state; returns what was left out, in words, or nothing.
            persistent: The value of a persistent id.
        """
        self.inert: Dict[str, Counts] = {}
        self.notes: Dict[str, None] = {}
        self._name_value = name_value
        self._rebuild = rebuild
        self._set_state = set_state
        self._persistent = persistent
        self._stack: List[Any] = []
        self._marks: List[int] = []
        self._memo: Dict[int, Any] = {}
        self.instructions = 0

    def take(self, within: Machine) -> None:
        """Count what another machine met in a pickle that is within this one's."""
        for name, found in within.inert.items():
            counts = self.inert.setdefault(name, Counts())
            counts.named += found.named
            counts.called += found.called
        self.notes.update(within.notes)
        self.instructions = within.instructions

    def run(self, stream: IO[bytes]) -> Any:
        """The value of the pickle at the stream's position, which is left at its end.

        Raises:
            CheckpointError: It is damaged, too large, or says what no pickle of data says.
        """
        self._stack, self._marks, self._memo = [], [], {}
        start = stream.tell()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in damaged text
                for instruction, argument, position in pickletools.genops(stream):
                    self.instructions += 1
                    if self.instructions > _MAX_INSTRUCTIONS or (position or 0) - start > MAX_PICKLE_BYTES:
                        raise CheckpointError("its pickle is larger than that of a real checkpoint")
                    _DO[instruction.name](self, argument)
            return self._pop()
        except CheckpointError:
            raise
        except RecursionError as error:
            raise CheckpointError("its pickle is damaged: a call within itself") from error
        except (ValueError, IndexError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise CheckpointError(f"its pickle is damaged: {str(error)[:200]}") from error

    # -- the stack

    def _pop(self) -> Any:
        if not self._stack or (self._marks and self._marks[-1] == len(self._stack)):
            raise CheckpointError("its pickle is damaged: it takes from an empty stack")
        return self._stack.pop()

    def _pop_to_mark(self) -> List[Any]:
        if not self._marks:
            raise CheckpointError("its pickle is damaged: a mark is missing")
        mark = self._marks.pop()
        taken = self._stack[mark:]
        del self._stack[mark:]
        return taken

    def _top(self) -> Any:
        value = self._pop()
        self._stack.append(value)
        return value

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    # -- plain values

    def _push_integer(self, value: Any) -> None:
        if value.bit_length() > _MAX_INTEGER_BITS:
            raise CheckpointError(f"it holds a number of {value.bit_length()} bits")
        self._push(value)

    def _push_old_text(self, value: Any) -> None:
        # Python 2 wrote text and bytes alike.
        data = value.encode("latin-1") if isinstance(value, str) else bytes(value)
        try:
            self._push(data.decode("utf-8"))
        except UnicodeDecodeError:
            self._push(data)

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _drop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _drop_to_mark(self, _: Any) -> None:
        self._pop_to_mark()

    # -- containers

    def _extend(self, items: List[Any]) -> None:
        owner = self._top()
        if (isinstance(owner, Series) and owner.kind in ("list", "set")) or isinstance(owner, Call):
            owner.items.extend(items)
        else:
            raise CheckpointError("its pickle is damaged: it appends to something that is not a list")

    def _set_items(self, items: List[Any]) -> None:
        owner = self._top()
        if len(items) % 2 or not isinstance(owner, (Table, Call)):
            raise CheckpointError("its pickle is damaged: it sets items of something that is not a mapping")
        owner.pairs.extend(zip(items[::2], items[1::2]))

    def _tuple_of(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(Series("tuple", items[::-1]))

    def _table(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._push(Table("dict", []))
        self._set_items(items)

    # -- memo

    def _put(self, index: Any) -> None:
        self._memo[index] = self._top()

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, index: Any) -> None:
        if index not in self._memo:
            raise CheckpointError("its pickle is damaged: it refers to something it has not made")
        self._push(self._memo[index])

    # -- names and calls

    def _named(self, module: Any, name: Any) -> Any:
        if type(module) is not str or type(name) is not str:
            raise CheckpointError("its pickle is damaged: a name is not text")
        whole = f"{_OLD_MODULES.get(module, module)}.{name}"
        if len(whole) > _MAX_NAME_CHARACTERS:
            raise CheckpointError(f"it names something by {len(whole)} characters")
        value = self._name_value(whole)
        if value is not None:
            return value
        self.inert.setdefault(whole, Counts()).named += 1
        return Named(whole)

    def _global(self, argument: Any) -> None:
        self._push(self._named(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._push(self._named(module, name))

    def _call(self, function: Any, arguments: List[Any], kwargs: Any = None) -> None:
        if isinstance(function, Call):  # what a call would have returned is called
            function = Named(f"{function.name}()")
        if not isinstance(function, Named) or len(function.name) > _MAX_NAME_CHARACTERS:
            raise CheckpointError("its pickle is damaged: it calls something that is not a function")
        made = NotImplemented if kwargs else self._rebuild(function.name, arguments)
        if made is NotImplemented:
            made = Call(function.name, arguments, kwargs)
        if isinstance(made, Call):
            self.inert.setdefault(made.name, Counts()).called += 1
        self._push(made)

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, _members(arguments))

    def _new_with_keywords(self, _: Any) -> None:
        kwargs, arguments, cls = self._pop(), self._pop(), self._pop()
        if not isinstance(kwargs, Table):
            raise CheckpointError("its pickle is damaged: keyword arguments are not a dict")
        self._call(cls, _members(arguments), kwargs.pairs)

    def _instance(self, argument: Any) -> None:
        arguments = self._pop_to_mark()
        self._call(self._named(*argument.split(" ", 1)), arguments)

    def _object(self, _: Any) -> None:
        taken = self._pop_to_mark()
        self._call(taken[0], taken[1:])

    def _build(self, _: Any) -> None:
        state = self._pop()
        left_out = self._set_state(self._top(), state)
        if left_out:
            self.notes.setdefault(left_out)

    def _refuse(self, _: Any) -> None:
        raise CheckpointError("its pickle refers to registered extensions or buffers outside of itself")

    def _nothing(self, _: Any) -> None:
        pass


def _members(arguments: Any) -> List[Any]:
    if not isinstance(arguments, Series) or arguments.kind != "tuple":
        raise CheckpointError("its pickle is damaged: arguments are not a tuple")
    return arguments.items


def _constants() -> Dict[str, Callable[[Machine, Any], None]]:
    made: Dict[str, Tuple[Callable[[], Any], ...]] = {
        "NONE": (lambda: None,),
        "NEWTRUE": (lambda: True,),
        "NEWFALSE": (lambda: False,),
        "EMPTY_LIST": (lambda: Series("list", []),),
        "EMPTY_TUPLE": (lambda: Series("tuple", []),),
        "EMPTY_SET": (lambda: Series("set", []),),
        "EMPTY_DICT": (lambda: Table("dict", []),),
    }

    def pushing(make: Callable[[], Any]) -> Callable[[Machine, Any], None]:
        return lambda machine, _: machine._push(make())

    return {name: pushing(make) for name, (make,) in made.items()}


# What is defined above this line is all that a pickle can make happen.
_M = Machine
_DO: Dict[str, Callable[[Machine, Any], None]] = {
    **_constants(),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _M._push_integer),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _M._push),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _M._push),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), _M._push),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _M._push_old_text),
    "BYTEARRAY8": lambda machine, value: machine._push(bytes(value)),
    "MARK": _M._mark,
    "POP": _M._drop,
    "POP_MARK": _M._drop_to_mark,
    "DUP": lambda machine, _: machine._push(machine._top()),
    "LIST": lambda machine, _: machine._push(Series("list", machine._pop_to_mark())),
    "TUPLE": lambda machine, _: machine._push(Series("tuple", machine._pop_to_mark())),
    "FROZENSET": lambda machine, _: machine._push(Series("frozenset", machine._pop_to_mark())),
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "DICT": _M._table,
    "APPEND": lambda machine, _: machine._extend([machine._pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine._extend(machine._pop_to_mark()),
    "SETITEM": lambda machine, _: machine._set_items([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_to_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _M._put),
    "MEMOIZE": _M._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _M._get),
    "GLOBAL": _M._global,
    "STACK_GLOBAL": _M._stack_global,
    "REDUCE": _M._reduce,
    "NEWOBJ": _M._reduce,
    "NEWOBJ_EX": _M._new_with_keywords,
    "INST": _M._instance,
    "OBJ": _M._object,
    "BUILD": _M._build,
    "BINPERSID": lambda machine, _: machine._push(machine._persistent(machine._pop())),
    **dict.fromkeys(("PERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"), _M._refuse),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _M._nothing),
}
