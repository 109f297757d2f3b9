"""Interrupted by signal and by force: nothing half-made is visible, no process stays, and the next run works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import soundfile
from tests.integration.conftest import LEFTOVER, Cli, files_below, leftovers, noise

from stemsep_envs.host.signals import ENDING_SIGNALS

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="sends signals as POSIX has them"),
]

LONG_SECONDS = 240
"""Enough to be in the middle of for some seconds."""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, noise(LONG_SECONDS), 44100, subtype="PCM_16")
    return path


@pytest.fixture
def start(cli: Cli, song: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a run, in a process group of its own as a shell's job is."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str | Path, **environ: str) -> subprocess.Popen[bytes]:
        started.append(cli.start("run", "dsp-hpss", *arguments, "-o", "out", "--events", "jsonl", "--json", **environ))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_for(stream: IO[bytes] | None, wanted: Callable[[dict[str, object]], bool]) -> list[str]:
    """Read events until one is wanted; return the kinds of those before."""
    assert stream is not None
    seen: list[str] = []
    for line in stream:
        event = json.loads(line)
        seen.append(event["event"])
        if wanted(event):
            return seen
    raise AssertionError(f"it ended before that: {seen}")


def processes_with(mark: str) -> list[int]:
    """Processes, other than this one, in whose command line or environment a text stands."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        if place.name == str(os.getpid()):
            continue
        for file in ("cmdline", "environ"):
            try:
                if mark.encode() in (place / file).read_bytes():
                    found.append(int(place.name))
                    break
            except OSError:
                continue
    return found


