"""Diffs apply to the letter or not at all."""

from __future__ import annotations

import difflib
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stemsep_envs.environments.engines.unified_diff import DiffError, apply_diff

PATH = "models/a b.py"

lines = st.sampled_from(
    [b"a", b"b", b"", b"  indented", b"-- x", b"++ y", b"\\ no", b"@@ -1 +1 @@", b"cr\r", b"\xff\0", b"\f"]
)
contents = st.builds(
    lambda parts, end: b"\n".join(parts) + end, st.lists(lines, max_size=12), st.sampled_from([b"", b"\n"])
)


def split(content: bytes) -> list[bytes]:
    return [line + b"\n" for line in content.split(b"\n")[:-1]] + [last for last in [content.split(b"\n")[-1]] if last]


def make_diff(old: bytes, new: bytes, *, context: int = 3, names: tuple[bytes, bytes] | None = None) -> bytes:
    """What a tool writes for two contents, with the marks that difflib leaves to its callers."""
    before, after = names or (b"a/" + PATH.encode() + b"\t", b"b/" + PATH.encode() + b"\t")
    made = b""
    for line in difflib.diff_bytes(difflib.unified_diff, split(old), split(new), before, after, n=context):
        made += line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
    return made


@given(contents, contents, st.integers(0, 4))
def test_what_a_tool_made_applies(old: bytes, new: bytes, context: int) -> None:
    assume(old != new)
    assert apply_diff(old, make_diff(old, new, context=context), PATH) == new


@given(contents, contents, contents, st.integers(1, 4))
def test_diff_on_another_base_is_refused_or_exact(old: bytes, new: bytes, other: bytes, context: int) -> None:
    assume(old != new)
    diff = make_diff(old, new, context=context)
    try:
        result = apply_diff(other, diff, PATH)
    except DiffError:
        return
    # It fitted: every line that the diff names was where it says.
    back = make_diff(new, old, context=context)
    assert apply_diff(result, back, PATH) == other


@given(contents, contents, st.integers(0, 3))
def test_lines_put_in_above_are_an_offset_and_refused(old: bytes, new: bytes, above: int) -> None:
    assume(old != new and old)
    assume(above or not old.endswith(b"\n"))
    diff = make_diff(old, new)
    moved = b"something else\n" * (above + 1) + old
    with pytest.raises(DiffError):
        apply_diff(moved, diff, PATH)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_garbage_is_refused_in_words(base: bytes, garbage: bytes) -> None:
    with pytest.raises(DiffError):
        apply_diff(base, garbage, PATH)


@given(contents, contents, st.data())
def test_a_damaged_diff_is_refused_in_words_or_fits(old: bytes, new: bytes, data: st.DataObject) -> None:
    assume(old != new)
    diff = make_diff(old, new)
    at = data.draw(st.integers(0, len(diff) - 1))
    damaged = diff[:at] + data.draw(st.binary(max_size=3)) + diff[at + 1 :]
    with suppress(DiffError):
        apply_diff(old, damaged, PATH)


