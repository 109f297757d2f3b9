"""Whether a built environment works: its modules import, its distributions fit each other.

The imports run in the environment's own interpreter, isolated, with next to no variables and a throw-away home. As
they leave their bytecode behind, they also make the environment import at full speed once it is read-only
(docs/decisions/0005).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from stemsep_envs.documents.base import Document, parse_json
from stemsep_envs.documents.environment import HealthReport
from stemsep_envs.documents.fields import Field
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.bytecode import take_bytecode
from stemsep_envs.environments.confining import Confine
from stemsep_envs.errors import BuildError, InvalidDocumentError
from stemsep_envs.host.child_environ import private_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import describe_exit
from stemsep_envs.host.interpreter_files import readable_for
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.host.write_errors import explained

_IMPORT_SECONDS = 900.0
_OUTPUT_CHARACTERS = 6000

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


class ImportAnswer(Document):
    """What a process that imported modules says: the seconds each took, and the version of its interpreter."""

    imports: Mapping[str, Annotated[float, Field(ge=0)]]
    version: Annotated[str, Field(max_length=40)]


@dataclass(frozen=True)
class Checked:
    """What the health check found: the report for the receipt, and the version the interpreter gives itself."""

    report: HealthReport
    python_version: str


def check_health(
    environment: Path,
    imports: tuple[str, ...],
    *,
    interpreter: Interpreter,
    what: str,
    excluded: Collection[str] = (),
    confine: Confine | None = None,
) -> Checked:
    """Check a built environment.

    Args:
        environment: Its folder; a scratch folder is made in it for as long as the check runs.
        imports: Modules that must import.
        interpreter: The Python it was made from.
        what: What is checked, in words.
        excluded: Distributions that are missing on purpose.
        confine: Confines the imports, which run the packages' code; None runs them as this program runs.

    Raises:
        BuildError: A module does not import, or distributions contradict each other.
    """
    python = environment_store.python_path(environment)
    with scratch_dir(environment, "health-") as scratch:
        if confine is None:
            answer = import_all(python, imports, scratch, what)
        else:
            answer = _import_beside(environment, imports, scratch, what, confine)
    _refuse_contradictions(environment, interpreter, what, excluded)
    confined_by = None if confine is None else confine.level
    report = HealthReport(imports=answer.imports, dependencies_consistent=True, confined_by=confined_by)
    return Checked(report, answer.version)


def _refuse_contradictions(environment: Path, interpreter: Interpreter, what: str, excluded: Collection[str]) -> None:
    """Compare the distributions with what each says it needs, without running anything of theirs."""
    from stemsep_envs.environments.consistency import contradictions, installed_in  # noqa: PLC0415 - only builds ask

    found = contradictions(
        installed_in(environment_store.site_packages(environment)),
        implementation=interpreter.implementation,
        python=interpreter.version,
        excluded=excluded,
    )
    if found:
        raise BuildError(
            f"{what} was installed and does not fit together: {found[0]}",
            hint="the lock names packages that contradict one another",
            code="unhealthy",
            output="\n".join(found),
        )


def _import_beside(
    environment: Path, imports: tuple[str, ...], scratch: Path, what: str, confine: Confine
) -> ImportAnswer:
    """Import modules confined, and take the bytecode that they leave beside."""
    compiled = scratch / "bytecode"
    beside = (str(environment), str(compiled))
    python = environment_store.python_path(environment)
    answer = import_confined(python, imports, scratch, what, confine, readable=(environment,), beside=beside)
    with explained(environment):
        take_bytecode(compiled, environment / "venv")
    return answer


def import_confined(
    python: Path,
    imports: tuple[str, ...],
    scratch: Path,
    what: str,
    confine: Confine,
    *,
    readable: Sequence[Path],
    beside: tuple[str, str] | None = None,
) -> ImportAnswer:
    """Import modules in a process that can write its scratch folder, and reach nothing but what is readable.

    Args:
        python: The interpreter; where it leads to is readable as well.
        imports: The modules.
        scratch: The working folder and home of the process.
        what: What is checked, in words.
        confine: The confinement.
        readable: What the modules are read from.
        beside: A folder, and the one that the bytecode of its modules goes to; without, none is compiled.

    Raises:
        BuildError: One does not import.
    """
    if beside is None:
        argv = (str(python), "-I", "-B", "-c", _IMPORTS, *imports)
    else:
        argv = (str(python), "-I", "-c", _BYTECODE_BESIDE + _IMPORTS, *beside, *imports)
    every = (*readable, *readable_for(python))
    with confine(argv, env=_environment(scratch), readable=every, writable=scratch) as command:
        shown = import_command(python, imports, scratch, bytecode=beside is not None)
        return _answer_of(run(command, timeout_seconds=_IMPORT_SECONDS), imports, shown, what)


def import_command(python: Path, imports: tuple[str, ...], scratch: Path, *, bytecode: bool = True) -> Command:
    """Return the command that imports the modules and answers with the seconds each took."""
    options = ("-I",) if bytecode else ("-I", "-B")
    return Command((str(python), *options, "-c", _IMPORTS, *imports), _environment(scratch), scratch)


def import_all(
    python: Path, imports: tuple[str, ...], scratch: Path, what: str, *, bytecode: bool = True
) -> ImportAnswer:
    """Import modules in a new process.

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
    return _answer_of(run(command, timeout_seconds=_IMPORT_SECONDS), imports, command, what)


def _answer_of(done: Completed, imports: tuple[str, ...], command: Command, what: str) -> ImportAnswer:
    """Read the answer as what it is: the word of code that anyone may have written."""
    try:
        answer = parse_json(done.stdout, ImportAnswer, origin=what) if done.status == 0 else None
    except InvalidDocumentError:
        answer = None
    if answer is None or answer.imports.keys() != set(imports):
        words = done.stderr.strip()[-_OUTPUT_CHARACTERS:]
        last = words.splitlines()[-1] if words else describe_exit(done.status)
        raise BuildError(
            f"{what} was installed and does not work: {last}",
            hint="the lock names packages that do not run together here; the line that repeats it runs them unconfined",
            code="unhealthy",
            output=words,
            command=command.shown(),
        )
    return answer


def _environment(scratch: Path) -> dict[str, str]:
    """Return next to nothing: what the user has set must not decide whether an environment is healthy."""
    private = private_variables(os.environ, home=scratch, temporary=scratch, path="/usr/bin:/bin")
    return {**private, "XDG_CACHE_HOME": str(scratch), "MPLCONFIGDIR": str(scratch)}
