"""A remembered answer holds only while everything it rests on is as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
import pytest

from stemsep_envs.cli import ensure_cache
from stemsep_envs.commands.ensure import Ensured
from stemsep_envs.documents.ensure_report import EnsuredModel, EnsureReport
from stemsep_envs.documents.target import parse_target
from stemsep_envs.provisioning.witnesses import Witnesses

_DIGEST = "ab" * 32
_READ = ("registry.json", "runtimes", "runtimes/dsp/runtime.toml", "runtimes/dsp/locks/a.txt", "weights.safetensors")
_MADE = ("receipt.json", "python")
_SETTLED = 3600.0  # asked so far ahead that every file counts as settled


@dataclass
class Machine:
    """A home and the files that answers rest on."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    files: dict[str, Path] = field(default_factory=dict)

    def ensured(self, *, digest: str = _DIGEST, reused: bool = False) -> Ensured:
        model = EnsuredModel(
            model_id="dsp-hpss",
            runtime="dsp",
            variant=None,
            target=parse_target("linux-x86_64-cpu"),
            environment=digest,
            environment_dir=str(self.root / "home" / digest),
            python=str(self.files["python"]),
            reused=reused,
            steps_seconds={} if reused else {"install": 1.0},
            artifacts=(),
        )
        found = Witnesses(
            read=tuple(self.files[name] for name in _READ),
            searched=(self.root / "bin", self.root / "absent"),
            made=tuple(self.files[name] for name in _MADE),
            used_marks=(self.mark,),
        )
        return Ensured(EnsureReport(models=(model,)), (), found)

    @property
    def mark(self) -> Path:
        return self.root / "home" / "environments" / f"{_DIGEST}.uses" / "last-used"

    @property
    def memory(self) -> Path:
        return self.root / "home" / "cache" / "ensure" / "dsp-hpss"

    def remember(self, warnings: str = "", asked_at: float | None = None) -> None:
        asked_at = time.time() + _SETTLED if asked_at is None else asked_at
        ensure_cache.remember(["dsp-hpss"], self.ensured(), warnings=warnings, asked_at=asked_at)

    def answer(self, *arguments: str) -> str | None:
        """Return what is printed on stdout for ``ensure ARGUMENTS``, or None when nothing is remembered."""
        self.capsys.readouterr()
        code = ensure_cache.answer(list(arguments) or ["dsp-hpss"])
        out = self.capsys.readouterr().out
        assert (code is None) == (not out)
        return out if code == 0 else None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Machine:
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "home"))
    made = Machine(tmp_path, capsys)
    (tmp_path / "bin").mkdir()
    for name in (*_READ, *_MADE):
        path = made.files[name] = tmp_path / name
        if path.suffix or name == "python":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
        else:
            path.mkdir()
    return made


def test_answers_what_was_remembered(machine: Machine) -> None:
    assert machine.answer() is None
    machine.remember()
    assert machine.answer() == f"dsp-hpss  {_DIGEST[:12]}  reused  {machine.root}/home/{_DIGEST}\n"
    said = json.loads(machine.answer("dsp-hpss", "--json") or "")
    assert said == json.loads(machine.ensured(reused=True).report.model_dump_json())


