"""Homes as people have them: on odd and long paths, behind links, read-only, moved, and sharing a package cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration import tiny

from stemsep_envs.environments import environment_store
from stemsep_envs.environments.gc import Rules, collect
from stemsep_envs.environments.verifying import verify
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.paths import Home

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="paths and permissions as POSIX has them"),
]


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tiny.offer_wheels(tmp_path, monkeypatch)


def imports(home: Home, digest: str) -> bool:
    python = environment_store.python_path(environment_store.environment_dir(home, digest))
    return subprocess.run([python, "-I", "-B", "-c", "import alpha, beta"], check=False).returncode == 0


@pytest.mark.parametrize(
    "name", ["with spaces and ümläüts 音", "l" * 120 + "/" + "o" * 80, 'it\'s "quoted" $HOME %20;#']
)
def test_odd_paths(tmp_path: Path, wheels: Path, name: str) -> None:
    home = Home(tmp_path / name)
    built = tiny.ensured(home, wheels, "one")
    assert imports(home, built.digest)
    assert verify(home, built.digest).differences == ()
    collect(home, Rules(max_age_seconds=0), served=(), dry_run=False)
    assert environment_store.list_environments(home) == ()


def test_behind_a_link(tmp_path: Path, wheels: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    built = tiny.ensured(Home(tmp_path / "link"), wheels, "one")
    for home in (Home(tmp_path / "link"), Home(tmp_path / "real")):
        assert verify(home, built.digest).differences == ()
        assert tiny.ensured(home, wheels, "one").reused


def test_a_moved_home_verifies_and_works(tmp_path: Path, wheels: Path) -> None:
    built = tiny.ensured(Home(tmp_path / "before"), wheels, "one")
    (tmp_path / "before").rename(tmp_path / "after")
    home = Home(tmp_path / "after")
    assert verify(home, built.digest).differences == ()
    assert tiny.ensured(home, wheels, "one").reused
    assert imports(home, built.digest)
    assert not tiny.ensured(home, wheels, "two", offline=True).reused


def test_copied_home_verifies_and_shares_no_cache(tmp_path: Path, wheels: Path) -> None:
    built = tiny.ensured(Home(tmp_path / "before"), wheels, "one")
    subprocess.run(["cp", "-r", tmp_path / "before", tmp_path / "after"], check=True)
    home = Home(tmp_path / "after")
    assert verify(home, built.digest).differences == ()
    assert verify(home, built.digest, quick=True).differences == ()
    assert imports(home, built.digest)


def test_two_homes_share_a_cache(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    one, two = Home(tmp_path / "one"), Home(tmp_path / "two")
    first = tiny.ensured(one, wheels, "one")
    second = tiny.ensured(two, wheels, "one", offline=True)
    assert first.digest == second.digest
    collect(one, Rules(max_age_seconds=0), served=(), dry_run=False)
    assert verify(two, second.digest).differences == ()
    assert not tiny.ensured(one, wheels, "one", offline=True).reused


def test_a_cache_that_one_home_spoiled_harms_no_other(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    one, two = Home(tmp_path / "one"), Home(tmp_path / "two")
    tiny.ensured(one, wheels, "one")
    tiny.spoil(one, wheels, "one")
    second = tiny.ensured(two, wheels, "two")
    assert verify(two, second.digest).differences == ()
    (late,) = second.dir.glob("venv/lib/python3.*/site-packages/alpha/late.py")
    assert b"spoiled" not in late.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a folder read-only, as root")
def test_a_read_only_home_is_used_and_not_built_in(tmp_path: Path, wheels: Path) -> None:
    home = Home(tmp_path / "home")
    built = tiny.ensured(home, wheels, "one")
    mounted = subprocess.run(["mount", "--bind", home.root, home.root], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", home.root], check=True)
        assert tiny.ensured(home, wheels, "one").reused
        with environment_store.in_use(home, built.digest):
            assert imports(home, built.digest)
        assert verify(home, built.digest).differences == ()
        for act in (
            lambda: tiny.ensured(home, wheels, "two"),
            lambda: collect(home, Rules(max_age_seconds=0), served=(), dry_run=False),
        ):
            with pytest.raises(StemsepEnvError, match="read-only") as caught:
                act()
            assert caught.value.code == "not_writable"
    finally:
        subprocess.run(["umount", home.root], check=True)
    assert verify(home, built.digest).differences == ()
