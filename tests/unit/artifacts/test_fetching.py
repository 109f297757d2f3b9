"""Files are brought, verified and kept by hash; what an address gave is held to; whatever dies leaves nothing wrong."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

import pytest
from tests.programs.file_server import Exchange, FileServer, answers, good, in_turn
from tests.unit.artifacts.conftest import BRISK, Fetch, want

from stemsep_envs.artifacts import adding, blobs, fetching, index
from stemsep_envs.artifacts.adding import add_file
from stemsep_envs.artifacts.fetching import held, lock_name, part_path
from stemsep_envs.artifacts.model_files import what_is_known
from stemsep_envs.errors import BuildError, LimitError, MismatchError, UsageError
from stemsep_envs.host.paths import Home

DATA = os.urandom(200_000)
SHA = hashlib.sha256(DATA).hexdigest()


def everything(home: Home) -> list[str]:
    found = (path for path in home.artifacts_dir.rglob("*") if path.is_file())
    return sorted(path.relative_to(home.artifacts_dir).parts[0] for path in found)


def test_a_file_is_kept_by_its_hash_and_cannot_be_written(server: FileServer, home: Home, fetch: Fetch) -> None:
    (got,) = fetch(want(server.serve("/x", DATA), sha256=SHA, size=len(DATA)))
    path = blobs.blob_path(home, SHA)
    assert (got.sha256, got.size_bytes, got.trust, got.source) == (SHA, len(DATA), "registry", server.url("/x"))
    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert everything(home) == ["index", "sha256", "stamps"]
    assert fetch(want(server.url("/x"), sha256=SHA))[0].source is None, "nor fetched again"
    assert len(server.asked) == 1


def test_eight_models_with_a_config_yaml_each(server: FileServer, home: Home, fetch: Fetch) -> None:
    configs = {f"model-{number}": f"number: {number}\n".encode() for number in range(8)}
    got = fetch(*(want(server.serve(f"/{model}/config.yaml", data), model=model) for model, data in configs.items()))
    for file, (model, data) in zip(got, configs.items(), strict=True):
        assert file.wanted.model_id == model
        assert blobs.blob_path(home, file.sha256).read_bytes() == data


def test_models_that_want_the_same_file_fetch_it_once(server: FileServer, fetch: Fetch) -> None:
    url = server.serve("/x", DATA)
    got = fetch(*(want(url, sha256=SHA, model=f"m{number}") for number in range(5)))
    assert [file.wanted.model_id for file in got] == [f"m{number}" for number in range(5)]
    assert len(server.asked) == 1


def test_what_an_address_gave_first_is_held_to(server: FileServer, home: Home, fetch: Fetch) -> None:
    wanted = want(server.serve("/x", DATA))
    assert what_is_known(home, wanted).sha256 is None
    (got,) = fetch(wanted)
    assert (got.trust, what_is_known(home, wanted).sha256) == ("first-use", SHA)
    blobs.remove_blob(home, SHA)
    server.serve("/x", DATA[:-1])
    with pytest.raises(MismatchError, match="gives another file than it did on") as caught:
        fetch(wanted)
    assert caught.value.code == "artifact_changed"
    assert "--replace" in (caught.value.hint or "")
    assert blobs.stored_hashes(home) == []
    server.serve("/x", DATA)
    assert fetch(wanted)[0].sha256 == SHA
    entry = index.find(home, wanted.keys[0])
    assert entry is not None
    assert entry.trust == "first-use", "it stays what it was"


def test_the_registry_has_the_last_word(server: FileServer, home: Home, fetch: Fetch) -> None:
    url = server.on("/x", in_turn(good(DATA[:-1]), good(DATA)))
    fetch(want(url))
    known = what_is_known(home, want(url, sha256=SHA))
    assert known.is_superseded
    fetch(want(url, sha256=SHA))
    known = what_is_known(home, want(url))
    assert (known.sha256, known.trust, known.is_superseded) == (SHA, "registry", False)


def test_another_file_than_the_registry_names_is_not_kept(server: FileServer, home: Home, fetch: Fetch) -> None:
    wanted = want(server.serve("/x", DATA), sha256="0" * 64)
    with pytest.raises(MismatchError, match=f"its sha256 is {SHA}") as caught:
        fetch(wanted)
    assert (caught.value.code, caught.value.exit_code) == ("artifact_mismatch", 4)
    assert everything(home) == []
    with pytest.raises(MismatchError, match="200000 bytes"):
        fetch(want(server.url("/x"), size=5))
    assert everything(home) == []


def test_mirrors_are_tried_in_order(server: FileServer, home: Home, fetch: Fetch) -> None:
    urls = [
        server.on("/gone", answers(404)),
        server.on("/page", answers(200, b"<html>", Content_Type="text/html")),
        server.serve("/other", DATA[:-1]),
        server.serve("/good", DATA),
        server.serve("/never", DATA),
    ]
    (got,) = fetch(want(*urls, sha256=SHA))
    assert got.source == urls[3]
    assert [asked.path for asked in server.asked] == ["/gone", "/page", "/other", "/good"]
    assert index.find(home, got.wanted.keys[0]) is not None, "known by its first address"


def test_a_mirror_continues_what_another_began(server: FileServer, fetch: Fetch) -> None:
    broken = server.serve("/a", DATA, stop_after=100_000, times=9, ranges=False)
    whole = server.serve("/b", DATA)
    fetch(want(broken, whole, sha256=SHA))
    assert server.asked_for("/b")[0].first_byte == 100_000


def test_when_all_fail_it_is_said_what_each_answered(server: FileServer, fetch: Fetch) -> None:
    urls = [server.on("/a", answers(404)), server.on("/b", answers(403)), server.on("/c", answers(500))]
    with pytest.raises(BuildError, match="any of its 3 addresses") as caught:
        fetch(want(*urls, sha256=SHA))
    assert caught.value.code == "download_failed"
    assert [line.split(" ", 1)[0] for line in caught.value.output.splitlines()] == urls
    assert all(code in caught.value.output for code in ("404", "403", "500"))
    with pytest.raises(BuildError, match="answered 403") as caught:
        fetch(want(urls[1], sha256=SHA))
    assert caught.value.code == "download_denied"
    assert "artifacts add --model m --name primary FILE" in (caught.value.hint or "")
    with pytest.raises(LimitError) as stalled:
        fetch(want(server.on("/d", Exchange.stall), sha256=SHA), patience=replace(BRISK, stall_seconds=0.3))
    assert (stalled.value.code, stalled.value.exit_code) == ("download_stalled", 7)


def test_a_damaged_file_is_set_aside_and_fetched_again(server: FileServer, home: Home, fetch: Fetch) -> None:
    wanted = want(server.serve("/x", DATA), sha256=SHA)
    fetch(wanted)
    path = blobs.blob_path(home, SHA)
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"x")
    assert blobs.blob_state(home, SHA) == "damaged"
    fetch(wanted)
    assert path.read_bytes() == DATA
    (aside,) = (home.artifacts_dir / "damaged").iterdir()
    assert aside.name.startswith(SHA[:16])


def test_files_of_this_machine(tmp_path: Path, home: Home, fetch: Fetch) -> None:
    source = tmp_path / "a file.ckpt"
    source.write_bytes(DATA)
    (got,) = fetch(want(source.as_uri()))
    assert (got.sha256, got.trust) == (SHA, "first-use")
    store = home.root / "models" / "vocals"
    store.mkdir(parents=True)
    (store / "x.ckpt").write_bytes(DATA[:-1])
    (got,) = fetch(want("local://vocals/x.ckpt"))
    assert got.size_bytes == len(DATA) - 1
    (store / "out.ckpt").symlink_to(source)
    with pytest.raises(BuildError, match="leads out of the model store"):
        fetch(want("local://vocals/out.ckpt"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildError, match="not a plain file"):
        fetch(want((tmp_path / "pipe").as_uri()))
    with pytest.raises(BuildError, match="not a plain file"):
        fetch(want(tmp_path.as_uri()))
    with pytest.raises(BuildError, match="No such file"):
        fetch(want((tmp_path / "gone").as_uri()))
    (tmp_path / "page.ckpt").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(BuildError, match="web page"):
        fetch(want((tmp_path / "page.ckpt").as_uri()))
    with pytest.raises(MismatchError, match="sha256"):
        fetch(want(source.as_uri(), sha256="0" * 64))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="Linux has a file that cannot be read")
def test_a_file_that_cannot_be_read_is_told_as_one(home: Home, fetch: Fetch) -> None:
    with pytest.raises(BuildError, match="cannot be read: Input/output error"):
        fetch(want("file:///proc/self/mem"))
    with pytest.raises(BuildError, match="Input/output error"):
        fetch(replace(want("file:///proc/self/mem"), member="x"))
    with pytest.raises(UsageError, match="cannot read /proc/self/mem: Input/output error"):
        add_file(home, Path("/proc/self/mem"), want("https://h/x"), replace=False)


def test_failing_read_is_not_taken_for_a_full_disk(
    tmp_path: Path, home: Home, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.ckpt").write_bytes(DATA)

    monkeypatch.setattr(adding, "open_plain", failing_after(1000))
    monkeypatch.setattr(fetching, "open_plain", failing_after(1000))
    with pytest.raises(UsageError, match=r"cannot read .*: Input/output error"):
        add_file(home, tmp_path / "x.ckpt", want("https://h/x"), replace=False)
    with pytest.raises(BuildError, match="cannot be read: Input/output error"):
        fetch(want((tmp_path / "x.ckpt").as_uri()))


def failing_after(sound: int) -> Callable[[Path], BufferedReader]:
    """Return what opens files of a disk that fails beyond so many bytes."""

    class Failing(FileIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() >= sound:
                raise OSError(errno.EIO, "Input/output error")
            return super().readinto(memoryview(buffer)[:sound])

    return lambda path: BufferedReader(Failing(path), sound)


def test_a_file_out_of_an_archive(server: FileServer, home: Home, fetch: Fetch, tmp_path: Path) -> None:
    archive = tmp_path / "models.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../evil", b"x")
        packed.writestr("v4/model.th", DATA)
        packed.writestr("v4/config.yaml", b"a: 1")
    url = server.serve("/models.zip", archive.read_bytes(), stop_after=50_000)
    model = replace(want(url, sha256=SHA, size=len(DATA)), member="v4/model.th")
    config = replace(want(archive.as_uri(), name="config"), member="v4/config.yaml")
    got = fetch(model, config)
    assert [file.sha256 for file in got] == [SHA, hashlib.sha256(b"a: 1").hexdigest()]
    assert got[0].source == f"{url}#v4/model.th"
    assert server.asked[-1].first_byte == 50_000, "the archive is continued as any file is"
    assert everything(home) == ["index"] * 2 + ["sha256"] * 2 + ["stamps"] * 2
    assert model.keys[0] != want(url).keys[0], "another file of the archive has another place in the index"
    with pytest.raises(BuildError, match=r"has no file v5/model\.th") as caught:
        fetch(replace(want(url), member="v5/model.th"))
    assert caught.value.code == "not_the_file"
    with pytest.raises(MismatchError, match=r"its v4/config\.yaml has sha256"):
        fetch(replace(want(url, sha256="0" * 64), member="v4/config.yaml"))
    assert list((home.artifacts_dir / "partial").iterdir()) == []


def test_progress_is_told(server: FileServer, fetch: Fetch) -> None:
    told: list[tuple[str, int, int | None]] = []
    fetch(
        want(server.serve("/x", DATA, pace=0.002), sha256=SHA),
        on_progress=lambda transfers: told.extend((each.name, each.done_bytes, each.total_bytes) for each in transfers),
    )
    assert told[-1] == ("m.ckpt", len(DATA), len(DATA))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_an_index_entry_that_cannot_be_read_is_not_passed_over(server: FileServer, home: Home, fetch: Fetch) -> None:
    wanted = want(server.serve("/x", DATA))
    fetch(wanted)
    path = index.entry_path(home, wanted.keys[0])
    for damage in (b"", b"{", b"[]", path.read_bytes().replace(SHA.encode(), b"zz")):
        path.write_bytes(damage)
        with pytest.raises(MismatchError, match="cannot be read") as caught:
            what_is_known(home, wanted)
        assert caught.value.code == "artifact_index_damaged"


PROGRAM = """
import sys
from pathlib import Path
from tests.unit.artifacts.conftest import want
from stemsep_envs.artifacts.fetching import fetch_all
from stemsep_envs.artifacts.model_files import ToFetch
from stemsep_envs.host.paths import Home
from stemsep_envs.host.transfers import Patience
wanted = want(sys.argv[2], sha256=sys.argv[3] or None)
(got,) = fetch_all(
    Home(Path(sys.argv[1])), [ToFetch(wanted, wanted.addresses)],
    patience=Patience(tell_seconds=0.01, flush_seconds=0.0), on_progress=lambda _: None,
)
print("brought" if got.source else "found")
"""


def program(home: Home, url: str, sha256: str) -> subprocess.Popen[str]:
    checkout = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home.root), url, sha256],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("sha256", [SHA, ""], ids=["known", "unknown"])
def test_killed_download_leaves_a_part_that_is_resumed(
    server: FileServer, home: Home, fetch: Fetch, sha256: str
) -> None:
    url = server.serve("/x", DATA, stop_after=100_000, then="stall")
    child = program(home, url, sha256)
    wanted = want(url, sha256=sha256 or None)
    part = part_path(home, sha256 or wanted.keys[0])
    notes = part.with_name(f"{part.name}.json")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if notes.exists() and json.loads(notes.read_bytes())["sure_bytes"] == 100_000:
            break
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert part.stat().st_size == 100_000
    assert blobs.stored_hashes(home) == []
    fetch(wanted)
    assert server.asked[-1].first_byte == 100_000
    assert blobs.blob_path(home, SHA).read_bytes() == DATA


@pytest.mark.parametrize("sha256", [SHA, ""], ids=["known", "unknown"])
def test_of_several_processes_one_downloads(server: FileServer, home: Home, sha256: str) -> None:
    url = server.serve("/x", DATA, pace=0.005)
    children = [program(home, url, sha256) for _ in range(3)]
    answered = [child.communicate(timeout=60) for child in children]
    assert sorted(out.strip() for out, _ in answered) == ["brought", "found", "found"], answered
    assert len(server.asked) == 1
    assert blobs.blob_path(home, SHA).read_bytes() == DATA


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX")
def test_a_disk_that_fills_up_is_said_and_what_came_is_kept(server: FileServer, home: Home, fetch: Fetch) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n" + PROGRAM
    url = server.serve("/x", DATA)
    done = subprocess.run(
        [sys.executable, "-c", limited, str(home.root), url, SHA],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "LimitError: no space left" in done.stderr
    assert blobs.stored_hashes(home) == []
    fetch(want(url, sha256=SHA))
    assert (server.asked[-1].first_byte or 0) > 100_000


def test_whoever_waits_for_another_process_can_be_interrupted(server: FileServer, home: Home, fetch: Fetch) -> None:
    wanted = want(server.serve("/x", DATA), sha256=SHA)
    looks = []

    def interrupt(transfers: object) -> None:
        looks.append(transfers)
        if len(looks) > 3:
            raise KeyboardInterrupt

    with held(home, lock_name(SHA), check=lambda: None), pytest.raises(KeyboardInterrupt):
        fetch(wanted, on_progress=interrupt)
    assert server.asked == []
    fetch(wanted)


def test_the_index_survives_writers_at_once(home: Home) -> None:
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4)]
    stop = threading.Event()

    def write(number: int) -> None:
        for turn in range(30):
            for key in keys:
                entry = index.entry_of(f"https://h/{key}", SHA, turn, "added", source=str(number), filename=None)
                index.record(home, key, entry)

    def read() -> None:
        while not stop.is_set():
            for key in keys:
                entry = index.find(home, key)
                assert entry is None or entry.sha256 == SHA

    with ThreadPoolExecutor() as pool:
        reader = pool.submit(read)
        list(pool.map(write, range(3)))
        stop.set()
        reader.result()
    assert len(list(index.every_entry(home))) == 4