def test_repeats_the_warnings_on_stderr(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.remember(warnings="warning: one\n  hint\nwarning: two\n")
    capsys.readouterr()
    assert ensure_cache.answer(["dsp-hpss"]) == 0
    assert capsys.readouterr().err == "warning: one\n  hint\nwarning: two\n"


def test_says_that_the_environment_was_used(machine: Machine) -> None:
    machine.remember()
    os.utime(machine.mark, (1, 1))
    machine.answer()
    assert machine.mark.stat().st_mtime > time.time() - 60


def _edit(path: Path) -> None:
    """Change the content and neither size nor time of last change."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"#")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    before = path.stat()
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes())
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(path)


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


@pytest.mark.skipif(sys.platform == "win32", reason="a time of change that cannot be set is a matter of POSIX")
@pytest.mark.parametrize("change", [_edit, _replace, _grow, Path.unlink])
@pytest.mark.parametrize("name", [name for name in (*_READ, *_MADE) if name != "runtimes"])
def test_is_silent_once_a_file_changed(machine: Machine, name: str, change: Callable[[Path], None]) -> None:
    machine.remember()
    assert machine.answer() is not None
    time.sleep(0.02)  # the kernel's clock of files goes in steps
    change(machine.files[name])
    assert machine.answer() is None


@pytest.mark.parametrize("place", ["runtimes/new", "bin/python3.14", "absent/python3.14"])
def test_is_silent_once_something_appeared(machine: Machine, place: str) -> None:
    machine.remember()
    time.sleep(0.02)
    (machine.root / place).parent.mkdir(exist_ok=True)
    (machine.root / place).touch()
    assert machine.answer() is None


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "PYENV_ROOT", "XDG_DATA_HOME", "VIRTUAL_ENV", "STEMSEP_ENV_REGISTRY", "STEMSEP_ENV_NEW"),
        *("UV_PYTHON_INSTALL_DIR", "UV_INDEX_URL", "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_is_silent_in_another_environment_of_variables(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    machine.remember()
    monkeypatch.setenv(name, "/elsewhere")
    assert machine.answer() is None
    machine.remember()
    assert machine.answer() is not None
    monkeypatch.delenv(name)
    assert machine.answer() is None


def test_other_variables_change_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.remember()
    monkeypatch.setenv("EDITOR", "ed")
    assert machine.answer() is not None


def test_another_home_has_answers_of_its_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.remember()
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(machine.root / "other"))
    assert machine.answer() is None


@pytest.mark.parametrize("name", ["__version__", "__file__"])
def test_another_installation_does_not_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine.remember()
    monkeypatch.setattr(ensure_cache, name, "another")
    assert machine.answer() is None


def test_another_interpreter_does_not_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.remember()
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert machine.answer() is None


def test_a_restarted_machine_does_not_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    boot_id = machine.root / "boot_id"
    boot_id.write_text("one\n")
    monkeypatch.setattr(ensure_cache, "_BOOT_ID", str(boot_id))
    machine.remember()
    assert machine.answer() is not None
    boot_id.write_text("two\n")
    assert machine.answer() is None


def test_answer_is_not_kept_when_its_files_change_meanwhile(machine: Machine) -> None:
    machine.remember(asked_at=time.time())
    assert machine.answer() is None


@pytest.mark.parametrize("name", [*_READ[2:], *_MADE])
def test_what_vanished_meanwhile_is_not_remembered(machine: Machine, name: str) -> None:
    machine.files[name].unlink()
    machine.remember()
    assert machine.answer() is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--json"],
        ["dsp-hpss", "-v"],
        ["--json", "dsp-hpss"],
        ["DSP-HPSS"],
        ["../dsp-hpss"],
        [".hidden"],
        ["a/b"],
        ["x" * 300],
        ["dsp-hpss", "--events", "jsonl"],
        ["dsp-hpss", ""],
        ["ä"],
    ],
)
def test_other_questions_are_not_answered(machine: Machine, arguments: list[str]) -> None:
    machine.remember()
    assert ensure_cache.answer(arguments) is None


@pytest.mark.parametrize("home", ["relative", "~/home"])
def test_a_home_that_is_no_absolute_path_has_no_memory(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("STEMSEP_ENV_HOME", home)
    machine.remember()
    assert machine.answer() is None


def _cuts(memory: bytes) -> list[bytes]:
    return [memory[:length] for length in (*range(0, len(memory), 97), len(memory) - 1)]


def _ask(home: Path) -> subprocess.Popen[str]:
    program = "import sys; from stemsep_envs.cli.ensure_cache import answer; sys.exit(answer(['dsp-hpss']) or 0)"
    env = {**os.environ, "STEMSEP_ENV_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there all go together")
def test_waits_for_whoever_finds_the_same_answer(machine: Machine) -> None:
    leader = (
        "import sys, time; from stemsep_envs.cli.ensure_cache import answer; answer(['dsp-hpss']);"
        "print('leads', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", leader], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "leads\n"
        others = [_ask(machine.root / "home") for _ in range(3)]
        for other in others:
            assert other.stderr is not None
            assert other.stderr.readline() == "another process ensures dsp-hpss; waiting for it ...\n"
        machine.remember()
        first.stdin.close()
    assert [other.communicate()[0] for other in others] == [machine.answer()] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="there all go together")
def test_nobody_waits_for_the_dead(machine: Machine) -> None:
    for _ in range(2):  # each leads, finds no answer, and ends
        assert _ask(machine.root / "home").communicate(timeout=30) == ("", "")


def test_a_damaged_memory_is_no_answer(machine: Machine) -> None:
    machine.remember()
    whole = machine.memory.read_bytes()
    garbage = [
        b"\0" * 100,
        b"\xff\xfe" * 50,
        b"{}",
        b"\x1e" * 6,
        b"\x1e" * 5 + b"end",
        whole + b"x",
        whole + b"\x1eend",
    ]
    for damaged in (*_cuts(whole), *garbage, whole.replace(b"\x1f", b"\x1e"), whole.replace(b"\x1f", b"")):
        machine.memory.write_bytes(damaged)
        assert machine.answer() is None, damaged
    machine.memory.write_bytes(whole)
    assert machine.answer() is not None


def test_a_memory_without_witnesses_is_no_answer(machine: Machine) -> None:
    machine.remember()
    key, _, *rest = machine.memory.read_text().split("\x1e")
    for facts in ("", "\x1f", str(machine.files["python"])):
        machine.memory.write_text("\x1e".join([key, facts, *rest]))
        assert machine.answer() is None


def test_a_folder_in_place_of_the_memory_is_no_answer(machine: Machine) -> None:
    machine.memory.mkdir(parents=True)
    machine.remember()
    assert machine.answer() is None


def test_a_home_that_cannot_be_written_is_no_error(machine: Machine) -> None:
    (machine.root / "home").write_text("a file\n")
    machine.remember()
    assert machine.answer() is None


def test_names_that_would_break_the_format_are_not_remembered(machine: Machine) -> None:
    odd = machine.files["python"] = machine.root / "py\x1fthon"
    odd.touch()
    machine.remember()
    assert not machine.memory.exists()


def test_concurrent_writers_leave_a_whole_answer(machine: Machine) -> None:
    digests = [f"{number:02d}" * 32 for number in range(8)]

    def write(digest: str) -> None:
        for _ in range(10):
            ensure_cache.remember(
                ["dsp-hpss"], machine.ensured(digest=digest), warnings="", asked_at=time.time() + _SETTLED
            )

    machine.remember()
    with ThreadPoolExecutor(len(digests)) as pool:
        writers = [pool.submit(write, digest) for digest in digests]
        told = {machine.answer() for _ in range(200)}
        for writer in writers:
            writer.result()
    expected = {f"dsp-hpss  {digest[:12]}  reused  {machine.root}/home/{digest}\n" for digest in [_DIGEST, *digests]}
    assert told <= expected
    assert machine.answer() in expected
    assert [path.name for path in machine.memory.parent.iterdir()] == ["dsp-hpss"]


def test_the_default_home_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value in (None, "", " ", str(tmp_path)):
        if value is None:
            monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_DATA_HOME", value)
        assert ensure_cache.default_home() == platformdirs.user_data_dir("stemsep-env", appauthor=False)


def test_answering_loads_no_heavy_module() -> None:
    source = Path(ensure_cache.__file__).parents[2]
    program = (
        f"import sys; sys.path.insert(0, {str(source)!r}); sys.argv[1:] = ['ensure', 'none-such']\n"
        "import stemsep_envs.cli.entry, stemsep_envs.cli.ensure_cache as remembered\n"
        "assert remembered.answer(sys.argv[2:]) is None\n"
        "print(*{'re', 'json', 'typing', 'pathlib', 'importlib', 'dataclasses', 'click'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
