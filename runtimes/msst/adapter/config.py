"""A model's YAML config as plain Python values.

Such files come from strangers. They are written for a loader that constructs Python objects by tag; here the one tag
that configs need, `!!python/tuple`, gives a tuple, and every other tag of the kind is refused. Size, depth, and what
aliases multiply to are bounded before anything is constructed. Scalars mean what they mean to the engine's own loader.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import yaml

from .failures import AdapterError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 100_000

_PYTHON = "tag:yaml.org,2002:python/"
_HINT = "The config artifact must be the model's own YAML file."


class ConfigError(AdapterError):
    """A config that cannot be read or that contradicts the registry."""


class _Loader(yaml.SafeLoader):
    """The safe loader and tuples."""


def _tuple(loader: _Loader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.SequenceNode):
        raise ConfigError(f"{_place(node)}: !!python/tuple is not on a list", _HINT)
    return tuple(loader.construct_sequence(node, deep=True))


def _refused(_loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    message = f"{_place(node)}: the tag !!python/{suffix[:100]} asks for a Python object; only !!python/tuple is read"
    raise ConfigError(message, "Take the tag out, or take the config from another source.")


_Loader.add_constructor(_PYTHON + "tuple", _tuple)
_Loader.add_multi_constructor(_PYTHON, _refused)


def read(path: str) -> Dict[str, Any]:
    """The config at `path`."""
    with open(path, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the config is larger than {MAX_BYTES >> 20} MiB", _HINT)
    return parse(data)


def parse(data: bytes) -> Dict[str, Any]:
    """The config in `data`: a mapping, with lists, tuples, strings, numbers, dates and nothing else."""
    try:
        text = data.decode("utf-8-sig")
        _check_events(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise ConfigError("the config is empty", _HINT)
            _check_size(node)
            value = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigError(f"the config is not YAML: {_one_line(error)}", _HINT) from None
    except (ValueError, OverflowError) as error:  # UnicodeDecodeError, absurd numbers and dates
        raise ConfigError(f"the config cannot be read: {_one_line(error)}", _HINT) from None
    if not isinstance(value, dict):
        raise ConfigError("the config is not a mapping", _HINT)
    return value


def _check_events(text: str) -> None:
    """Refuse deep nesting and sheer number without recursion, which what follows is built on."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ConfigError(f"the config is nested more than {MAX_DEPTH} deep", _HINT)
        if count > MAX_NODES:
            raise ConfigError(f"the config has more than {MAX_NODES} parts", _HINT)


def _check_size(root: yaml.Node) -> None:
    """Refuse aliases that lead in circles, or that multiply to more than a config can need."""
    sizes: Dict[int, Optional[int]] = {}

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            known = sizes[id(node)]
            if known is None:
                raise ConfigError(f"{_place(node)}: the config contains itself", _HINT)
            return known
        sizes[id(node)] = None
        total = 1 + sum(map(size, _children(node)))
        if total > MAX_NODES:
            raise ConfigError(f"the aliases of the config multiply to more than {MAX_NODES} parts", _HINT)
        sizes[id(node)] = total
        return total

    size(root)


def _children(node: yaml.Node) -> List[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1} of the config"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def section(config: Dict[str, Any], name: str) -> Dict[str, Any]:
    """A part of the config, which must be a mapping."""
    value = config.get(name)
    if not isinstance(value, dict):
        found = "is missing" if value is None else "is not a mapping"
        raise ConfigError(f"the section {name!r} of the config {found}", _HINT)
    return value


def model_type(config: Dict[str, Any], registered: Optional[str]) -> str:
    """What kind of model it is. The engine lets `training.model_type` win; here the two must agree.

    The registry's word decided which packages the environment has.
    """
    stated = section(config, "training").get("model_type")
    if registered is None and not isinstance(stated, str):
        raise ConfigError(
            "neither the registry nor the config says what type of model this is", "Give the entry runtime.model_type."
        )
    if registered is not None and stated is not None and stated != registered:
        raise ConfigError(
            f"the registry calls the model {registered!r}, training.model_type of its own config {str(stated)[:100]!r}",
            "Correct runtime.model_type of the registry entry.",
        )
    return str(registered if registered is not None else stated)


def instruments(config: Dict[str, Any]) -> List[str]:
    """`training.instruments`: names, at least one."""
    names = section(config, "training").get("instruments")
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError("training.instruments of the config is not a list of names", _HINT)
    return list(names)


def outputs(config: Dict[str, Any], mode: str) -> List[str]:
    """The instruments that the model computes, in its own order.

    With a target instrument it is that one, but for htdemucs, whose mode ("demucs") has all.
    """
    target = section(config, "training").get("target_instrument")
    if target and mode != "demucs":
        return [str(target)]
    return instruments(config)
