"""The Python interpreters of this machine: where they are, and what each says of itself.

Finding is a walk over known folders; each real executable is asked once by a short process (isolated, without
``site``), and its answer is remembered until the file changes. Wrapper scripts (pyenv's shims) are not asked: the
interpreters they stand for are found where they are installed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from stemsep_envs.errors import StemsepEnvError, UsageError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.child_environ import passed_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.paths import Home
from stemsep_envs.host.processes import run

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 15.0
_MEMORY_FORMAT = 1
_MINORS = range(8, 31)
_Answer = dict[str, object]
"""What an executable says of itself, or ``refused`` and why; with the size and time of the file that said it."""

_PROBE = """
import json, struct, sys, sysconfig
config = sysconfig.get_config_var
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "release_level": sys.version_info[3],
    "implementation": sys.implementation.name,
    "soabi": config("SOABI") or sys.implementation.cache_tag + "-" + sysconfig.get_platform(),
    "platform": sysconfig.get_platform(),
    "bits": struct.calcsize("P") * 8,
    "free_threaded": bool(config("Py_GIL_DISABLED")),
    "base_executable": getattr(sys, "_base_executable", None) or sys.executable,
    "base_prefix": sys.base_prefix,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One installed Python.

    Attributes:
        path: The real executable: no link, no wrapper, not in a virtual environment.
        version: ``3.11.7``.
        release_level: ``final``, ``candidate``, ``beta`` or ``alpha``.
        implementation: ``cpython``, ``pypy``.
        soabi: What its extension modules are built for.
        platform: What ``sysconfig.get_platform()`` says: ``linux-x86_64``.
        bits: Of a pointer: 64, or 32.
        free_threaded: Built without the global lock; takes wheels of its own.
        base_prefix: Where its standard library is.
        size_bytes: Of the executable.
        mtime_ns: When the executable was last changed, in nanoseconds since 1970.
    """

    path: Path
    version: str
    release_level: str
    implementation: str
    soabi: str
    platform: str
    bits: int
    free_threaded: bool
    base_prefix: Path
    size_bytes: int
    mtime_ns: int

    @property
    def minor(self) -> str:
        """``3.11``."""
        return self.version.rpartition(".")[0]

    @property
    def version_key(self) -> tuple[int, ...]:
        """The version for sorting."""
        return tuple(map(int, self.version.split(".")))


def find_interpreters(home: Home, *, environ: Mapping[str, str] | None = None) -> tuple[Interpreter, ...]:
    """Find every Python of this machine that answers, newest first; what does not answer is logged and left out.

    Args:
        home: Where answers are remembered; a home that cannot be written only costs time.
        environ: The environment to look in for PATH and tool folders; this process's by default.
    """
    environ = os.environ if environ is None else environ
    paths = dict.fromkeys(os.path.realpath(candidate) for candidate in _candidates(home, environ))
    answers = _answers(home, paths)
    # The python of a virtual environment stands for the one it was made from.
    bases = dict.fromkeys(
        os.path.realpath(str(answers[path]["base_executable"])) for path in paths if "refused" not in answers[path]
    )
    if not all(base in answers for base in bases):
        answers = _answers(home, {**paths, **bases})
    found = [_interpreter(base, answers[base]) for base in bases if "refused" not in answers[base]]
    return tuple(sorted(found, key=lambda item: item.version_key, reverse=True))


def interpreter_at(path: Path) -> Interpreter:
    """Describe the interpreter behind an executable: of a virtual environment, the one it was made from.

    Raises:
        UsageError: It is not an interpreter, or does not answer.
    """
    try:
        answer = _ask(str(path))
        base = os.path.realpath(str(answer["base_executable"]))
        size_bytes, mtime_ns = _stamp(base)
        return _interpreter(base, {**answer, "size_bytes": size_bytes, "mtime_ns": mtime_ns})
    except (StemsepEnvError, OSError, ValueError, TypeError, KeyError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path} does not answer as a Python interpreter: {words}") from None


def folders_to_search(home: Home, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders in which interpreters are looked for, in order of preference."""
    # A relative entry would mean whatever lies in the folder that one stands in.
    yield from (path for name in environ.get("PATH", "").split(os.pathsep) if (path := Path(name)).is_absolute())
    for tree, pattern in _trees(home, environ):
        for folder in _matching(tree, pattern):
            yield folder / "bin"
            if sys.platform == "win32":
                yield folder
    yield from map(Path, ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"))


def _matching(tree: Path, pattern: str) -> list[Path]:
    try:
        return sorted(tree.glob(pattern), reverse=True)
    except OSError as error:  # another user's, perhaps: no interpreter of ours is there
        _log.debug("cannot look into %s: %s", tree, error)
        return []


def folders_to_watch(home: Home, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders that change when an interpreter comes or goes where one is looked for, also absent ones."""
    yield from folders_to_search(home, environ)
    for tree, _ in _trees(home, environ):
        yield tree


def _trees(home: Home, environ: Mapping[str, str]) -> list[tuple[Path, str]]:
    """Return the folders that hold one folder for each installed Python, and what those are called."""
    user = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    data = Path(environ.get("XDG_DATA_HOME") or user / ".local" / "share")
    trees = [
        (managed_dir(home), "*"),
        (Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"), "*"),
        (Path(environ.get("PYENV_ROOT") or user / ".pyenv") / "versions", "*"),
        (Path("/opt/python"), "*"),
        (Path("/opt"), "python*"),
        (Path("/Library/Frameworks/Python.framework/Versions"), "3.*"),
    ]
    for variable, below in (
        ("LOCALAPPDATA", "Programs/Python"),
        ("PROGRAMFILES", "."),
        ("SYSTEMDRIVE", "/"),
        ("APPDATA", "uv/python"),
    ):
        if environ.get(variable) and sys.platform == "win32":
            trees.append((Path(environ[variable]) / below, "*ython*3*"))
    return trees


def managed_dir(home: Home) -> Path:
    """Return the folder of interpreters that were installed for this home."""
    return home.root / "interpreters"


def _candidates(home: Home, environ: Mapping[str, str]) -> Iterator[str]:
    yield sys.executable
    suffix = ".exe" if sys.platform == "win32" else ""
    names = [f"python{suffix}", f"python3{suffix}", *(f"python3.{minor}{suffix}" for minor in _MINORS)]
    seen: set[str] = set()
    for folder in folders_to_search(home, environ):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - hundreds of these a start: pathlib takes ten times longer
            if path not in seen and os.access(path, os.X_OK):
                seen.add(path)
                yield path


def _answers(home: Home, paths: Iterable[str]) -> dict[str, _Answer]:
    """Return what each executable says of itself, or ``{"refused": why}``; of many processes that begin, one asks."""
    remembered = _recall(home)
    answers = _still_true(remembered, paths)
    unknown = [path for path in paths if path not in answers]
    if not unknown:
        return answers
    with ExitStack() as held:
        try:
            held.enter_context(locks.hold(home.holds_dir / "interpreters"))
        except StemsepEnvError as error:
            _log.debug("asked without a lock: %s", error)
        remembered = _recall(home)
        answers |= _still_true(remembered, unknown)
        new = {path: _answer(path) for path in unknown if path not in answers}
        _remember(home, {**{path: known for path, known in remembered.items() if os.path.lexists(path)}, **new})
    return answers | new


def _still_true(remembered: Mapping[str, _Answer], paths: Iterable[str]) -> dict[str, _Answer]:
    """Return the remembered answers of those paths whose file has not changed since."""
    true = {}
    for path in paths:
        known = remembered.get(path)
        if known is not None and _stamp(path) == (known.get("size_bytes"), known.get("mtime_ns")):
            true[path] = known
    return true


def _stamp(path: str) -> tuple[int | None, int | None]:
    try:
        info = Path(path).stat()
    except OSError:
        return (None, None)
    return (info.st_size, info.st_mtime_ns)


def _answer(path: str) -> _Answer:
    size_bytes, mtime_ns = _stamp(path)
    answer: _Answer
    try:
        answer = _ask(path)
    except (StemsepEnvError, ValueError, TypeError, OSError) as error:
        _log.debug("left out %s: %s", path, error)
        answer = {"refused": str(error)}
    return {**answer, "size_bytes": size_bytes, "mtime_ns": mtime_ns}


def _ask(path: str) -> _Answer:
    with Path(path).open("rb") as stream:
        if stream.read(2) == b"#!":
            raise ValueError("a wrapper script, not an interpreter")
    env = passed_variables("interpreter", os.environ)
    command = Command((path, "-I", "-S", "-c", _PROBE), env, Path(path).parent)
    done = run(command, timeout_seconds=_PROBE_SECONDS)
    if done.status != 0:
        raise ValueError(f"it fails: {done.stderr.strip()[-300:]}")
    answer = json.loads(done.stdout)
    if not isinstance(answer, dict):
        raise TypeError("its answer is not an object")
    return answer


def _interpreter(path: str, answer: _Answer) -> Interpreter:
    return Interpreter(
        path=Path(path),
        version=str(answer["version"]),
        release_level=str(answer["release_level"]),
        implementation=str(answer["implementation"]),
        soabi=str(answer["soabi"]),
        platform=str(answer["platform"]),
        bits=int(str(answer["bits"])),
        free_threaded=bool(answer["free_threaded"]),
        base_prefix=Path(str(answer["base_prefix"])),
        size_bytes=int(str(answer["size_bytes"])),
        mtime_ns=int(str(answer["mtime_ns"])),
    )


def _memory_path(home: Home) -> Path:
    return home.cache_dir / "interpreters.json"


def _recall(home: Home) -> dict[str, _Answer]:
    try:
        memory = json.loads(_memory_path(home).read_bytes())
        if memory["format"] == _MEMORY_FORMAT:
            return {str(path): dict(answer) for path, answer in memory["interpreters"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # never written, or written by nobody we know: ask again
    return {}


def _remember(home: Home, asked: Mapping[str, _Answer]) -> None:
    memory = {"format": _MEMORY_FORMAT, "interpreters": asked}
    try:
        write_atomic(_memory_path(home), json.dumps(memory, indent=1, sort_keys=True).encode())
    except StemsepEnvError as error:
        _log.debug("interpreters are not remembered: %s", error)


def described(interpreters: Iterable[Interpreter]) -> list[dict[str, object]]:
    """Return the interpreters as plain JSON values, for ``doctor`` and reports."""
    return [
        {key: str(value) if isinstance(value, Path) else value for key, value in asdict(item).items()}
        for item in interpreters
    ]
