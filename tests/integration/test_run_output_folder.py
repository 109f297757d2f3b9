"""Output folders that cannot be used: refused in clear words before anything is built, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.conftest import PROGRAM, Cli, files_below

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform == "win32", reason="permissions as POSIX has")]

WITHOUT_CAPABILITIES = """
import ctypes, os, sys
capability = 0
while ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0:  # PR_CAPBSET_DROP
    capability += 1
assert capability > 20
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def bound_cli(cli: Cli) -> Cli:
    """The command line of someone whom permissions bind, as they do not bind root."""
    if os.geteuid() != 0:
        return cli
    if sys.platform != "linux":
        pytest.skip("root is bound by no permissions")
    return replace(cli, prefix=(sys.executable, "-c", WITHOUT_CAPABILITIES, PROGRAM))


@pytest.mark.parametrize("named", ["song.wav", "song.wav/below"])
def test_a_file_is_no_folder(cli: Cli, song: Path, empty_home: Path, named: str) -> None:
    before = song.read_bytes()
    done = cli("run", "dsp-hpss", song, "-o", named, "--json", STEMSEP_ENV_HOME=str(empty_home))
    assert done.code == 2
    assert done.document("error")["error"]["code"] in {"not_a_folder", "not_writable"}
    assert "is a file, not a folder" in done.err
    assert song.read_bytes() == before
    assert not (empty_home / "environments").exists()


def test_a_folder_without_a_name_is_not_the_current_one(cli: Cli, song: Path) -> None:
    done = cli("run", "dsp-hpss", song, "-o", "", "--json")
    done.error("usage", 2)
    assert files_below(cli.cwd) == ["song.wav"]


def test_a_folder_that_cannot_be_written(bound_cli: Cli, song: Path, empty_home: Path) -> None:
    locked = bound_cli.cwd / "locked"
    locked.mkdir(mode=0o555)
    for named in ("locked", "locked/below"):
        done = bound_cli("run", "dsp-hpss", "song.wav", "-o", named, "--json", STEMSEP_ENV_HOME=str(empty_home))
        done.error("not_writable", 2)
        assert str(locked) in done.err
    assert list(locked.iterdir()) == []
    assert not (empty_home / "environments").exists()


def test_input_that_may_not_be_read_costs_no_other_its_stems(bound_cli: Cli, write: Callable[..., Path]) -> None:
    write("song.wav", seconds=0.1)
    write("secret.wav", seconds=0.1).chmod(0)
    done = bound_cli("run", "dsp-hpss", "secret.wav", "song.wav", "-o", "out", "--json")
    secret, good = done.document("run")["tracks"]
    assert (secret["error"]["code"], good["status"]) == ("input_unreadable", "done"), good
    assert "ermission denied" in secret["error"]["message"]


def test_a_home_that_cannot_be_written(bound_cli: Cli) -> None:
    locked = bound_cli.cwd / "locked"
    locked.mkdir(mode=0o555)
    done = bound_cli("ensure", "dsp-hpss", "--json", STEMSEP_ENV_HOME=str(locked / "home"))
    done.error("not_writable", 2)
    assert str(locked) in done.err
    advice = bound_cli("doctor", "--json", STEMSEP_ENV_HOME=str(locked / "home")).document("doctor")["advice"]
    assert "home_not_writable" in [finding["code"] for finding in advice]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of a few KiB."""
    mounted: list[Path] = []

    def mount(kibibytes: int) -> Path:
        place = tmp_path / f"disk of {kibibytes}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(place)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("a file system cannot be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
@pytest.mark.parametrize("kibibytes", [40, 300, 360])
def test_a_full_disk(cli: Cli, song: Path, small_disk: Callable[[int], Path], kibibytes: int) -> None:
    disk = small_disk(kibibytes)
    done = cli("run", "dsp-hpss", song, "-o", disk, "--json")
    assert done.code == 7, done
    report = "error" if done.out.startswith('{\n  "schema_version": 1,\n  "error"') else "run"
    found = done.document(report)
    error = found["error"] if report == "error" else found["tracks"][0]["error"]
    assert error["code"] == "no_space"
    assert [name for name in files_below(disk) if not name.endswith("run.json")] == []
    assert files_below(disk) in ([], ["run.json"])


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_disk_that_fills_up_keeps_what_is_finished(
    cli: Cli, write: Callable[..., Path], small_disk: Callable[[int], Path]
) -> None:
    write("short.wav", seconds=0.1)
    write("long.wav", seconds=4)
    write("also short.wav", seconds=0.1)
    disk = small_disk(600)
    done = cli("run", "dsp-hpss", "short.wav", "long.wav", "also short.wav", "-o", disk, "--json")
    tracks = done.document("run")["tracks"]
    assert [track["status"] for track in tracks] == ["done", "failed", "done"]
    assert (done.code, tracks[1]["error"]["code"]) == (7, "no_space")
    assert not (disk / "dsp-hpss" / "long").exists()


def test_the_folder_is_made_with_all_above_it(cli: Cli, song: Path) -> None:
    done = cli("run", "dsp-hpss", song, "-o", "a/b/ç d")
    assert done.code == 0
    assert Path(done.out.splitlines()[0]) == cli.cwd / "a" / "b" / "ç d" / "dsp-hpss" / "song" / "harmonic.wav"
    assert files_below(cli.cwd / "a" / "b" / "ç d") == [
        "dsp-hpss/song/harmonic.wav",
        "dsp-hpss/song/percussive.wav",
        "dsp-hpss/song/run.json",
        "run.json",
    ]
