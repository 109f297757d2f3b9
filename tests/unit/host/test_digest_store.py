"""A store of entries named by digests: made once, whole or not at all, whoever dies when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsep_envs.errors import BlockedError, StemsepEnvError
from stemsep_envs.host import digest_store, use_marks
from stemsep_envs.host.digest_store import DigestStore

NAMES = ("a" * 64, "a" * 16 + "b" * 48, "c" * 64)
"""Two of them share a key."""
NAME = NAMES[0]
PARTS = ("one", "two")
ROOT = Path(__file__).parents[3]
posix = pytest.mark.skipif(os.name == "nt", reason="kills as on POSIX")


def check(folder: Path, receipt: bytes) -> str | None:
    if json.loads(receipt)["name"] != folder.name:
        return "its receipt is for another entry"
    return None if all((folder / part).read_text() == part for part in PARTS) else "a part is wrong"


def store_in(root: Path) -> DigestStore:
    return DigestStore(
        dir=root / "things",
        holds_dir=root / "holds",
        word="thing",
        receipt="receipt.json",
        check=check,
        gone_code="thing_gone",
        in_use_code="thing_in_use",
        damaged="receipt-of-damaged.json",
    )


@pytest.fixture
def store(tmp_path: Path) -> DigestStore:
    return store_in(tmp_path)


def make(store: DigestStore, name: str = NAME) -> None:
    with digest_store.staging_dir(store, name) as staging:
        for part in PARTS:
            (staging / part).write_text(part)
        (staging / store.receipt).write_text(json.dumps({"name": name}))
        digest_store.publish(store, name, staging)


def ensure(store: DigestStore, name: str = NAME) -> bool:
    return digest_store.ensure(store, name, lambda: make(store, name))


def files_in(store: DigestStore) -> list[str]:
    return sorted(path.name for path in store.dir.iterdir())


# What is whole, and what is not.


def test_an_entry_is_made_once(store: DigestStore) -> None:
    assert digest_store.problem_with(store, NAME) == "it was never built"
    assert [ensure(store), ensure(store)] == [False, True]
    assert digest_store.problem_with(store, NAME) is None
    assert files_in(store) == [NAME]
    assert digest_store.names(store) == (NAME,)


def damage_receipt(folder: Path) -> None:
    (folder / "receipt.json").write_text("{")


def rename_entry(folder: Path) -> None:
    (folder / "receipt.json").write_text('{"name": "other"}')


def lose_receipt(folder: Path) -> None:
    (folder / "receipt.json").unlink()


def set_receipt_aside(folder: Path) -> None:
    (folder / "receipt.json").rename(folder / "receipt-of-damaged.json")


def change_part(folder: Path) -> None:
    (folder / "one").write_text("other")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_receipt, "its receipt cannot be read"),
        (rename_entry, "its receipt is for another entry"),
        (lose_receipt, "there is no receipt"),
        (set_receipt_aside, "files in it are not as they were built"),
        (change_part, "a part is wrong"),
    ],
)
def test_a_broken_entry_is_told_and_made_anew(store: DigestStore, harm: Callable[[Path], None], words: str) -> None:
    ensure(store)
    harm(digest_store.entry_dir(store, NAME))
    assert digest_store.problem_with(store, NAME) == words
    assert not ensure(store)
    assert digest_store.problem_with(store, NAME) is None
    assert files_in(store) == [NAME]


def test_an_entry_without_a_receipt_is_not_published(store: DigestStore) -> None:
    with pytest.raises(ValueError, match=r"receipt\.json"), digest_store.staging_dir(store, NAME) as staging:
        digest_store.publish(store, NAME, staging)
    assert files_in(store) == []


def test_a_make_that_fails_leaves_nothing(store: DigestStore) -> None:
    def fail() -> None:
        with digest_store.staging_dir(store, NAME) as staging:
            (staging / "one").write_text("one")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it is the one above
        digest_store.ensure(store, NAME, fail)
    assert files_in(store) == []
    assert not ensure(store)


def test_an_empty_home_has_no_entries(store: DigestStore) -> None:
    assert digest_store.names(store) == ()
    assert digest_store.leftovers(store) == ()
    digest_store.clear_leftovers(store)


def test_other_names_are_no_entries(store: DigestStore) -> None:
    ensure(store)
    (store.dir / "notes").mkdir()
    (store.dir / ("d" * 64)).write_text("a file")
    assert digest_store.names(store) == (NAME,)


# Leftovers.


@pytest.mark.parametrize("prefix", [".building-", ".removing-", ".copying-", "."])
def test_leftovers_of_the_dead_go(store: DigestStore, prefix: str) -> None:
    left = store.dir / f"{prefix}{NAMES[2][:16]}-00000000"
    (left / "deep").mkdir(parents=True)
    assert digest_store.leftovers(store) == (left,)
    ensure(store)
    assert files_in(store) == [NAME]


def test_what_the_living_make_stays(store: DigestStore) -> None:
    with digest_store.hold(store, NAMES[2]), digest_store.staging_dir(store, NAMES[2]) as staging:
        assert digest_store.leftovers(store) == ()
        ensure(store)
        assert staging.is_dir()
        assert not digest_store.clear_leftover(store, staging)


def test_temporary_files_are_no_leftovers(store: DigestStore) -> None:
    ensure(store)
    (store.dir / ".stemsep-env-0123456789abcdef.tmp").write_text("")
    assert digest_store.leftovers(store) == ()


# Use.


def test_a_used_entry_is_not_removed(store: DigestStore) -> None:
    ensure(store)
    with digest_store.in_use(store, NAME):
        assert digest_store.live_uses(store, NAME) == 1
        with pytest.raises(BlockedError, match=f"in use by process {os.getpid()}") as caught:
            digest_store.refuse_if_used(store, NAME)
        assert caught.value.reasons[0].code == "thing_in_use"
        used_at = use_marks.last_used_at(digest_store.uses_dir(store, NAME))
        assert used_at is not None
        assert "in use" in str(digest_store.remove_if_idle(store, NAME, last_used_at=used_at))
    assert digest_store.problem_with(store, NAME) is None
    assert digest_store.live_uses(store, NAME) == 0


def test_an_entry_used_since_it_was_chosen_stays(store: DigestStore) -> None:
    ensure(store)
    with digest_store.in_use(store, NAME):
        pass
    assert digest_store.remove_if_idle(store, NAME, last_used_at=None) == "it was used just now"
    used_at = use_marks.last_used_at(digest_store.uses_dir(store, NAME))
    assert digest_store.remove_if_idle(store, NAME, last_used_at=used_at) is None
    assert files_in(store) == []


def test_an_entry_that_is_being_made_stays(store: DigestStore) -> None:
    ensure(store)
    with digest_store.hold(store, NAME):
        assert "another process" in str(digest_store.remove_if_idle(store, NAME, last_used_at=None))


def test_a_gone_entry_cannot_be_used(store: DigestStore) -> None:
    ensure(store)
    lose_receipt(digest_store.entry_dir(store, NAME))
    with pytest.raises(StemsepEnvError, match="there is no receipt") as caught, digest_store.in_use(store, NAME):
        raise AssertionError
    assert caught.value.code == "thing_gone"
    assert digest_store.live_uses(store, NAME) == 0


def test_use_is_prepared_under_the_lock(store: DigestStore) -> None:
    ensure(store)
    seen: list[str | None] = []
    with digest_store.in_use(
        store, NAME, prepare=lambda: seen.append(digest_store.remove_if_idle(store, NAME, last_used_at=None))
    ):
        pass
    assert seen == ["another process is building it, or about to use it"]


def test_looking_keeps_an_entry_and_is_no_use(store: DigestStore) -> None:
    ensure(store)
    with digest_store.kept(store, NAME):
        assert "in use" in str(digest_store.remove_if_idle(store, NAME, last_used_at=None))
    assert use_marks.last_used_at(digest_store.uses_dir(store, NAME)) is None


@posix
def test_a_replaced_entry_stays_for_who_has_it_open(store: DigestStore) -> None:
    ensure(store)
    with digest_store.in_use(store, NAME), (digest_store.entry_dir(store, NAME) / "one").open() as stream:
        lose_receipt(digest_store.entry_dir(store, NAME))
        assert not ensure(store)
        aside = [path for path in store.dir.iterdir() if path.name.startswith(".removing-")]
        assert [(path / "one").read_text() for path in aside] == ["one"]
        assert stream.read() == "one"
    digest_store.clear_leftovers(store)
    assert files_in(store) == [NAME, f"{NAME}.uses"]


# Any order of steps, by hypothesis: an entry is whole whenever it is said to be.


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("ensure", "remove", "use", "harm", "leave", "clear", "gc")), st.sampled_from(NAMES)),
        max_size=12,
    )
)
def test_any_order_of_steps(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]) -> None:
    store = store_in(tmp_path_factory.mktemp("store"))
    there: set[str] = set()
    used: set[str] = set()
    for step, name in steps:
        folder = digest_store.entry_dir(store, name)
        if step == "ensure":
            assert ensure(store, name) == (name in there)
            there.add(name)
        elif step == "remove":
            with digest_store.hold(store, name):
                digest_store.remove(store, name)
            there.discard(name)
            used.discard(name)
        elif step == "use" and name in there:
            with digest_store.in_use(store, name):
                used.add(name)
        elif step == "harm" and name in there:
            lose_receipt(folder)
            there.discard(name)
        elif step == "leave":
            (store.dir / f".building-{name[:16]}-00000000" / "deep").mkdir(parents=True, exist_ok=True)
        elif step == "clear":
            digest_store.clear_leftovers(store)
            assert digest_store.leftovers(store) == ()
        elif step == "gc":
            why_not = digest_store.remove_if_idle(store, name, last_used_at=None)
            assert (why_not is None) == (name not in used)
            if why_not is None:
                there.discard(name)
        assert {each for each in NAMES if digest_store.problem_with(store, each) is None} == there
        assert there <= set(digest_store.names(store)) <= set(NAMES)


# Other processes, and kills.

PROGRAM = """
import sys, time
from pathlib import Path
from tests.unit.host.test_digest_store import NAME, make, store_in
from stemsep_envs.host import digest_store
root = Path(sys.argv[1])
store = store_in(root)