HEAD = b"--- a/models/a b.py\n+++ b/models/a b.py\n"
OLD = b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (b"", "missing"),
        (HEAD, "no hunk"),
        (b"nonsense\n", "not a line of a unified diff"),
        (HEAD + b"@@ -1 +1 @@\n-one\n+ONE", "cut short"),
        (HEAD + b"@@ -2 +2 @@\n-one\n+ONE\n", "'two'"),
        (HEAD + b"@@ -1 +2 @@\n-one\n+ONE\n", "not at the place"),
        (HEAD + b"@@ -9 +9 @@\n-one\n+ONE\n", "not at the place"),
        (HEAD + b"@@ -3,2 +3 @@\n three\n-four\n", "ends before"),
        (HEAD + b"@@ -1,2 +1,2 @@\n-one\n+ONE\n", "ends before the lines"),
        (HEAD + b"@@ -1 +1 @@\n-one\n-two\n", "more lines"),
        (HEAD + b"@@ -1 +1 @@\n-one\n+ONE\n two\n", "head of a hunk"),
        (HEAD + b"@@ -2 +2 @@\n-two\n+TWO\n@@ -1 +1 @@\n-one\n+ONE\n", "begins before the end"),
        (HEAD + b"@@ -1 +1 @@\n-one\n+ONE\n@@ -1 +1 @@\n-ONE\n+1\n", "begins before the end"),
        (HEAD + b"@@ -1 +1 @@\n-one\n+ONE\n\\ No newline at end of file\n", "without a newline"),
        (HEAD + b"@@ -1 +1 @@\n one\n", "changes nothing"),
        (HEAD + b"@@ -1 +1 @@\n-one\n+ONE\n" + HEAD + b"@@ -1 +1 @@\n-x\n+y\n", "second file"),
        (HEAD + b"@@ -1 +1 @@\n-one\n+ONE\n-- \n2.39.5\n", "head of a hunk"),
        (b"--- a/models/other.py\n+++ b/models/other.py\n@@ -1 +1 @@\n-one\n+ONE\n", "not of"),
        (b"--- a/models/a b.py\n+++ b/models/other.py\n@@ -1 +1 @@\n-one\n+ONE\n", "not of"),
        (b"--- /dev/null\n+++ b/models/a b.py\n@@ -0,0 +1 @@\n+ONE\n", "makes or deletes"),
        (b"--- a/models/a b.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n", "makes or deletes"),
        (b"diff --git a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\n", "renames"),
        (b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "mode"),
        (b"diff --git a/x b/x\nnew file mode 100644\nindex 0000000..1111111\n", "makes a file"),
        (b"diff --git a/x b/x\ndeleted file mode 100644\nindex 0000000..1111111\n", "deletes"),
        (b"diff --git a/x b/x\ncopy from x\ncopy to y\n", "copies"),
        (b"diff --git a/x b/x\nindex 111111..222222 100644\nGIT binary patch\nliteral 3\n", "binary"),
        (b"diff --git a/x b/x\nindex 111111..222222 100644\nBinary files a/x and b/x differ\n", "binary"),
        (HEAD.replace(b"\n", b"\r\n") + b"@@ -1 +1 @@\r\n-one\r\n+ONE\r\n", "CRLF"),
        (HEAD + b"@@ -1 +1 @@\n-one\r\n+ONE\r\n", "ends in LF, and in CRLF here"),
    ],
)
def test_what_is_refused_and_why(diff: bytes, words: str) -> None:
    with pytest.raises(DiffError, match=words):
        apply_diff(OLD, diff, PATH)


@pytest.mark.parametrize(
    ("old", "diff", "new"),
    [
        (OLD, b"@@ -2 +2 @@ def f():\n-two\n+TWO\n", b"one\nTWO\nthree\n"),
        (OLD, b"@@ -1,0 +2 @@\n+1.5\n", b"one\n1.5\ntwo\nthree\n"),
        (OLD, b"@@ -0,0 +1 @@\n+zero\n", b"zero\none\ntwo\nthree\n"),
        (OLD, b"@@ -1,3 +0,0 @@\n-one\n-two\n-three\n", b""),
        (b"", b"@@ -0,0 +1,2 @@\n+one\n+two\n", b"one\ntwo\n"),
        (b"one", b"@@ -1 +1 @@\n-one\n\\ No newline at end of file\n+one\n", b"one\n"),
        (b"one\n", b"@@ -1 +1 @@\n-one\n+one\n\\ No newline at end of file\n", b"one"),
        (b"a\r\nb\r\n", b"@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n", b"a\r\nc\r\n"),
        (b"a\n\nb\n", b"@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", b"a\n\nc\n"),
        (b"x\n-- y\n", b"@@ -1,2 +1,2 @@\n x\n--- y\n+++ z\n", b"x\n++ z\n"),
    ],
)
def test_the_edges(old: bytes, diff: bytes, new: bytes) -> None:
    assert apply_diff(old, HEAD + diff, PATH) == new


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a/models/x.py", "models/x.py"),
        (b"models/x.py", "models/x.py"),
        (b"models/x.py\t2026-01-01 10:00:00.0 +0100", "models/x.py"),
        (b"i/models/x.py", "models/x.py"),
        (b'"a/M\\303\\274ller/\\"q\\".py"', 'Müller/"q".py'),
        (b"a/two words.py\t", "two words.py"),
    ],
)
def test_names_as_tools_write_them(name: bytes, path: str) -> None:
    assert apply_diff(b"one\n", b"--- " + name + b"\n+++ " + name + b"\n@@ -1 +1 @@\n-one\n+ONE\n", path) == b"ONE\n"
