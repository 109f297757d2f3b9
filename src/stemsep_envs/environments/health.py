"""Whether a built environment works: its modules import, its distributions fit each other.

The imports run in the environment's own interpreter, isolated, with next to no variables and a throw-away home. As
they leave their bytecode behind, they also make the environment import at full speed once it is read-only
(docs/decisions/0005).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from stemsep_envs.documents.environment import HealthReport
from stemsep_envs.environments import store, uv
from stemsep_envs.environments.bytecode import take_bytecode
from stemsep_envs.environments.confining import Confine
from stemsep_envs.errors import BuildError
from stemsep_envs.host import files
from stemsep_envs.host.files import scratch_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.processes import Command, Completed, run, words_for_status

_IMPORT_SECONDS = 900.0
_CHECK_SECONDS = 120.0
_OUTPUT_CHARACTERS = 6000
_MISSING = re.compile(r"The package `[^`]+` requires `(?P<name>[A-Za-z0-9._-]+)[^`]*`, but it's not installed")
_COUNT = re.compile(r"(Found \d+ incompatibilit(y|ies)|Checked \d+ packages? in .*|Using Python .*)")

_IMPORTS = """
import os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import importlib, json, time
seconds = {}
for name in sys.argv[1:]:
    began = time.perf_counter()
    importlib.import_module(name)
    seconds[name] = round(time.perf_counter() - began, 4)
answer.write(json.dumps({"imports": seconds, "version": "%d.%d.%d" % sys.version_info[:3]}))
answer.close()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"""
"""Answers on the original stdout; what modules print goes to stderr. Ends at once: taking torch down again takes a
third as long as importing it."""

_BYTECODE_BESIDE = """
import sys, _frozen_importlib_external as external
root, beside = sys.argv[1:3]
del sys.argv[1:3]
inner = external.cache_from_source
def cache_from_source(path, *options, **named):
    sys.pycache_prefix = beside if path.startswith(root) else None
    return inner(path, *options, **named)
external.cache_from_source = cache_from_source
for module in list(sys.modules.values()):
    if (getattr(module, "__file__", None) or "").startswith(root):
        module.__loader__.get_code(module.__name__)
"""
"""Puts the bytecode of modules below a folder into a tree beside, also of those that ``.pth`` files loaded before.

As an option (``-X pycache_prefix``) that holds for the standard library too: the bytecode that it has would not be
used, and compiling it takes a sixth of a build.
"""


@dataclass(frozen=True)
class Checked:
    """What the health check found: the report for the receipt, and the version the interpreter gives itself."""

    report: HealthReport
    python_version: str


def check_health(
    environment: Path,
    imports: tuple[str, ...],
    *,
    home: Home,
    what: str,
    excluded: tuple[str, ...] = (),
    confine: Confine | None = None,
) -> Checked:
    """Check a built environment.

    Args:
        environment: Its folder; a scratch folder is made in it for as long as the check runs.
        imports: Modules that must import.
        home: Whose package cache the dependency check uses.
        what: What is checked, in words.
        excluded: Distributions that are missing on purpose.
        confine: Confines the imports, which run the packages' code; None runs them as this program runs.

    Raises:
        BuildError: A module does not import, or distributions contradict each other.
    """
    python = store.python_path(environment)
    with scratch_dir(environment, "health-") as scratch:
        if confine is None:
            answer = import_all(python, imports, scratch, what)
        else:
            answer = _import_confined(environment, imports, scratch, what, confine)
    try:
        uv.call_uv(
            check_arguments(python),
            home=home,
            what=f"the dependency check of {what}",
            offline=True,
            timeout_seconds=_CHECK_SECONDS,
        )
    except BuildError as error:
        if not only_missing(error.output, excluded):
            raise
    seconds = {str(name): float(str(value)) for name, value in dict(answer["imports"]).items()}
    confined_by = None if confine is None else confine.level
    report = HealthReport(imports=seconds, dependencies_consistent=True, confined_by=confined_by)
    return Checked(report, str(answer["version"]))


def _import_confined(
    environment: Path, imports: tuple[str, ...], scratch: Path, what: str, confine: Confine
) -> dict[str, dict[str, object]]:
    """Import modules in a process that can read the environment, write its scratch folder, and reach nothing else."""
    python, compiled = store.python_path(environment), scratch / "bytecode"
    argv = (str(python), "-I", "-c", _BYTECODE_BESIDE + _IMPORTS, str(environment), str(compiled), *imports)
    links = (python.readlink(),) if python.is_symlink() else ()  # its target may be a link too, elsewhere
    bases = dict.fromkeys(path.parents[1] for path in (python.resolve(), *links) if path.is_absolute())
    with confine(argv, env=_environment(scratch), readable=(environment, *bases), writable=scratch) as command:
        shown = import_command(python, imports, scratch)
        answer = _answer_of(run(command, timeout_seconds=_IMPORT_SECONDS), shown, what)
    with files.explained(environment):
        take_bytecode(compiled, environment / "venv")
    return answer


def check_arguments(python: Path) -> tuple[str, ...]:
    """Return uv's arguments that compare the distributions with what each says it needs."""
    return ("pip", "check", "--quiet", "--python", str(python))


