"""The launcher's command line, ``[OPTION VALUE...]... -- PROGRAM ARGUMENT...``: parsers are slow to import."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = {
    "parent": 1,  # process id of the host, which the worker must not outlive
    "session": 1,  # a random word that the worker's environment carries, by which strays are found
    "env": 2,  # name and value of a variable of the worker
    "chdir": 1,
    "cgroup": 1,
    "limit": 2,  # word of limits.RESOURCES and value
    "output": 2,  # folder and the most bytes it may hold
    "output-now": 1,  # a file with the most bytes that it may hold at the moment
    "uid": 1,  # become this user first
    "own": 1,  # give this folder to that user
    "stage-read": 1,  # show this path to that user in a private mount namespace
    "stage-write": 1,
    "allow": 2,  # word of landlock.ACCESSES and path
    "seccomp": 1,  # profile
    "shell-statuses": 0,  # 128 + N of the program means that the worker died by signal N
    "afterwards": 1,  # one word of a program's command line that is run once the worker has ended, however it ended
    "bwrap-program": 1,
    "bwrap": 1,  # one argument of bubblewrap
}
"""Every option and how many values it takes. Each may be repeated."""

Options = dict[str, list[list[str]]]


def parse(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Return the options, each with the values of all its uses, and the worker's command line.

    Raises:
        ValueError: The command line is not one the levels make.
    """
    options: Options = {name: [] for name in VALUES}
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            return options, list(arguments[position + 1 :])
        name = word[2:]
        if not word.startswith("--") or name not in VALUES:
            raise ValueError(f"unknown option {word}")
        end = position + 1 + VALUES[name]
        options[name].append(list(arguments[position + 1 : end]))
        position = end
    raise ValueError("no command to run")


def one(options: Options, name: str) -> str | None:
    """Return the single value of an option's last use, or None where it is not used."""
    return options[name][-1][0] if options[name] else None


def each(options: Options, name: str) -> list[str]:
    """Return the single values of all uses of an option."""
    return [values[0] for values in options[name]]
