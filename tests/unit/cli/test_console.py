"""Printing: what people see, what programs get, and that neither is steered by what it tells of."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from stemsep_envs.cli.console import Console, error_body, findings_text, human_bytes, human_seconds
from stemsep_envs.documents.reports import ErrorReport, Finding
from stemsep_envs.errors import (
    BlockedError,
    BuildError,
    InvalidDocumentError,
    LimitError,
    Problem,
    Reason,
    StemsepEnvError,
    UsageError,
)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "2 KiB"), (66_060_288, "63 MiB"), (5 << 30, "5.0 GiB")]
)
def test_bytes(count: int, words: str) -> None:
    assert human_bytes(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (0.44, "0.4 s"),
        (59.94, "59.9 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3720, "1 h 02 min"),
    ],
)
def test_seconds(seconds: float, words: str) -> None:
    assert human_seconds(seconds) == words


ERRORS: list[tuple[StemsepEnvError, int, list[str]]] = [
    (UsageError("no", hint="do\nthat"), 2, ["error: no", "  do", "  that"]),
    (
        InvalidDocumentError("a.json", (Problem("models[0].id", "wrong"), Problem("", "also wrong"))),
        2,
        ["error: a.json: 2 problems", "  - models[0].id: wrong", "  - also wrong"],
    ),
    (
        BlockedError("it cannot", (Reason("a_code", "why", "how", "a.path"),)),
        6,
        ["error: it cannot", "  - a.path: why", "    how"],
    ),
    (
        BuildError("it broke", output="line 1\nline 2\x7f\n", command="uv sync \x1bx"),
        5,
        ["error: it broke", "  | line 1", r"  | line 2\x7f", r"  to repeat it: uv sync \x1bx"],
    ),
    (LimitError("full\x1b[2J"), 7, [r"error: full\x1b[2J"]),
]


@pytest.mark.parametrize(("error", "code", "lines"), ERRORS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_error(
    capsys: pytest.CaptureFixture[str], error: StemsepEnvError, code: int, lines: list[str], as_json: bool
) -> None:
    assert Console(json=as_json).failure(error) == code
    said = capsys.readouterr()
    assert said.err.splitlines() == lines
    if as_json:
        assert ErrorReport.model_validate(json.loads(said.out)).error == error_body(error)
        assert json.loads(said.out)["error"]["exit_code"] == code
    else:
        assert said.out == ""


def test_of_very_many_problems_people_see_some_and_programs_all(capsys: pytest.CaptureFixture[str]) -> None:
    problems = tuple(Problem(f"models[{number}]", "wrong") for number in range(300))
    Console(json=True).failure(InvalidDocumentError("a.json", problems))
    said = capsys.readouterr()
    assert len(json.loads(said.out)["error"]["findings"]) == 300
    assert said.err.splitlines()[-1] == "  - and 250 more (--json lists them all)"
    assert len(said.err.splitlines()) == 52


def test_findings_with_their_remedies() -> None:
    findings = [
        Finding(code="a\x9b", message="one\x1b", path="x.\x07y"),
        Finding(code="b", message="two", hint="do\nthis"),
    ]
    assert findings_text("warning", findings) == (
        "warning: one\\x1b (a\\x9b) [x.\\x07y]\nwarning: two (b)\n  do\n  this\n"
    )


def test_a_note_is_as_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    Console().note("first\x1b[2J\nsecond")
    assert capsys.readouterr().err == "first\\x1b[2J\nsecond\n"


def test_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("A", "LONG HEADER", "LAST"), [("longer", "b", "c"), ("d", "e\x1b[1m", "")])
    assert capsys.readouterr().out.splitlines() == [
        "A       LONG HEADER  LAST",
        "longer  b            c",
        r"d       e\x1b[1m",
    ]


def test_a_bug_is_one_line_and_a_file_without_secrets(
    capsys: pytest.CaptureFixture[str], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("https://user:hunter2@example.org/index")
    assert Console(json=True).bug(caught.value) == 3
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    (line,) = said.err.splitlines()
    assert line.startswith("error: this is a bug in stemsep-env (ZeroDivisionError: ")
    body = json.loads(said.out)["error"]
    assert (body["code"], body["exit_code"]) == ("bug", 3)
    report = Path(body["report_path"])
    assert report.parent == isolated / "reports"
    text = report.read_text("utf-8")
    assert "Traceback (most recent call last)" in text
    assert re.match(r"stemsep-envs \d", text)
    assert "hunter2" not in text


def test_a_bug_where_nothing_can_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.chdir(tmp_path)
    assert Console().bug(ValueError("x")) == 3
    assert "the details are in" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("bug-*.txt")]
    monkeypatch.setenv("STEMSEP_ENV_HOME", "relative")
    assert Console().bug(ValueError("x")) == 3


def test_names_in_log_messages_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        Console().configure_logging()
        logging.getLogger("stemsep_envs.x").warning("kept in %s", "a\x1b]0;owned\x07\u202e")
    finally:
        root.handlers[:], root.level = handlers, level
    told = capsys.readouterr().err
    assert "kept in a\\x1b]0;owned\\x07\\u202e" in told
