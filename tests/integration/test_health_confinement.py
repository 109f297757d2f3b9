"""The health check of a build runs strangers' packages: it changes nothing but its own folder, and reaches nothing."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.confining import At
from tests.integration.package_index import Server, make_wheel, served
from tests.integration.questions import make_recipe, plan_here

from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.environments.bytecode import take_bytecode
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.errors import BuildError
from stemsep_envs.host.paths import Home
from stemsep_envs.provisioning.build_confinement import BuildConfinement
from stemsep_envs.sandbox.policy import LevelName

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="the levels are Linux's"),
]

ATTACK = """
import os, socket, sys
def attempt(act):
    try:
        act()
    except Exception as error:
        print(error, file=sys.stderr)
def write(path, text="x = 1\\n"):
    with open(path, "a") as stream:
        stream.write(text)
here = os.path.dirname(__file__)
attempt(lambda: write(__file__, "# changed\\n"))
attempt(lambda: write(os.path.join(os.path.dirname(here), "planted.pth")))
attempt(lambda: write(os.path.join(os.path.dirname(here), "tempo", "__init__.py"), "# changed\\n"))
attempt(lambda: write({marker!r}))
attempt(lambda: write(os.path.join({folder!r}, "stolen"), open({secret!r}).read()))
attempt(lambda: socket.create_connection(("127.0.0.1", {port}), 2).close())
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def server(tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "secret").write_text("secret")
    code = ATTACK.format(
        marker=str(outside / "marker"),
        folder=str(outside),
        secret=str(outside / "secret"),
        port=listener.getsockname()[1],
    )
    make_wheel(tmp_path / "index" / "beats", "beats", "1.0", ["tempo"], code=code)
    make_wheel(tmp_path / "index" / "tempo", "tempo", "1.1")
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/index")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        yield running


def built(tmp_path: Path, confine: At | BuildConfinement | None) -> Environment:
    recipe = make_recipe(torch=None, packages=["beats"], health={"imports": ["tempo", "beats"]})
    home = Home(tmp_path / "home")
    return ensure_environment(plan_here(recipe, home), home=home, confine=confine)


def was_reached(listener: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False


def test_the_attack_works_where_nothing_stops_it(server: Server, tmp_path: Path, listener: socket.socket) -> None:
    with contextlib.suppress(BuildError):  # the changed files are found, by and by
        built(tmp_path, None)
    assert (tmp_path / "outside" / "marker").exists()
    assert "secret" in (tmp_path / "outside" / "stolen").read_text()
    assert was_reached(listener)


@pytest.mark.parametrize("level", ["namespaces", "landlock"])
def test_a_package_reaches_nothing_while_it_is_checked(
    server: Server, tmp_path: Path, listener: socket.socket, level: LevelName
) -> None:
    environment = built(tmp_path, At(level))
    assert environment.receipt.health.confined_by == level
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["secret"]
    assert not was_reached(listener)
    packages = next((environment.dir / "venv").glob("lib/*/site-packages"))
    assert not list(packages.glob("planted*"))
    # Nor is the package cache changed, with which the environment may share files.
    for module in (*packages.glob("*/__init__.py"), *(tmp_path / "cache").rglob("*/__init__.py")):
        assert "# changed" not in module.read_text().splitlines()
    compiled = list(packages.glob("*/__pycache__/*.pyc"))
    assert {path.parent.parent.name for path in compiled} >= {"beats", "tempo"}
    assert {path.stat().st_uid for path in compiled} == {environment.dir.stat().st_uid}
    assert not list(environment.dir.glob("health-*"))


def test_the_program_confines_as_well_as_it_can(server: Server, tmp_path: Path) -> None:
    confine = BuildConfinement(Home(tmp_path / "home"))
    environment = built(tmp_path, confine)
    assert environment.receipt.health.confined_by == confine.level != "container"


def test_only_bytecode_of_modules_that_are_there_is_taken(tmp_path: Path) -> None:
    venv = tmp_path / "environment" / "venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "lib" / "there.py").touch()
    (tmp_path / "secret").write_text("secret")
    (venv / "elsewhere").symlink_to(tmp_path)
    tree = tmp_path / "tree"
    base = tree / venv.relative_to("/")
    (base / "lib").mkdir(parents=True)
    (base / "elsewhere").mkdir()
    (base / "lib" / "there.cpython-311.pyc").write_bytes(b"good")
    (base / "lib" / "there.cpython-312.pyc").symlink_to(tmp_path / "secret")
    (base / "lib" / "there.cpython-313.pyc").hardlink_to(tmp_path / "secret")
    (base / "lib" / "missing.cpython-311.pyc").write_bytes(b"bad")
    (base / "lib" / "there.py").write_bytes(b"bad")
    (base / "elsewhere" / "there.cpython-311.pyc").write_bytes(b"bad")
    assert take_bytecode(tree, venv) == 1
    assert [path.name for path in (venv / "lib" / "__pycache__").iterdir()] == ["there.cpython-311.pyc"]
    assert (venv / "lib" / "there.py").read_bytes() == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment", "secret", "tree"]


def test_bytecode_is_not_taken_from_elsewhere_through_a_link(tmp_path: Path) -> None:
    """A confined check may put a link where a folder of its bytecode should be."""
    venv, other = tmp_path / "environment" / "venv", tmp_path / "other"
    for folder in (venv, other):
        folder.mkdir(parents=True)
    (venv / "there.py").touch()
    (other / "there.cpython-311.pyc").write_bytes(b"of another environment")
    scratch = tmp_path / "scratch"
    base = scratch / "bytecode" / venv.relative_to("/")
    base.parent.mkdir(parents=True)
    base.symlink_to(other)
    assert take_bytecode(scratch / "bytecode", venv) == 0
    assert (other / "there.cpython-311.pyc").read_bytes() == b"of another environment"
