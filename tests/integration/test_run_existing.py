"""Outputs that are there already: what is skipped, refused, replaced or kept beside, and what makes the difference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.conftest import Answer, Cli, files_below, noise

pytestmark = pytest.mark.integration

Run = Callable[..., Answer]


@pytest.fixture
def run(cli: Cli, song: Path) -> Run:
    """Separate the song into `out`."""

    def make(*options: str) -> Answer:
        return cli("run", "dsp-hpss", "song.wav", "-o", "out", *options, "--json")

    return make


def stamp(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {name: ((folder / name).stat().st_mtime_ns, (folder / name).read_bytes()) for name in files_below(folder)}


def test_the_same_request_is_skipped_and_touches_no_stem(run: Run, cli: Cli) -> None:
    made = run().track()
    before = stamp(cli.cwd / "out" / "dsp-hpss")
    again = run()
    assert (again.code, again.document("run")["environment"]) == (0, None)
    skipped = again.track()
    assert skipped["status"] == "skipped"
    assert skipped["outputs"] == made["outputs"]
    assert stamp(cli.cwd / "out" / "dsp-hpss") == before
    told = cli("run", "dsp-hpss", "song.wav", "-o", "out")
    assert [Path(line).name for line in told.out.splitlines()] == ["harmonic.wav", "percussive.wav"]
    assert "already there, unchanged" in told.err


@pytest.mark.parametrize(
    "options",
    [
        ["--overlap", "0.5"],
        ["--set", "mask_power=1"],
        ["--bit-depth", "16"],
        ["--sample-rate", "22050"],
        ["--normalize"],
        ["--start", "0.1"],
        ["--duration", "0.1"],
        ["--stems", "harmonic"],
    ],
)
def test_another_setting_is_another_request(run: Run, cli: Cli, options: list[str]) -> None:
    run()
    before = stamp(cli.cwd / "out" / "dsp-hpss")
    refused = run(*options)
    assert refused.code == 2
    assert refused.track()["error"]["code"] == "output_exists"
    assert "--existing overwrite" in refused.err
    assert stamp(cli.cwd / "out" / "dsp-hpss") == before


def test_what_changed_is_not_skipped(run: Run, cli: Cli, write: Callable[..., Path]) -> None:
    folder = cli.cwd / "out" / "dsp-hpss" / "song"

    def refused() -> bool:
        return bool((run().track()["error"] or {}).get("code") == "output_exists")

    run()
    tampered = (folder / "harmonic.wav").read_bytes()
    (folder / "harmonic.wav").write_bytes(tampered[:-1] + bytes([tampered[-1] ^ 1]))
    assert refused()
    assert run("--existing", "overwrite").track()["status"] == "done"
    assert run().track()["status"] == "skipped"
    (folder / "harmonic.wav").unlink()
    assert refused()
    run("--existing", "overwrite")
    (folder / "run.json").unlink()
    assert refused()
    run("--existing", "overwrite")
    for damage in (b"", b"{}", b"\xff", (folder / "run.json").read_bytes()[:-50]):
        kept = (folder / "run.json").read_bytes()
        (folder / "run.json").write_bytes(damage)
        assert refused()
        (folder / "run.json").write_bytes(kept)
    assert run().track()["status"] == "skipped"
    write("song.wav", noise(seed=9))
    assert refused()


def test_a_record_that_lies_of_other_files_is_not_believed(run: Run, cli: Cli) -> None:
    run()
    path = cli.cwd / "out" / "dsp-hpss" / "song" / "run.json"
    record = json.loads(path.read_bytes())
    for made in record["tracks"][0]["outputs"]:
        made["path"] = "../../../song.wav"
    path.write_text(json.dumps(record))
    assert run().track()["error"]["code"] == "output_exists"


def test_error_refuses_what_is_there_and_does_the_rest(run: Run, cli: Cli, song: Path) -> None:
    run()
    shutil.copy(song, cli.cwd / "other.wav")
    done = cli("run", "dsp-hpss", "song.wav", "other.wav", "-o", "out", "--existing", "error", "--json")
    assert [track["status"] for track in done.document("run")["tracks"]] == ["failed", "done"]
    assert done.code == 2


def test_overwrite_replaces(run: Run, cli: Cli) -> None:
    first = run().track()
    changed = run("--existing", "overwrite", "--overlap", "0.5").track()
    assert changed["status"] == "done"
    assert [made["sha256"] for made in changed["outputs"]] != [made["sha256"] for made in first["outputs"]]
    assert run("--overlap", "0.5").track()["status"] == "skipped"


def test_a_failure_while_overwriting_keeps_what_was_there(run: Run, cli: Cli, song: Path) -> None:
    run()
    before = stamp(cli.cwd / "out" / "dsp-hpss")
    song.write_bytes(b"no audio any more")
    assert run("--existing", "overwrite").track()["status"] == "failed"
    assert stamp(cli.cwd / "out" / "dsp-hpss") == before


@pytest.mark.parametrize("existing", ["skip", "overwrite", "rename", "error"])
def test_a_file_stands_where_a_folder_would(run: Run, cli: Cli, existing: str) -> None:
    (cli.cwd / "out").mkdir()
    (cli.cwd / "out" / "dsp-hpss").write_text("precious")
    done = run("--existing", existing)
    assert done.code == 2
    assert done.track()["error"]["code"] in {"not_writable", "not_a_folder"}
    assert (cli.cwd / "out" / "dsp-hpss").read_text() == "precious"


def test_rename_keeps_both(run: Run, cli: Cli) -> None:
    run()
    before = stamp(cli.cwd / "out" / "dsp-hpss")
    for number in (2, 3):
        renamed = run("--existing", "rename").track()
        assert renamed["outputs"][0]["path"] == f"dsp-hpss/song ({number})/harmonic.wav"
        assert renamed["record"] == f"dsp-hpss/song ({number})/run.json"
    assert before.items() <= stamp(cli.cwd / "out" / "dsp-hpss").items()


def test_rename_never_takes_the_place_of_another_track(cli: Cli, song: Path) -> None:
    shutil.copy(song, cli.cwd / "song (2).wav")
    run = ("run", "dsp-hpss", "song.wav", "song (2).wav", "-o", "out", "--existing", "rename", "--json")
    (cli.cwd / "out" / "dsp-hpss" / "song").mkdir(parents=True)
    (cli.cwd / "out" / "dsp-hpss" / "song" / "harmonic.wav").touch()
    record = cli(*run).document("run")
    made = [output["path"] for track in record["tracks"] for output in track["outputs"]]
    assert len(set(made)) == len(made) == 4
    assert all((cli.cwd / "out" / path).is_file() for path in made)


@pytest.mark.parametrize("kind", ["folder", "dangling link", "link"])
def test_something_else_stands_where_a_stem_would(run: Run, cli: Cli, kind: str) -> None:
    folder = cli.cwd / "out" / "dsp-hpss" / "song"
    folder.mkdir(parents=True)
    outside = cli.cwd / "outside.txt"
    if kind == "folder":
        (folder / "harmonic.wav").mkdir()
        (folder / "harmonic.wav" / "precious").touch()
    else:
        if kind == "link":
            outside.write_text("precious")
        (folder / "harmonic.wav").symlink_to(outside)
    for options in ([], ["--existing", "overwrite"]):
        track = run(*options).track()
        if track["status"] == "done":
            assert not (folder / "harmonic.wav").is_symlink()
    assert outside.exists() == (kind == "link")
    assert kind != "link" or outside.read_text() == "precious"
    assert kind != "folder" or (folder / "harmonic.wav" / "precious").exists()