def slowly():
    with (root / "log").open("a") as log:
        log.write("made\\n")
    time.sleep(0.3)
    make(store)

print(digest_store.ensure(store, NAME, slowly))
"""


def test_of_many_processes_at_once_one_makes_it(store: DigestStore, tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(4)
    ]
    said = Counter(child.communicate(timeout=120)[0].strip() for child in children)
    assert said == {"False": 1, "True": 3}
    assert (tmp_path / "log").read_text() == "made\n"
    assert files_in(store) == [NAME]


KILLING = """
import os, signal, sys
from pathlib import Path
from tests.unit.host import test_digest_store as steps
from stemsep_envs.host import atomic_write, digest_store

SOURCES = {digest_store.__file__, atomic_write.__file__, steps.__file__}

def is_killed_at(line, act, store):
    # In a child that is killed before so many lines of the store's code; a program of one thread may fork.
    pid = os.fork()
    if pid == 0:
        left = line
        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename not in SOURCES:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        act(store)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in {0, signal.SIGKILL}, status
    return status != 0

root, before, line, killed = Path(sys.argv[1]), sys.argv[2], 0, True
while killed:
    line += 1
    store = steps.store_in(root / str(line))
    if before != "nothing":
        steps.ensure(store)
    if before == "broken":
        steps.change_part(digest_store.entry_dir(store, steps.NAME))
    killed = is_killed_at(line, steps.make if before == "nothing" else steps.redo, store)
    steps.refuse_half_made(store)
