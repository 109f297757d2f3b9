"""Freeing disk: what goes, what stays, and that the bytes which are told of really come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conftest import CHECKOUT
from tests.integration import tiny

from stemsep_envs.cli.app import app
from stemsep_envs.environments import environment_store, gc
from stemsep_envs.environments.gc import Rules, collect
from stemsep_envs.environments.package_cache import folders_by_distribution
from stemsep_envs.environments.verifying import verify
from stemsep_envs.errors import BlockedError
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="links and signals as POSIX has them"),
]

DAY = 86400


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tiny.offer_wheels(tmp_path, monkeypatch)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def built(home: Home, wheels: Path, name: str, *, days_ago: float = 0) -> str:
    digest = tiny.ensured(home, wheels, name).digest
    with environment_store.in_use(home, digest):
        pass
    then = time.time() - days_ago * DAY
    os.utime(environment_store.last_used_path(home, digest), (then, then))
    return digest


def there(home: Home) -> set[str]:
    return {item.digest for item in environment_store.list_environments(home)}


def taken_bytes(folder: Path) -> int:
    """What a folder takes, as ``du`` counts it."""
    seen = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        seen[facts.st_ino] = facts.st_blocks * 512
    return sum(seen.values())


def test_age_and_use_decide_and_the_bytes_come_back(home: Home, wheels: Path) -> None:
    old, new = built(home, wheels, "one", days_ago=40), built(home, wheels, "two", days_ago=3)
    planned = collect(home, Rules(max_age_seconds=30 * DAY), served=(), dry_run=True)
    assert there(home) == {old, new}
    before = taken_bytes(home.root)
    done = collect(home, Rules(max_age_seconds=30 * DAY), served=(), dry_run=False)
    assert there(home) == {new}
    assert [choice.stored.digest for choice in done.environments] == [old]
    assert done.distributions == ("beta",)
    came_back = before - taken_bytes(home.root)
    assert abs(done.freed_bytes - came_back) <= 64 << 10  # folders, holds, and uv's own notes
    assert abs(planned.freed_bytes - came_back) <= 64 << 10
    assert verify(home, new).differences == ()
    assert tiny.ensured(home, wheels, "two", offline=True).reused


def test_a_shared_file_comes_back_only_with_its_last_name(home: Home, wheels: Path) -> None:
    built(home, wheels, "one", days_ago=40)
    two = built(home, wheels, "two")
    if environment_store.read_receipt(home, two).builder.link_mode != "hardlink":
        pytest.skip("this file system clones")
    data_bytes = len(tiny.PACKAGES["alpha"]["alpha/data.bin"])
    first = collect(home, Rules(max_age_seconds=30 * DAY), served=(), dry_run=False)
    assert first.freed_bytes < data_bytes
    second = collect(home, Rules(max_age_seconds=0), served=(), dry_run=False)
    assert second.freed_bytes > data_bytes
    assert there(home) == set()
    assert not set(folders_by_distribution(home)) & set(tiny.PACKAGES)


def test_a_second_environment_takes_next_to_nothing(home: Home, wheels: Path) -> None:
    one = built(home, wheels, "one")
    before = taken_bytes(home.root)
    two = built(home, wheels, "three")
    if environment_store.read_receipt(home, two).builder.link_mode != "hardlink":
        pytest.skip("this file system clones")
    survey = gc.survey_home(home, environment_store.list_environments(home))
    assert survey.shared(two) > len(tiny.PACKAGES["alpha"]["alpha/data.bin"])
    assert survey.freeable((two,)) < survey.size(two) / 2
    assert taken_bytes(home.root) - before < survey.size(one) / 2


def test_the_least_recently_used_goes_first_until_it_fits(home: Home, wheels: Path) -> None:
    oldest = built(home, wheels, "one", days_ago=9)
    middle = built(home, wheels, "two", days_ago=5)
    newest = built(home, wheels, "three", days_ago=1)
    total = gc.survey_home(home, environment_store.list_environments(home)).total()
    collect(home, Rules(max_bytes=total - 1), served=(), dry_run=False)
    assert there(home) == {middle, newest}
    assert oldest not in there(home)
    collect(home, Rules(max_bytes=0), served=(), dry_run=False)
    assert there(home) == set()


def test_what_a_model_uses_stays(home: Home, wheels: Path) -> None:
    one, two = built(home, wheels, "one", days_ago=99), built(home, wheels, "two")
    collect(home, Rules(unused=True), served=(one,), dry_run=False)
    assert there(home) == {one}
    assert two not in there(home)


def test_a_clock_that_was_wrong_keeps_nothing_for_ever(home: Home, wheels: Path) -> None:
    digest = built(home, wheels, "one", days_ago=-3650)
    (item,) = environment_store.list_environments(home)
    assert gc.used_at(item, time.time()) <= time.time()
    collect(home, Rules(max_age_seconds=DAY), served=(), dry_run=False)
    assert there(home) == {digest}
    assert abs((environment_store.last_used_at(home, digest) or 0) - time.time()) < 60
    os.utime(environment_store.last_used_path(home, digest), (0, 0))
    collect(home, Rules(max_age_seconds=DAY), served=(), dry_run=False)
    assert there(home) == set()


@pytest.fixture
def session(home: Home, wheels: Path) -> Iterator[tuple[str, int]]:
    """Another process that uses environment one until it is ended."""
    digest = built(home, wheels, "one", days_ago=99)
    program = (
        "import sys, time; from pathlib import Path; from stemsep_envs.environments import environment_store;"
        "from stemsep_envs.host.paths import Home\n"
        "with environment_store.in_use(Home(Path(sys.argv[1])), sys.argv[2]): print('on', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, home.root, digest], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"on\n"
    yield digest, child.pid
    child.kill()
    child.stdin.close()
    child.stdout.close()
    child.wait()


def test_what_a_session_uses_is_never_removed(home: Home, session: tuple[str, int]) -> None:
    digest, pid = session
    os.utime(environment_store.last_used_path(home, digest), (0, 0))
    for rules in (Rules(max_age_seconds=0), Rules(max_bytes=0), Rules(unused=True)):
        collect(home, rules, served=(), dry_run=False)
        assert there(home) == {digest}
    with pytest.raises(BlockedError, match=f"in use by process {pid}") as caught:
        gc.remove_environment(home, digest)
    assert caught.value.exit_code == 6
    assert verify(home, digest).differences == ()
    os.kill(pid, 9)
    for _ in range(100):
        if not environment_store.users(home, digest):
            break
        time.sleep(0.02)
    gc.remove_environment(home, digest)
    assert there(home) == set()


def test_what_is_used_after_it_was_chosen_stays(home: Home, wheels: Path) -> None:
    digest = built(home, wheels, "one", days_ago=99)
    (item,) = environment_store.list_environments(home)
    with environment_store.in_use(home, digest):
        pass
    removed, kept = gc._remove_chosen(home, [gc.Choice(item, "old")])
    assert removed == ()
    assert [choice.why for choice in kept] == ["it was used just now"]


def test_what_the_dead_left_goes_and_what_the_living_make_stays(home: Home, wheels: Path) -> None:
    from stemsep_envs.host import locks

    digest = built(home, wheels, "one")
    for prefix in (environment_store.BUILDING, environment_store.REMOVING, environment_store.COPYING):
        (home.environments_dir / f"{prefix}{digest[:16]}-00000000" / "deep").mkdir(parents=True)
    with locks.hold(environment_store.hold_path(home, digest)):
        assert collect(home, Rules(), served=(), dry_run=True).leftovers == ()
    assert len(collect(home, Rules(), served=(), dry_run=True).leftovers) == 3
    assert len(collect(home, Rules(), served=(), dry_run=False).leftovers) == 3
    assert not [path for path in home.environments_dir.iterdir() if path.name.startswith(".")]
    assert there(home) == {digest}


def test_a_cache_of_others_is_left_alone(
    home: Home, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "shared"))
    built(home, wheels, "one", days_ago=9)
    collect(home, Rules(max_age_seconds=0), served=(), dry_run=False)
    assert there(home) == set()
    other = Home(tmp_path / "other")
    assert not tiny.ensured(other, wheels, "one", offline=True).reused


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk, as root")
def test_a_full_disk_is_said_and_what_gc_tells_of_comes_back(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        home = Home(disk / "home")
        digest = built(home, wheels, "one")
        free = os.statvfs(disk)
        filler = disk / "filler"
        with filler.open("wb") as stream:
            try:
                while True:
                    stream.write(bytes(65536))
                    stream.flush()
            except OSError:
                pass
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.tiny", home.root, wheels, "ensure", "two"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert "built" not in done.stdout
        assert verify(home, digest).differences == ()
        filler.unlink()
        assert not tiny.ensured(home, wheels, "two").reused
        before = os.statvfs(disk).f_bavail
        found = collect(home, Rules(max_age_seconds=0), served=(), dry_run=False)
        came_back = (os.statvfs(disk).f_bavail - before) * free.f_frsize
        assert abs(came_back - found.freed_bytes) <= 256 << 10
    finally:
        subprocess.run(["umount", disk], check=True)
        remove_tree(disk)


def test_the_command_line(home: Home, wheels: Path) -> None:
    def call(*arguments: str) -> dict[str, object]:
        result = CliRunner().invoke(app, ["env", *arguments, "--json", "--quiet"], standalone_mode=False)
        assert not result.return_value, result.output
        document: dict[str, object] = json.loads(result.stdout)
        return document

    one, two = built(home, wheels, "one", days_ago=9), built(home, wheels, "two", days_ago=2)
    listing = call("list")
    rows = listing["environments"]
    assert isinstance(rows, list)
    assert [row["digest"] for row in rows] == [two, one]
    assert rows[1]["age_seconds"] == pytest.approx(9 * DAY, abs=60)
    assert rows[0]["models"] == []
    assert rows[0]["freeable_bytes"] <= rows[0]["size_bytes"]
    assert call("gc", "--dry-run", "--max-age", "5")["dry_run"] is True
    assert there(home) == {one, two}
    assert call("gc", "--max-age", "5", "--max-size", "1T", "--yes")["kept"] == []
    assert there(home) == {two}
    removed = call("remove", two[:12], "--yes")["removed"]
    assert isinstance(removed, list)
    assert [item["name"] for item in removed] == [two]
    assert there(home) == set()
