"""The command line for people: help, version, terminals, pipes, colours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.conftest import Cli

from stemsep_envs import __version__

pytestmark = pytest.mark.integration

COMMANDS = [
    [],
    ["run"],
    ["ensure"],
    ["preflight"],
    ["lock"],
    ["env"],
    ["env", "list"],
    ["env", "show"],
    ["registry"],
    ["registry", "list"],
    ["registry", "show"],
    ["registry", "validate"],
    ["registry", "lint"],
    ["doctor"],
    ["completion"],
]


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out, done.err) == (0, f"stemsep-env {__version__}\n", "")
    module = Cli(cli.cwd, cli.environ, (sys.executable, "-m", "stemsep_envs"))("--version")
    assert module == done


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_80_columns(cli: Cli, command: list[str]) -> None:
    short, long = cli(*command, "-h", COLUMNS="80"), cli(*command, "--help", COLUMNS="80")
    assert (short.code, short.err) == (0, "")
    assert short == long
    assert short.out.startswith(f"Usage: {' '.join(['stemsep-env', *command])} ")
    assert [line for line in short.out.splitlines() if len(line) > 80] == []


def test_nothing_asked_is_answered_with_help(cli: Cli) -> None:
    for command in ([], ["env"], ["registry"]):
        done = cli(*command)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: stemsep-env")
        assert "error" not in done.err


@pytest.mark.parametrize(
    "command", [["doctor"], ["env", "list"], ["registry", "list"], ["ensure", "dsp-hpss"]], ids=" ".join
)
def test_into_a_pipe_it_is_plain(cli: Cli, command: list[str]) -> None:
    done = cli(*command)
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_verbosity(cli: Cli, song: Path) -> None:
    run = ("run", "dsp-hpss", song, "--existing", "overwrite", "-o", "out")
    quiet, plain, most = cli(*run, "-q"), cli(*run), cli(*run, "-vv")
    assert quiet.err == ""
    assert "[1/1] song.wav: 2 stems in" in plain.err
    assert len(most.err) > len(plain.err)
    assert quiet.out == plain.out == most.out


def on_terminal(cli: Cli, *arguments: str | Path, **environ: str) -> tuple[int, str]:
    """Run it with stderr on a terminal of 80 columns; return its exit code and all that came there."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*cli.prefix, *arguments],
        cwd=cli.cwd,
        env={**cli.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:  # Linux: the other side was closed
        pass
    os.close(ours)
    process.communicate(timeout=60)
    return process.returncode, seen.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="opens a terminal as POSIX does")
def test_a_progress_bar_on_a_terminal(cli: Cli, write: Callable[..., Path]) -> None:
    write("song.wav", seconds=20)
    code, seen = on_terminal(cli, "run", "dsp-hpss", "song.wav", "nowhere.wav", "-o", "out")
    assert code == 2
    assert "━" in seen
    assert "song.wav (1/2)" in seen
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert "[1/2] song.wav: 2 stems in" in text
    assert "[2/2] nowhere.wav: " in text
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "the cursor is shown again"


@pytest.mark.skipif(sys.platform == "win32", reason="opens a terminal as POSIX does")
def test_no_color(cli: Cli, write: Callable[..., Path]) -> None:
    write("song.wav", seconds=5)
    _, seen = on_terminal(cli, "run", "dsp-hpss", "song.wav", "-o", "out", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", seen)
    code, plain = on_terminal(cli, "run", "dsp-hpss", "song.wav", "-o", "dumb", TERM="dumb")
    assert code == 0
    assert "2 stems in" in plain


@pytest.mark.parametrize("named", ["relative/folder", "~nobody-such/x"])
def test_a_home_that_is_no_absolute_path(cli: Cli, named: str) -> None:
    cli("env", "list", "--json", STEMSEP_ENV_HOME=named).error("usage", 2)
    cli("ensure", "dsp-hpss", "--json", STEMSEP_ENV_HOME=named).error("usage", 2)
    assert list(cli.cwd.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="becomes a user whom nobody knows")
def test_a_user_without_a_home(cli: Cli) -> None:
    code = "import os; os.setresuid(4321, 4321, 4321); from stemsep_envs.host.paths import find_home; find_home()"
    passed = {name: value for name, value in cli.environ.items() if name not in {"HOME", "STEMSEP_ENV_HOME"}}
    load = "import stemsep_envs.host.paths, platformdirs, pwd, stemsep_envs.errors, platformdirs.unix;"
    done = subprocess.run([sys.executable, "-c", load + code], env=passed, capture_output=True, text=True, check=False)
    assert "this user has no home folder" in done.stderr


def test_a_locale_without_unicode(cli: Cli, write: Callable[..., Path]) -> None:
    write("Ménuet.wav", seconds=0.05)
    done = cli("run", "dsp-hpss", "Ménuet.wav", "-o", "out", "--json", LANG="C", LC_ALL="C", PYTHONCOERCECLOCALE="0")
    assert done.track()["outputs"][0]["path"] == "dsp-hpss/Ménuet/harmonic.wav"
    ascii_only = cli("run", "dsp-hpss", "Ménuet.wav", "-o", "out", "--json", PYTHONIOENCODING="ascii")
    assert ascii_only.track()["status"] == "skipped"


def test_the_folder_one_stands_in_has_no_say(tmp_path: Path) -> None:
    for name in ("click", "pydantic", "json", "stemsep_envs_plugin", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    done = subprocess.run(
        [sys.executable, "-m", "stemsep_envs", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "stemsep-env" in done.stdout
    assert not (tmp_path / "marker").exists()


def test_it_starts_as_a_module_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); "
    program += "os.execv(sys.executable, [sys.executable, '-m', 'stemsep_envs', '--version'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