print(line)
"""


def redo(store: DigestStore) -> None:
    """Replace, use and remove an entry."""
    with digest_store.hold(store, NAME):
        make(store)
    with digest_store.in_use(store, NAME):
        pass
    with digest_store.hold(store, NAME):
        digest_store.remove(store, NAME)


def refuse_half_made(store: DigestStore) -> None:
    """Make sure that what is said to be whole is, and that the next one makes it and clears the rest away."""
    if digest_store.problem_with(store, NAME) is None:
        assert {(digest_store.entry_dir(store, NAME) / part).read_text() for part in PARTS} == set(PARTS)
    ensure(store)
    digest_store.clear_leftovers(store)
    assert digest_store.problem_with(store, NAME) is None
    assert [name for name in files_in(store) if not name.endswith(".uses")] == [NAME]


@posix
@pytest.mark.parametrize("before", ["nothing", "broken", "whole"])
def test_killed_at_any_line_nothing_is_taken_for_whole(tmp_path: Path, before: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLING, tmp_path, before], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


USER = """
import sys, time
from pathlib import Path
from tests.unit.host.test_digest_store import NAME, digest_store, store_in
with digest_store.in_use(store_in(Path(sys.argv[1])), NAME):
    print("using", flush=True)
    time.sleep(60)
"""


@posix
def test_a_killed_user_uses_nothing(store: DigestStore, tmp_path: Path) -> None:
    ensure(store)
    with subprocess.Popen([sys.executable, "-c", USER, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "using\n"
        assert use_marks.users(digest_store.uses_dir(store, NAME)) == (child.pid,)
        child.kill()
    assert digest_store.live_uses(store, NAME) == 0
    digest_store.refuse_if_used(store, NAME)
