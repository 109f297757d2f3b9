"""What of an installed Python a worker is shown: never a user's home."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stemsep_envs.host.interpreter_files import parts_of, readable_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="homes and links of POSIX")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a secret, and one where managed Pythons are."""
    home = tmp_path / "user"
    (home / ".local" / "share" / "keyrings").mkdir(parents=True)
    (home / ".local" / "share" / "keyrings" / "login.keyring").write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    return home


def installed(prefix: Path) -> Path:
    for folder in ("bin", "lib/python3.11", "share"):
        (prefix / folder).mkdir(parents=True, exist_ok=True)
    (prefix / "bin" / "python3.11").touch()
    (prefix / "lib" / "libpython3.11.so.1.0").touch()
    return prefix / "bin" / "python3.11"


def shows(paths: tuple[Path, ...], file: Path) -> bool:
    return any(path == file or path in file.parents for path in paths)


@pytest.mark.parametrize("prefix", [".", ".local"])
def test_interpreter_in_a_home_shows_its_parts_only(home: Path, prefix: str) -> None:
    executable = installed(home / prefix)
    (home / prefix / "bin" / "other-tool").touch()
    found = readable_for(executable, home / prefix)
    assert shows(found, home / prefix / "lib" / "python3.11" / "os.py")
    assert shows(found, home / prefix / "lib" / "libpython3.11.so.1.0")
    assert shows(found, executable)
    assert not shows(found, home / ".local" / "share" / "keyrings" / "login.keyring")
    assert not shows(found, home / prefix / "bin" / "other-tool")


def test_a_link_in_a_home_shows_itself_and_where_it_leads(home: Path) -> None:
    real = installed(home / ".local" / "share" / "uv" / "python" / "cpython-3.11")
    link, again = home / ".local" / "bin" / "python3.11", home / "bin" / "python3"
    for path, target in ((link, real), (again, link)):
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target)
    assert readable_for(again) == (real.parents[1], again, link)


def test_an_interpreters_own_folder_is_shown_whole(home: Path) -> None:
    real = installed(home / ".pyenv" / "versions" / "3.11.7")
    venv = home / "work" / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(real)
    assert readable_for(venv / "bin" / "python", venv, real.parents[1]) == (real.parents[1], venv)


def test_links_in_a_circle_have_an_end(home: Path) -> None:
    (home / "python").symlink_to("python")
    with pytest.raises((OSError, RuntimeError)):
        readable_for(home / "python")


@pytest.mark.parametrize("root", ["/", "/home", "/home/someone", "/home/someone/.local", "/Users/someone"])
def test_what_others_share_is_not_shown_whole(home: Path, root: str) -> None:
    assert Path(root) not in parts_of(Path(root))


def test_what_lies_above_the_home_is_not_shown_whole(home: Path) -> None:
    assert parts_of(home.parent) == ()