def nobody_is_left(cli: Cli) -> bool:
    """Wait until no process has to do with this test's folder any more."""
    if sys.platform != "linux":
        return True
    deadline = time.monotonic() + 20
    while processes_with(str(cli.cwd)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return processes_with(str(cli.cwd)) == []


STAGES: dict[str, Callable[[dict[str, object]], bool]] = {
    "start": lambda event: event.get("step") == "start",
    "load": lambda event: event.get("step") == "load",
    "separate": lambda event: event["event"] == "progress" and event.get("stage") == "separate",
    "encode": lambda event: event["event"] == "progress" and event.get("stage") == "encode",
}


@pytest.mark.parametrize("signal_number", ENDING_SIGNALS)
@pytest.mark.parametrize("stage", STAGES)
def test_interrupted(
    start: Callable[..., subprocess.Popen[bytes]], cli: Cli, long: Path, stage: str, signal_number: signal.Signals
) -> None:
    process = start(long)
    wait_for(process.stderr, STAGES[stage])
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    error = json.loads(out)["error"]
    assert (error["code"], error["exit_code"]) == ("interrupted", 130)
    assert nobody_is_left(cli)
    assert leftovers(cli.cwd) == []
    assert files_below(cli.cwd) == ["song.wav"]
    assert cli("run", "dsp-hpss", "song.wav", "-o", "out").code == 0


def test_ctrl_c_of_the_whole_job_as_a_terminal_sends_it(
    start: Callable[..., subprocess.Popen[bytes]], cli: Cli, long: Path
) -> None:
    process = start(long)
    wait_for(process.stderr, STAGES["separate"])
    for _ in range(3):  # as an impatient user does
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert nobody_is_left(cli)
    assert leftovers(cli.cwd) == []


def test_what_is_finished_stays_with_its_record(
    start: Callable[..., subprocess.Popen[bytes]], cli: Cli, long: Path
) -> None:
    process = start("song.wav", long)
    wait_for(process.stderr, lambda event: event["event"] == "track_started" and event["place"]["index"] == 1)  # type: ignore[index]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "after 1 of 2 tracks" in json.loads(out)["error"]["message"]
    assert nobody_is_left(cli)
    assert leftovers(cli.cwd) == []
    made = files_below(cli.cwd / "out")
    assert made == ["dsp-hpss/song/harmonic.wav", "dsp-hpss/song/percussive.wav", "dsp-hpss/song/run.json", "run.json"]
    record = json.loads((cli.cwd / "out" / "run.json").read_bytes())
    assert (record["status"], record["exit_code"]) == ("cancelled", 130)
    assert cli("run", "dsp-hpss", "song.wav", "-o", "out", "--json").track()["status"] == "skipped"


def test_interrupted_while_building(start: Callable[..., subprocess.Popen[bytes]], cli: Cli, empty_home: Path) -> None:
    process = start("song.wav", STEMSEP_ENV_HOME=str(empty_home))
    wait_for(process.stderr, lambda event: event["event"] == "step")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert nobody_is_left(cli)
    assert not (cli.cwd / "out").exists()
    assert json.loads(cli("env", "list", "--json", STEMSEP_ENV_HOME=str(empty_home)).out)["environments"] == []
    assert [path.name for path in (empty_home / "environments").glob(".*")] == []
    again = cli("run", "dsp-hpss", "song.wav", "-o", "out", "--json", STEMSEP_ENV_HOME=str(empty_home))
    assert again.code == 0


@pytest.mark.parametrize("stage", ["start", "separate"])
def test_killed_by_force(start: Callable[..., subprocess.Popen[bytes]], cli: Cli, long: Path, stage: str) -> None:
    process = start(long)
    wait_for(process.stderr, STAGES[stage])
    process.kill()
    process.communicate()
    assert nobody_is_left(cli)
    assert [name for name in files_below(cli.cwd) if LEFTOVER not in name] == ["song.wav"]
    assert cli("run", "dsp-hpss", "song.wav", "-o", "out", "--json").code == 0
    assert leftovers(cli.cwd) == []


KILLED_BEFORE_THE_RECORD = """
import os, signal, sys
from stemsep_envs.cli.entry import main
from stemsep_envs.separation import tracks
tracks.write_record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[0] = "stemsep-env"
sys.exit(main())
"""


def test_killed_between_the_stems_and_their_record(cli: Cli, song: Path) -> None:
    run = ("run", "dsp-hpss", "song.wav", "-o", "out", "--json")

    def killed(*options: str) -> None:
        command = [sys.executable, "-c", KILLED_BEFORE_THE_RECORD, *run, *options]
        done = subprocess.run(command, cwd=cli.cwd, env=cli.environ, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert nobody_is_left(cli)

    def contents() -> dict[str, bytes]:
        return {name: (cli.cwd / "out" / name).read_bytes() for name in files_below(cli.cwd / "out")}

    killed()
    assert (cli.cwd / "out" / "dsp-hpss" / "song" / "harmonic.wav").is_file()
    assert cli(*run).track()["status"] == "done"
    made = contents()
    killed("--overlap", "0.5", "--existing", "overwrite")
    assert not (cli.cwd / "out" / "dsp-hpss" / "song" / "run.json").exists()
    assert cli(*run).track()["status"] == "skipped"
    del made["run.json"]  # of the whole run, which was another
    assert (
        made.items() <= {name: (cli.cwd / "out" / name).read_bytes() for name in files_below(cli.cwd / "out")}.items()
    )


def test_whoever_reads_our_output_may_go(cli: Cli, song: Path) -> None:
    for arguments in (
        ["registry", "list"],
        ["registry", "list", "--json"],
        ["run", "dsp-hpss", "song.wav", "-o", "out"],
        ["run", "no-such-model", "song.wav", "-o", "out", "--json"],
        ["ensure", "dsp-hpss"],
        ["doctor"],
        ["--help"],
    ):
        process = cli.start(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(timeout=60) in {0, 1}, (arguments, err)
        assert b"Traceback" not in err
        assert b"BrokenPipe" not in err
        process.stderr.close()
    process = cli.start("run", "dsp-hpss", "song.wav", "-o", "elsewhere")
    assert process.stderr is not None
    process.stderr.close()
    process.communicate(timeout=60)
    assert nobody_is_left(cli)
    assert leftovers(cli.cwd) == []


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_streams_that_were_closed_from_the_start(cli: Cli, song: Path, closed: tuple[int, ...]) -> None:
    code = "import os, sys; [os.close(int(fd)) for fd in sys.argv[1].split(',')]; os.execv(sys.argv[2], sys.argv[2:])"
    numbers = ",".join(map(str, closed))
    wrapped = Cli(cli.cwd, cli.environ, (sys.executable, "-c", code, numbers, *cli.prefix))
    done = wrapped("run", "dsp-hpss", "song.wav", "-o", "out", "--json")
    assert done.code == 0, done
    assert len(files_below(cli.cwd / "out")) == 4
    if 1 not in closed:
        done.track()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["registry", "list", "--json"], ["run", "nothing", "-o", "out", "--json"]])
def test_a_full_standard_output(cli: Cli, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*cli.prefix, *arguments], cwd=cli.cwd, env=cli.environ, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 7
    assert b"cannot write to standard output" in done.stderr
    assert b"Traceback" not in done.stderr


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _closed_terminal() -> int:
    ours, theirs = os.openpty()
    os.close(ours)
    return theirs


def _pipe_without_a_reader() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("opened", [_full, _closed_terminal, _pipe_without_a_reader])
@pytest.mark.parametrize("events", [(), ("--events", "jsonl")])
def test_a_standard_error_that_cannot_be_written(
    cli: Cli, song: Path, opened: Callable[[], int], events: tuple[str, ...]
) -> None:
    stderr = opened()
    try:
        for arguments, code in (
            (("run", "dsp-hpss", "song.wav", "-o", "out", "--json", *events), 0),
            (("registry", "show", "nothing"), 2),
            (("ensure", "dsp-hpss"), 0),
        ):
            command = [*cli.prefix, *arguments]
            done = subprocess.run(
                command, cwd=cli.cwd, env=cli.environ, stdout=subprocess.DEVNULL, stderr=stderr, check=False
            )
            assert done.returncode == code, (arguments, done)
    finally:
        os.close(stderr)
    assert len(files_below(cli.cwd / "out")) == 4


def test_a_terminal_that_goes_while_it_shows_a_bar(cli: Cli, long: Path) -> None:
    ours, theirs = os.openpty()
    command = [*cli.prefix, "run", "dsp-hpss", long, "-o", "out", "--duration", "20", "--json"]
    environ = {**cli.environ, "TERM": "xterm"}
    with subprocess.Popen(command, cwd=cli.cwd, env=environ, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"long.wav" not in shown:
            shown += os.read(ours, 1000)
        os.close(ours)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert json.loads(out)["status"] == "done"
