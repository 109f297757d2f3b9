"""Hostile names: of inputs, in lists, and two that would be one file somewhere; every stem has a place of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Cli, files_below

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be made")]

NAMES = [
    b"new\nline.wav",
    b"quo\"te's.wav",
    b"-dash.wav",
    "music \N{MULTIPLE MUSICAL NOTES}.wav".encode(),
    "right\N{RIGHT-TO-LEFT OVERRIDE}vaw.3pm.wav".encode(),
    b"n" * 251 + b".wav",
    "\N{CJK UNIFIED IDEOGRAPH-6B4C}".encode() * 83 + b".wav",
    b"dot.",
    b"space ",
    b" leading.wav",
    b"CON.wav",
    b"nul",
    b"back\\slash.wav",
    b"..wav",
    b".hidden.wav",
    b"%s {stem} $HOME *.wav",
    b"tab\t.wav",
    b"esc\x1b[31m\x07.wav",
    b"no suffix",
    b"run.json",
]
NOT_UTF8 = b"caf\xe9 \xff\xfe.wav"


def make(folder: Path, name: bytes, content: bytes) -> bytes:
    path = folder / os.fsdecode(name)
    try:
        path.write_bytes(content)
    except OSError as error:
        pytest.skip(f"this file system takes no such name: {error}")
    return os.fsencode(path)


def is_safe(name: str) -> bool:
    """Whether a path can be made on Linux, macOS and Windows alike."""
    return all(
        part == part.strip(" ").rstrip(".")
        and len(part.encode()) < 200
        and part.split(".")[0].upper() not in {"CON", "NUL", "PRN", "AUX"}
        and not any(
            character in '<>:"\\|?*' or ord(character) < 32 or 0x202A <= ord(character) <= 0x202E for character in part
        )
        for part in name.split("/")
    )


def test_every_name_gets_its_stems(cli: Cli, write: Callable[..., Path]) -> None:
    content = write("real.wav", seconds=0.1).read_bytes()
    folder = cli.cwd / "in"
    folder.mkdir()
    paths = [make(folder, name, content) for name in NAMES]
    done = cli("run", "dsp-hpss", "--json", "-o", "out", "--", *paths)
    record = done.document("run")
    assert done.code == 0, [track["error"] for track in record["tracks"]]
    made = [output["path"] for track in record["tracks"] for output in track["outputs"]]
    assert len({unicodedata.normalize("NFC", path).casefold() for path in made}) == 2 * len(NAMES)
    assert [path for path in made if not is_safe(path)] == []
    assert all((cli.cwd / "out" / path).is_file() for path in made)
    assert "\x1b" not in done.err
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in done.err
    lines = [line for line in done.err.splitlines() if line.startswith("[")]
    assert len(lines) == len(NAMES)
    again = cli("run", "dsp-hpss", "--json", "-o", "out", "--", *paths).document("run")
    assert {track["status"] for track in again["tracks"]} == {"skipped"}


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes only UTF-8")
def test_a_name_that_is_not_utf8(cli: Cli, write: Callable[..., Path]) -> None:
    content = write("real.wav", seconds=0.1).read_bytes()
    folder = os.fsdecode(make(cli.cwd, NOT_UTF8, content))
    done = cli("run", "dsp-hpss", NOT_UTF8, "real.wav", "-o", b"out \xff", "--json", "--events", "jsonl")
    record = done.document("run")
    assert [track["status"] for track in record["tracks"]] == ["done", "done"]
    assert record["tracks"][0]["input"]["path"].endswith(r"caf\udce9 \udcff\udcfe.wav")
    out = cli.cwd / os.fsdecode(b"out \xff")
    assert json.loads((out / "run.json").read_bytes()) == record
    assert [json.loads(line)["event"] for line in done.err.splitlines()][-1] == "finished"
    skipped = cli("run", "dsp-hpss", NOT_UTF8, "-o", b"out \xff", "--json").track()
    assert skipped["status"] == "skipped"
    dry = cli("run", "dsp-hpss", NOT_UTF8, b"missing\xff", "-o", "o", "--dry-run", "--json").document("run.dry")
    assert [track["action"] for track in dry["tracks"]] == ["separate", "fail"]
    assert Path(folder).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes only UTF-8")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_paths_on_stdout_are_the_files(cli: Cli, write: Callable[..., Path], encoding: str) -> None:
    write("\xe9.wav", seconds=0.1)
    command = [*cli.prefix, "run", "dsp-hpss", "\xe9.wav", "-o", b"\xff out"]
    environ = {**cli.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=cli.cwd, env=environ, capture_output=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    if encoding == "utf-8":
        assert Path(os.fsdecode(done.stdout.splitlines()[0])).is_file()


def test_two_tracks_of_one_name_in_any_order(cli: Cli, write: Callable[..., Path]) -> None:
    same = ["a/Song.wav", "b/Song.wav", "c/song.wav", "d/Caf\u00e9.wav", "e/Cafe\u0301.wav", "f/Song.flac"]
    for seed, name in enumerate(same):
        write(name, seconds=0.05, seed=seed)
    first = cli("run", "dsp-hpss", *same, "-o", "one", "--json").document("run")
    second = cli("run", "dsp-hpss", *reversed(same), "-o", "two", "--json").document("run")

    def places(record: Any) -> dict[str, list[tuple[str, str]]]:
        return {
            track["input"]["path"]: [(made["path"], made["sha256"]) for made in track["outputs"]]
            for track in record["tracks"]
        }

    assert places(first) == places(second)
    every = [path for made in places(first).values() for path, _ in made]
    assert len({unicodedata.normalize("NFD", path).casefold() for path in every}) == len(every) == 12
    assert len({digest for made in places(first).values() for _, digest in made}) == 12


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{stem}/{track}.{ext}", ["harmonic/song.wav", "percussive/song.wav", "song.run.json"]),
        ("{track} ({stem})", ["run.json", "song (harmonic).wav", "song (percussive).wav"]),
        ("{parent}/{index} {model} {stem}", ["001 dsp-hpss harmonic.wav", "001 dsp-hpss percussive.wav"]),
    ],
)
def test_names_by_template(cli: Cli, song: Path, template: str, made: list[str]) -> None:
    done = cli("run", "dsp-hpss", song, "-o", "out", "--filename", template, "--json")
    assert done.code == 0, done
    record = done.document("run")
    stems = sorted(output["path"] for output in record["tracks"][0]["outputs"])
    assert stems == [name for name in made if not name.endswith("json")]
    assert set(files_below(cli.cwd / "out")) == {*stems, record["tracks"][0]["record"], "run.json"}
    again = cli("run", "dsp-hpss", song, "-o", "out", "--filename", template, "--json")
    assert again.track()["status"] == "skipped"


@pytest.mark.parametrize(
    "template",
    ["", "{track}", "{stem", "{stam}", "../{stem}", "/{stem}", "{stem!r}", "{stem.__class__}", "{0}{stem}", "C:{stem}"],
)
def test_a_template_that_cannot_be(cli: Cli, song: Path, template: str) -> None:
    error = cli("run", "dsp-hpss", song, "-o", "out", "--filename", template, "--json").error("usage", 2)
    assert "--filename" in error["message"]
    assert not (cli.cwd / "out").exists()


def test_folders(cli: Cli, write: Callable[..., Path]) -> None:
    for name in ("album/a.wav", "album/b.FLAC", "album/deep/er/c.wav", "album/.hidden/d.wav", "album/.e.wav"):
        write(name, seconds=0.05, format="FLAC" if name.endswith("FLAC") else "WAV")
    (cli.cwd / "album" / "cover.jpg").touch()
    (cli.cwd / "album" / "loop").symlink_to("..")
    flat = cli("run", "dsp-hpss", "album", "-o", "flat", "--json").document("run")
    assert [Path(track["input"]["path"]).name for track in flat["tracks"]] == ["a.wav", "b.FLAC"]
    deep = cli("run", "dsp-hpss", "album", "-r", "-o", "deep", "--filename", "{parent}/{track}/{stem}.{ext}", "--json")
    stems = {
        Path(made["path"]).parent.as_posix() for track in deep.document("run")["tracks"] for made in track["outputs"]
    }
    assert stems == {"a", "b", "deep/er/c"}
    (cli.cwd / "nothing").mkdir()
    cli("run", "dsp-hpss", "nothing", "-o", "out", "--json").error("no_inputs", 2)
    twice = cli("run", "dsp-hpss", "album/a.wav", "album", "./album/../album/a.wav", "-o", "twice", "--json")
    assert len(twice.document("run")["tracks"]) == 2


LISTS = {
    "lines": b"a.wav\n\n# none\n  \nsub/b.wav\r\nmissing.wav\n",
    "bom": b"\xef\xbb\xbfa.wav\nsub/b.wav\nmissing.wav",
    "nul": b"a.wav\0sub/b.wav\0missing.wav\0",
    "utf-16": "a.wav\r\nsub/b.wav\r\nmissing.wav\r\n".encode("utf-16"),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("place", ["file", "stdin"])
def test_inputs_from_a_list(cli: Cli, write: Callable[..., Path], kind: str, place: str) -> None:
    folder = cli.cwd / "lists"
    for name in ("lists/a.wav", "lists/sub/b.wav"):
        write(name, seconds=0.05)
    (folder / "list").write_bytes(LISTS[kind])
    if place == "file":
        done = cli("run", "dsp-hpss", "--from-file", "lists/list", "-o", "out", "--dry-run", "--json")
    else:
        run = ("run", "dsp-hpss", "--from-file", "-", "-o", "out", "--dry-run", "--json")
        done = cli(*run, stdin=LISTS[kind], cwd=folder)
    tracks = done.document("run.dry")["tracks"]
    wanted = [("a.wav", "separate"), ("sub/b.wav", "separate"), ("missing.wav", "fail")]
    assert [(Path(track["input"]).relative_to(folder).as_posix(), track["action"]) for track in tracks] == wanted


def test_a_list_that_cannot_be_read_or_names_nothing(cli: Cli) -> None:
    cli("run", "dsp-hpss", "--from-file", "nowhere", "-o", "out", "--json").error("list_unreadable", 2)
    cli("run", "dsp-hpss", "--from-file", ".", "-o", "out", "--json").error("list_unreadable", 2)
    cli("run", "dsp-hpss", "--from-file", "-", "-o", "out", "--json").error("usage", 2)
    cli("run", "dsp-hpss", "-o", "out", "--json").error("usage", 2)
