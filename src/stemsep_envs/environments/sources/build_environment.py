"""Where things are built from source: a locked environment of build requirements, and the sandbox around it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemsep_envs.documents.accelerators import PROCESSOR
from stemsep_envs.documents.builders import DEFAULT_BUILDER
from stemsep_envs.documents.environment import BuilderName, Package
from stemsep_envs.documents.lock import Lock, LockInputs
from stemsep_envs.documents.requirements import Party, Range, Requirements, Source, Want, normalize
from stemsep_envs.documents.target import Target
from stemsep_envs.environments import environment_store, linking, torch_index, uv
from stemsep_envs.environments.builders import TOOLS
from stemsep_envs.environments.builders.installation import Installation
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.resolve_once import resolve_once
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.child_environ import private_variables
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.interpreter_files import readable_for
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home

_EPOCH = "315619200"
"""Archives that a build makes carry this time (2 January 1980, which zip can say), so that equal builds are equal."""


@dataclass(frozen=True)
class BuildContext:
    """What building from source takes, whatever is built.

    Attributes:
        interpreter: The Python that builds, and that what is built is for.
        confine: Confines all that runs. There is no way to build without.
        home: Where locks, sources and built wheels are kept.
        offline: Forbid the network.
        report: Told of each step as it begins.
        builder: What installs the build requirements.
    """

    interpreter: Interpreter
    confine: Confine
    home: Home
    offline: bool
    report: Report
    builder: BuilderName = DEFAULT_BUILDER

    @property
    def bases(self) -> tuple[Path, ...]:
        """What must be readable for the interpreter to run."""
        return readable_for(self.interpreter.path, self.interpreter.base_prefix)


@dataclass(frozen=True)
class BuildEnvironment:
    """An environment that holds what a build needs: its folder, its interpreter, and its distributions."""

    folder: Path
    python: Path
    packages: tuple[Package, ...]


def make_environment(requires: tuple[str, ...], folder: Path, context: BuildContext, *, what: str) -> BuildEnvironment:
    """Make an environment of build requirements: locked by hashes, wheels alone, so that making it runs nothing.

    Args:
        requires: The requirements, checked.
        folder: A folder of its own.
        context: What builds, for which Python, and where.
        what: What is to be built, in words.

    Raises:
        BuildError: Nothing meets the requirements, or it cannot be installed.
        MismatchError: A file is not the one that is locked.
    """
    lock = _locked(requires, context, what=what) if requires else None
    ensure_dir(folder)
    path = folder / environment_store.LOCK
    empty = Lock(_question((), context), "", "", ())
    write_atomic(path, (lock or empty).text().encode())
    tool = TOOLS[context.builder]
    cache = ensure_dir(uv.cache_dir(context.home))
    installation = Installation(
        folder=folder,
        interpreter=context.interpreter.path,
        lock=lock or empty,
        lock_path=path,
        index=torch_index.torch_index_of(lock or empty, home=context.home),
        link_mode=linking.choose_for(context.builder, cache, folder).mode,
        what=f"what the build of {what} needs",
        offline=context.offline,
    )
    tool.create(installation, home=context.home)
    if lock is not None:
        tool.install(installation, home=context.home)
    packages = tuple(Package(name=pin.name, version=pin.version) for pin in (lock or empty).pins)
    return BuildEnvironment(folder, environment_store.python_path(folder), packages)


def build_environ(private_dir: Path, python: Path) -> Mapping[str, str]:
    """Return the whole environment of a build: the system's compilers, its own tools, nothing of the user's."""
    path = os.pathsep.join((str(python.parent), "/usr/local/bin", "/usr/bin", "/bin"))
    temporary = ensure_dir(private_dir / "tmp")
    private = private_variables(os.environ, home=private_dir, temporary=temporary, path=path)
    return {**private, "SOURCE_DATE_EPOCH": _EPOCH}


def _question(requires: tuple[str, ...], context: BuildContext) -> LockInputs:
    names = {canonicalize_name(Requirement(text).name) for text in requires}
    torch = tuple(sorted(names & set(torch_index.FAMILY)))
    target = Target(this_machine().platform, PROCESSOR.example)
    return LockInputs(target, context.interpreter.minor, normalize(requires), torch_packages=torch)


def _locked(requires: tuple[str, ...], context: BuildContext, *, what: str) -> Lock:
    party = Party("build", what)
    asked = Requirements(
        python=Range(),
        torch=None,
        torch_packages=(),
        packages=tuple(Want(text, Source(party, "build-system.requires")) for text in requires),
        accelerators=(PROCESSOR.name,),
        source_distributions=(),
        parties=(party,),
        conflicts=(),
    )
    found = resolve_once(
        _question(requires, context),
        asked,
        home=context.home,
        what=f"what {party} needs",
        offline=context.offline,
        report=context.report,
    )
    return found.lock
