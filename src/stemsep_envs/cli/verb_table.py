"""Which verbs there are: the files of `stemsep_envs.cli.verbs`, each with its line of help. None is imported for it.

``run.py`` is ``stemsep-env run``. ``env_list.py`` is ``stemsep-env env list``: what stands before the first underscore
is a group, and ``env.py`` holds nothing but the group's line of help. The line is the first of a file's docstring.
"""

from __future__ import annotations

import os

from stemsep_envs.cli import verbs

_USUAL_ORDER = ("run", "ensure", "preflight", "lock", "env", "registry", "artifacts", "doctor")
"""The order in which people meet the verbs; those that are not named here come after, by name."""

_LINE_BYTES = 1000
_QUOTES = '"""'


def verb_modules(group: str | None = None) -> dict[str, str]:
    """Return the name of the module below `stemsep_envs.cli.verbs` of each verb and group, in the order of the help.

    Args:
        group: The group whose verbs are wanted; None for what stands at the top.
    """
    beginning = "" if group is None else f"{group}_"
    found = {}
    for module in _modules():
        name = module[len(beginning) :].replace("_", "-")
        if module.startswith(beginning) and (group is not None or "_" not in module):
            found[name] = module
    return dict(sorted(found.items(), key=lambda item: _place(item[0]) if group is None else (0, item[0])))


def is_group(name: str) -> bool:
    """Say whether there are verbs below a name."""
    return any(module.startswith(f"{name}_") for module in _modules())


def help_lines(group: str | None = None) -> dict[str, str]:
    """Return the line of help of each verb and group, in the order of the help; see `verb_modules`."""
    return {name: help_line(module) for name, module in verb_modules(group).items()}


def help_line(module: str) -> str:
    """Return a verb's line of help, which its file begins with.

    Raises:
        ValueError: It does not begin with a docstring.
    """
    for folder in verbs.__path__:
        path = os.path.join(folder, f"{module}.py")  # noqa: PTH118 - pathlib takes longer to load than all of this
        if os.path.isfile(path):  # noqa: PTH113
            with open(path, encoding="utf-8") as stream:  # noqa: PTH123
                _, quotes, rest = stream.readline(_LINE_BYTES).rstrip().partition(_QUOTES)
            if quotes:
                return rest.removesuffix(_QUOTES)
    raise ValueError(f"the verb {module} does not say in its docstring what it is for")


def _modules() -> list[str]:
    files = [name for folder in verbs.__path__ for name in os.listdir(folder)]  # noqa: PTH208
    return sorted(name.removesuffix(".py") for name in files if name.endswith(".py") and not name.startswith("_"))


def _place(name: str) -> tuple[int, str]:
    return (_USUAL_ORDER.index(name) if name in _USUAL_ORDER else len(_USUAL_ORDER), name)
