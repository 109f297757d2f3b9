"""The sentences of the uv that is installed, by which its failures are told apart."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.package_index import Server, make_sdist, make_wheel, served

from stemsep_envs.environments import uv, uv_words
from stemsep_envs.host.paths import Home

pytestmark = pytest.mark.integration

SAYINGS = (
    uv_words.is_unsatisfiable,
    uv_words.lacks_wheels,
    uv_words.is_hash_mismatch,
    uv_words.is_unreachable,
    uv_words.would_download,
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    make_wheel(tmp_path / "index" / "beats", "beats", "1.0", ["tempo<2"])
    make_wheel(tmp_path / "index" / "tempo", "tempo", "1.1")
    make_sdist(tmp_path / "index" / "harmonics", "harmonics", "0.7", [])
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/index")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield running


def said(folder: Path, arguments: tuple[str, ...], stdin: str, *, offline: bool = False, fails: bool = True) -> str:
    """Call uv as this program does; return what it says on stderr."""
    command = uv.uv_command(arguments, home=Home(folder / "home"), offline=offline)
    done = subprocess.run(command.argv, env=command.env, input=stdin, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr


def resolving(folder: Path, requirements: str, *, offline: bool = False) -> str:
    return said(folder, ("pip", "compile", "-", "--quiet", "--only-binary", ":all:"), requirements, offline=offline)


def told(output: str) -> set[str]:
    return {saying.__name__ for saying in SAYINGS if saying(output)}


def test_versions_that_exclude_each_other(server: Server, tmp_path: Path) -> None:
    output = resolving(tmp_path, "beats\ntempo>=2\n")
    assert told(output) == {"is_unsatisfiable"}
    assert {"beats", "tempo"} <= uv_words.packages_in(output)


def test_a_package_without_wheels(server: Server, tmp_path: Path) -> None:
    assert told(resolving(tmp_path, "harmonics\n")) == {"is_unsatisfiable", "lacks_wheels"}


def test_what_is_not_cached_offline_is_not_unsatisfiable(server: Server, tmp_path: Path) -> None:
    assert told(resolving(tmp_path, "beats\n", offline=True)) == set()


@pytest.mark.parametrize("how", ["broken", "closed"])
def test_an_index_that_does_not_answer(
    server: Server, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "broken":
        server.broken.add("index")
    else:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    assert told(resolving(tmp_path, "beats\n")) == {"is_unreachable"}


def test_a_file_that_is_not_the_locked_one(server: Server, tmp_path: Path) -> None:
    arguments = ("pip", "install", "--require-hashes", "--target", str(tmp_path / "to"), "--requirements", "-")
    output = said(tmp_path, arguments, f"tempo==1.1 --hash=sha256:{'0' * 64}\n")
    assert told(output) == {"is_hash_mismatch"}


def test_a_file_of_which_only_the_description_is_cached(server: Server, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(next((tmp_path / "index" / "tempo").iterdir()).read_bytes()).hexdigest()
    locked = f"tempo==1.1 --hash=sha256:{sha256}\n"
    common = ("--no-deps", "--require-hashes", "--requirements", "-")
    dry_run = ("pip", "install", "--dry-run", "--target", str(tmp_path / "empty"), *common)
    assert told(said(tmp_path, dry_run, locked, fails=False)) == {"would_download"}
    said(tmp_path, ("pip", "install", "--target", str(tmp_path / "to"), *common), locked, fails=False)
    assert told(said(tmp_path, dry_run, locked, offline=True, fails=False)) == set()
