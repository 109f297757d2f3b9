"""The attacks are carried out once per level and user, all in one program; each test looks at the result of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.sandbox.engine import private_docker
from tests.sandbox.table import MOST_USERS

from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import LevelName

HERE = Path(__file__).parent
UNPRIVILEGED_UID = 61_000


def require(condition: bool, what: str) -> None:
    """Skip where a component is missing; in CI fail: there every level is truly tested."""
    if not condition:
        if os.environ.get("CI"):
            pytest.fail(f"{what} (CI is set: every component must be there; run scripts/sandbox-deps)")
        pytest.skip(what)


def python_as(user: str, stage: Path, script: Path, *arguments: str) -> list[str]:
    """The command that runs a Python program as ``root`` or as an unprivileged ``user``, whoever runs the tests."""
    if user == "root" or os.geteuid() != 0:
        return [sys.executable, str(script), *arguments]
    return [sys.executable, str(HERE / "as_user.py"), str(UNPRIVILEGED_UID), str(stage), str(script), *arguments]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that an unprivileged user can reach, for the interpreter to be shown at."""
    folder = Path("/tmp") / f"stemsep-env-stage-{os.getpid()}"
    folder.mkdir()
    yield folder
    folder.rmdir()


@pytest.fixture(params=MOST_USERS)
def user(request: pytest.FixtureRequest) -> str:
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("the tests are not run by root; run them once more as root")
    return str(request.param)


@cache
def _available(level: LevelName) -> str | None:
    found = level_named(level).measure()
    return None if found.available else f"no level {level}: {found.reason}; {found.remedy}"


@pytest.fixture(scope="session")
def docker() -> Iterator[None]:
    """A container engine, for as long as the tests run."""
    with private_docker() as address:
        if address is None:
            pytest.skip("no container engine can be started here (root and dockerd are needed)")
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = address
        yield
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before


BOUNDARIES = (
    pytest.param("container", marks=pytest.mark.xdist_group("docker")),  # one engine is enough
    "namespaces",
    "landlock",
)


@pytest.fixture(params=BOUNDARIES)
def level(request: pytest.FixtureRequest) -> LevelName:
    """A level that is a boundary, and is available."""
    return prepared(request)


@pytest.fixture(params=(*BOUNDARIES, "hygiene"))
def any_level(request: pytest.FixtureRequest) -> LevelName:
    """A level that is available."""
    return prepared(request)


def prepared(request: pytest.FixtureRequest) -> LevelName:
    name: LevelName = request.param
    if name == "container":
        if request.node.callspec.params.get("user") == "user":
            pytest.skip("whoever may use docker is root by it, and its engine sees no private mounts of a user")
        request.getfixturevalue("docker")
    missing = _available(name)
    require(missing is None, missing or "")
    return name


@cache
def _fought(user: str, level: str, stage: Path) -> dict[str, dict[str, Any]]:
    command = python_as(user, stage, HERE / "fight_all.py", level)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


@pytest.fixture
def fought_without(user: str, stage: Path) -> dict[str, dict[str, Any]]:
    """What happened with nothing in the way."""
    return _fought(user, "none", stage)


@pytest.fixture
def fought(user: str, level: LevelName, stage: Path) -> dict[str, dict[str, Any]]:
    """What happened in the level."""
    return _fought(user, level, stage)
