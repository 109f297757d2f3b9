"""What the stems are called, and which of them are the mix without another."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from .config import instruments, outputs


class Residual(NamedTuple):
    """A stem that is the mix minus one that the model computes."""

    name: str
    of: int


def called(text: str, own: Sequence[str]) -> Dict[str, str]:
    """Other names for a config's instruments, by theirs in lower case, from `other=instrumental,vocals=lead`.

    Raises ValueError, saying what cannot be.
    """
    known = [name.lower() for name in own]
    names: Dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, equals, wanted = (part.strip() for part in pair.partition("="))
        if not name or not equals or not wanted:
            raise ValueError(f"{pair!r} is not NAME=STEM")
        if name.lower() not in known:
            raise ValueError(f"the model has no {name!r}, it has {', '.join(known)}")
        names[name.lower()] = wanted
    result = [names.get(name, name) for name in dict.fromkeys(known)]
    if len(set(result)) < len(result):
        raise ValueError(f"two stems would be called alike: {', '.join(result)}")
    return names


def stem_names(config: Dict[str, Any], mode: str, names_of: Dict[str, str]) -> Tuple[List[str], List[Residual]]:
    """The stems in lower case: those that the model computes, and those that are the mix without one of them.

    As the engine's `--extract_instrumental`: `instrumental` is the mix without the vocals, or without the first stem.
    Where the model computes one of two instruments, the other is the mix without it. An instrument that `names_of`
    calls otherwise has that name; where other is called instrumental, there is no second one.
    """
    computed = outputs(config, mode)
    own = [name.lower() for name in computed]
    names = computed if len(set(own)) < len(own) else [names_of.get(name, name) for name in own]
    residuals: List[Residual] = []
    if "instrumental" not in names:
        residuals.append(Residual("instrumental", own.index("vocals") if "vocals" in own else 0))
    others = [names_of.get(name, name) for name in map(str.lower, instruments(config)) if name not in own]
    if len(names) == 1 and len(others) == 1 and others[0] != "instrumental":
        residuals.append(Residual(others[0], 0))
    return names, residuals
