"""What stands for everything in a checkpoint that is not data."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple


class Inert:
    """A class, a function, or what would have come of calling one. Nothing was imported and nothing was called.

    Attributes:
        name: "module.qualname" of what the checkpoint names.
        args: The arguments it was to be called with; None where it is only named (a class kept as a value, say).
        kwargs: The keyword arguments, of the rare constructors that are given any.
        state: What was to be its state: the attributes by name, for most classes. None where there was none.
        mapping: The items that were to be set, of mappings other than dict; otherwise None.
        sequence: The members that were to be appended, of sequences other than list; otherwise None.
    """

    __slots__ = ("args", "kwargs", "mapping", "name", "sequence", "state")

    def __init__(self, name: str, args: Optional[Tuple[Any, ...]] = None, state: Any = None) -> None:
        self.name = name
        self.args = args
        self.kwargs: Dict[str, Any] = {}
        self.state = state
        self.mapping: Optional[Dict[Any, Any]] = None
        self.sequence: Optional[List[Any]] = None

    def __repr__(self) -> str:
        # Not the arguments: they may hold anything, this object included.
        return f"<inert {self.name}{'' if self.args is None else '(...)'}>"
