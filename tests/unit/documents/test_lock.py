"""Locks: what is written is what is read, and nothing else is."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from stemsep_envs.documents.lock import Lock, LockInputs, Pin, inputs_digest_of, parse_body, parse_lock
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.errors import MismatchError

hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
numbers = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
version_texts = st.builds(lambda number, tail: number + tail, numbers, st.sampled_from(["", "+cpu", "rc1", ".post2"]))
targets = st.sampled_from(["linux-x86_64-cpu", "linux-x86_64-cu128", "macos-arm64-mps", "linux-x86_64-rocm6.4"])


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Any lock."""
    pin_names = sorted(draw(st.sets(names, min_size=1, max_size=6)))
    pins = tuple(
        Pin(name, draw(version_texts), tuple(draw(st.lists(hashes, min_size=1, max_size=3)))) for name in pin_names
    )
    inputs = LockInputs(
        parse_target(draw(targets)),
        f"3.{draw(st.integers(8, 14))}",
        tuple(f"{name}>=1" for name in pin_names),
        torch_packages=tuple(draw(st.sampled_from([(), ("torch",), ("torch", "torchaudio")]))),
        builds=tuple(draw(st.sampled_from([(), ("torch-harmonics",)]))),
        excluded=tuple(draw(st.sampled_from([(), ("torchvision",)]))),
    )
    return Lock(inputs, "uv 0.13.8", draw(st.dates()).isoformat(), pins)


def example() -> Lock:
    """A small lock."""
    inputs = LockInputs(Target("linux-x86_64", "cpu"), "3.11", ("numpy<3,>=1.26", "soxr>=0.5"))
    pins = (Pin("numpy", "2.4.6", ("a" * 64, "b" * 64)), Pin("soxr", "1.1.0", ("c" * 64,)))
    return Lock(inputs, "uv 0.13.8", "2026-11-20", pins)


@given(locks())
def test_what_is_written_is_what_is_read(lock: Lock) -> None:
    assert parse_lock(lock.text(), origin="a lock") == lock
    assert parse_lock(lock.text().encode(), origin="a lock").text() == lock.text()


@given(locks())
def test_a_lock_is_requirements_text(lock: Lock) -> None:
    joined = lock.text().replace("\\\n", " ")
    pinned = [line.split(" --hash")[0].strip() for line in joined.splitlines() if line and not line.startswith("#")]
    assert [Requirement(line).name for line in pinned] == [pin.name for pin in lock.pins]


@given(locks(), st.dates())
def test_the_day_and_the_resolver_enter_no_digest(lock: Lock, day: object) -> None:
    later = dataclasses.replace(lock, resolved_on=str(day), resolver="uv 9.9.9")
    assert (later.digest, later.inputs.digest) == (lock.digest, lock.inputs.digest)


@given(locks(), st.data())
def test_any_changed_line_below_the_header_is_noticed(lock: Lock, data: st.DataObject) -> None:
    lines = lock.text().split("\n")
    start = lines.index("") + 1
    position = data.draw(st.integers(start, len(lines) - 2))
    column = data.draw(st.integers(0, len(lines[position]) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda item: item != lines[position][column]))
    lines[position] = lines[position][:column] + letter + lines[position][column + 1 :]
    with pytest.raises(MismatchError):
        parse_lock("\n".join(lines), origin="a lock")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# python: 3.11", "# python: 3.12"),
        ("# requires: soxr>=0.5", "# requires: soxr>=0.6"),
        ("# target: linux-x86_64-cpu", "# target: linux-aarch64-cpu"),
        ("# requires: soxr>=0.5\n", ""),
    ],
)
def test_a_changed_question_is_noticed(old: str, new: str) -> None:
    with pytest.raises(MismatchError, match="inputs: the header was changed"):
        parse_lock(example().text().replace(old, new), origin="a lock")


def test_the_digest_of_the_inputs_is_read_from_the_head_alone() -> None:
    lock = example()
    assert inputs_digest_of(lock.text()[:600]) == lock.inputs.digest
    assert inputs_digest_of("numpy==1\n") is None
    assert inputs_digest_of("# stemsep-env lock 1\n# python: 3.11\n") is None


def test_all_problems_are_told_with_their_lines() -> None:
    text = example().text()
    text = text.replace("# python: 3.11", "# python: 4").replace("# resolved: 2026-11-20", "# resolved: yesterday")
    text = text.replace("b" * 64, "b" * 63).replace(
        "soxr==1.1.0", "--index-url https://example.org/simple\nsoxr==1.1.0"
    )
    with pytest.raises(MismatchError) as caught:
        parse_lock(text, origin="the lock")
    message = str(caught.value)
    assert message.startswith("the lock is not the lock that was made")
    for words in ("line 3: '4' is not a Python minor", "line 8: 'yesterday'", "line 13:", "line 14: ", "--index-url"):
        assert words in message, message
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("numpy==1.0\n", "line 1: not a pinned package"),
        ("numpy==1.0 \\\n    --hash=md5:00\n", "line 2"),
        ("numpy==1.0 \\\n", "line 2: a hash line is missing"),
        ("numpy>=1.0 \\\n    --hash=sha256:" + "a" * 64 + "\n", "line 1: not a pinned package"),
        ("-e .\n", "line 1"),
        ("x @ https://example.org/x.whl \\\n    --hash=sha256:" + "a" * 64 + "\n", "line 1"),
        ("Numpy==1.0 \\\n    --hash=sha256:" + "a" * 64 + "\n", "line 1"),
        ("numpy==1.0 ; python_version < '3' \\\n    --hash=sha256:" + "a" * 64 + "\n", "line 1"),
        ("", "line 1: no package is locked"),
    ],
)
def test_what_is_no_body(body: str, words: str) -> None:
    problems: list[str] = []
    parse_body(body, problems)
    assert any(problem.startswith(words) for problem in problems), problems


def test_packages_are_locked_once_and_in_order() -> None:
    entry = "{}==1.0 \\\n    --hash=sha256:" + "a" * 64 + "\n"
    for pair in (("b", "a"), ("a", "a")):
        problems: list[str] = []
        parse_body("".join(map(entry.format, pair)), problems)
        assert problems == [f"line 3: {pair[1]} is locked twice, or not in the order of names"]


def test_not_text_and_not_a_lock() -> None:
    with pytest.raises(MismatchError, match="not UTF-8"):
        parse_lock(b"\xff\xfe", origin="a lock")
    with pytest.raises(MismatchError, match="line 1: not a lock of this format"):
        parse_lock("numpy==1.0\n", origin="a lock")


def test_many_problems_are_counted() -> None:
    text = example().text() + "nonsense\n" * 100
    with pytest.raises(MismatchError, match="and 80 more"):
        parse_lock(text, origin="a lock")


def test_excluded_packages_change_the_question() -> None:
    question = example().inputs
    assert question.digest == "a5e113314aa838bf9c256b456096a440b3dab70d478532dd46d83bf17edfb366"
    assert dataclasses.replace(question, excluded=("torchvision",)).digest != question.digest
