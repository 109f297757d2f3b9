"""Environments that are built in a tenth of a second, without network: of wheels that are made here.

As a program it does one thing to a home and says what came of it, so that tests can have it done by many processes at
once, and kill them: ``tiny.py HOME WHEELS ACTION ENVIRONMENT``.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stemsep_envs.documents.lock import Lock, LockInputs, Pin
from stemsep_envs.documents.requirements import Party, Range, Requirements
from stemsep_envs.documents.target import Target
from stemsep_envs.environments import environment_store, gc, linking, verifying
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.environments.environment_plan import EnvironmentPlan, environment_inputs
from stemsep_envs.environments.environment_question import EnvironmentQuestion
from stemsep_envs.environments.locking import FoundLock
from stemsep_envs.environments.pythons import PythonChoice
from stemsep_envs.environments.repairing import repair
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.errors import BlockedError, LimitError, StemsepEnvError
from stemsep_envs.host.interpreters import find_interpreters
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home

PACKAGES: Mapping[str, Mapping[str, bytes]] = {
    "alpha": {
        "alpha/__init__.py": b"NAME = 'alpha'\n",
        "alpha/late.py": b"VALUE = 1\n",
        "alpha/data.bin": bytes(range(256)) * 4096,
    },
    "beta": {"beta.py": b"import alpha\n"},
    "gamma": {"gamma/__init__.py": b"import alpha\n", "gamma/more.py": b"MORE = True\n"},
}
ENVIRONMENTS = {"one": ("alpha", "beta"), "two": ("alpha", "gamma"), "three": ("alpha",)}


def make_wheels(folder: Path, *, wrong_record: str | None = None) -> Path:
    """Make the wheel of every package; return their folder. ``wrong_record`` names one whose RECORD lies."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in PACKAGES.items():
        info = f"{name}-1.0.dist-info"
        members = {
            **contents,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [_row(path, data if name != wrong_record else data + b"!") for path, data in members.items()]
        members[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
        with zipfile.ZipFile(wheel_path(folder, name), "w") as wheel:
            for path, data in members.items():
                wheel.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), data)
    return folder


def offer_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, wrong_record: str | None = None) -> Path:
    """Make the wheels, and have nothing else to install from: no index, no cache but the home's own."""
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    return make_wheels(tmp_path / "wheels", wrong_record=wrong_record)


def wheel_path(folder: Path, name: str) -> Path:
    return folder / f"{name}-1.0-py3-none-any.whl"


def _row(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


def planned(home: Home, wheels: Path, name: str) -> EnvironmentPlan:
    """Plan one of the `ENVIRONMENTS`."""
    target = Target(this_machine().platform, "cpu")
    usable = [found for found in find_interpreters(home) if found.release_level == "final" and found.minor >= "3.10"]
    interpreter = next(found for found in usable if not found.free_threaded)
    packages = ENVIRONMENTS[name]
    hashes = {package: hashlib.sha256(wheel_path(wheels, package).read_bytes()).hexdigest() for package in packages}
    inputs = LockInputs(target, interpreter.minor, packages)
    pins = tuple(Pin(package, "1.0", (hashes[package],)) for package in packages)
    lock = FoundLock(Lock(inputs, "tiny 1", "2026-01-01", pins), wheels / f"{name}.txt", "home")
    digest = environment_inputs(interpreter, target, lock, None).digest
    requirements = Requirements(Range(), None, (), (), (), (), (Party("runtime", f"tiny {name}"),), ())
    return EnvironmentPlan(
        question=EnvironmentQuestion("tiny", requirements, target, wheels, health_imports=packages),
        python=PythonChoice(interpreter.minor, interpreter, "the first"),
        lock_inputs=inputs,
        lock=lock,
        digest=digest,
        state="ready" if environment_store.problem_with(home, digest) is None else "to_build",
        reasons=(),
    )


def silent(_: str, __: str) -> None:
    """Report to nobody."""


def ensured(home: Home, wheels: Path, name: str, *, offline: bool = False) -> Environment:
    return ensure_environment(planned(home, wheels, name), home=home, offline=offline)


def use(home: Home, wheels: Path, name: str) -> str:
    """Use an environment as a session that is not confined does: all of its files stay, for as long as it lasts."""
    environment = ensured(home, wheels, name)
    with environment_store.in_use(
        home, environment.digest, prepare=lambda: linking.make_private(home, environment.digest)
    ):
        for _ in range(5):
            time.sleep(0.02)
            assert (environment.dir / environment_store.RECEIPT).is_file() or environment_store.problem_with(
                home, environment.digest
            )
            assert list(environment.dir.glob("venv/lib/python3.*/site-packages/alpha/data.bin"))
    return "used"


def remove(home: Home, wheels: Path, name: str) -> str:
    gc.remove_environment(home, planned(home, wheels, name).digest or "")
    return "removed"


def mend(home: Home, wheels: Path, name: str) -> str:
    digest = planned(home, wheels, name).digest or ""
    if not verifying.verify(home, digest).differences:
        return "nothing to repair"
    repair(home, digest, offline=False, report=silent)
    return "repaired"


def collect(home: Home, wheels: Path, name: str) -> str:
    found = gc.collect(home, gc.Rules(max_age_seconds=0), served=(), dry_run=False)
    return f"{len(found.environments)} removed"


def spoil(home: Home, wheels: Path, name: str) -> str:
    """Write into a file of an environment, in place."""
    folder = environment_store.environment_dir(home, planned(home, wheels, name).digest or "")
    for path in folder.glob("venv/lib/python3.*/site-packages/alpha/late.py"):
        with path.open("ab") as stream:
            stream.write(b"# spoiled\n")
    return "spoiled"


ACTIONS: Mapping[str, Callable[[Home, Path, str], str]] = {
    "ensure": lambda home, wheels, name: "reused" if ensured(home, wheels, name).reused else "built",
    "use": use,
    "remove": remove,
    "repair": mend,
    "gc": collect,
    "spoil": spoil,
}


def main() -> int:
    """Do it; exit 0 also when it is refused, in words, and 1 for anything that is no answer."""
    home, wheels, action, name = sys.argv[1:]
    try:
        sys.stdout.write(ACTIONS[action](Home(Path(home)), Path(wheels), name))
    except (BlockedError, LimitError) as error:
        sys.stdout.write(f"refused: {error.message}")
    except StemsepEnvError as error:
        sys.stdout.write(f"failed: {error.code} {error.message} {getattr(error, 'output', '')}")
        return 0 if error.code in {"environment_gone", "unknown_environment"} else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