def only_missing(words: str, excluded: tuple[str, ...]) -> bool:
    """Say whether what uv found wrong is no more than that distributions are missing which were left out on purpose."""
    found = [line for line in words.splitlines() if line.strip()]
    told = [match for match in map(_MISSING.fullmatch, found) if match and canonicalize_name(match["name"]) in excluded]
    return bool(told) and len(found) == len(told) + sum(_COUNT.fullmatch(line) is not None for line in found)


def import_command(python: Path, imports: tuple[str, ...], scratch: Path, *, bytecode: bool = True) -> Command:
    """Return the command that imports the modules and answers with the seconds each took."""
    options = ("-I",) if bytecode else ("-I", "-B")
    return Command((str(python), *options, "-c", _IMPORTS, *imports), _environment(scratch), scratch)


def import_all(
    python: Path, imports: tuple[str, ...], scratch: Path, what: str, *, bytecode: bool = True
) -> dict[str, dict[str, object]]:
    """Import modules in a new process; return the seconds each took, and the version of the interpreter.

    Args:
        python: The interpreter.
        imports: The modules.
        scratch: The working folder and home of the process.
        what: What is checked, in words.
        bytecode: Whether compiled bytecode is left beside the modules.

    Raises:
        BuildError: One does not import.
    """
    command = import_command(python, imports, scratch, bytecode=bytecode)
    return _answer_of(run(command, timeout_seconds=_IMPORT_SECONDS), command, what)


def _answer_of(done: Completed, command: Command, what: str) -> dict[str, dict[str, object]]:
    try:
        answer = json.loads(done.stdout) if done.status == 0 else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        words = done.stderr.strip()[-_OUTPUT_CHARACTERS:]
        last = words.splitlines()[-1] if words else words_for_status(done.status)
        raise BuildError(
            f"{what} was installed and does not work: {last}",
            hint="the lock names packages that do not run together here",
            code="unhealthy",
            output=words,
            command=command.shown(),
        )
    return answer


def _environment(scratch: Path) -> dict[str, str]:
    """Return next to nothing: what the user has set must not decide whether an environment is healthy."""
    place = str(scratch)
    system = {
        name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ
    }  # Windows starts nothing without
    return {
        **system,
        "PATH": "/usr/bin:/bin",
        "HOME": place,
        "USERPROFILE": place,
        "TMPDIR": place,
        "TEMP": place,
        "TMP": place,
        "XDG_CACHE_HOME": place,
        "MPLCONFIGDIR": place,
        "LANG": "C.UTF-8",
    }
