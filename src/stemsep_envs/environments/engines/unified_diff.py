r"""Applying a unified diff of one file, exactly: every line where the diff says it is, and no other interpretation.

Tools that apply diffs are made to be helpful: they look for a hunk elsewhere when it does not fit (offset), leave off
lines of its context (fuzz), and take what follows as another file's diff. A pinned engine needs none of that. Here a
diff either fits to the letter or is refused with the line that does not. Pure; a line is whatever ends in ``\n``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(?: .*)?\n", re.DOTALL)
_INDEX = re.compile(rb"index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}( [0-7]{6})?\n")
_ESCAPE = re.compile(rb'\\([0-7]{3}|["\\abfnrtv])')
_ESCAPED = {b'"': b'"', b"\\": b"\\", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_NO_NEWLINE = b"\\ "
_SHOWN_BYTES = 120

_OTHER_CHANGES = {
    b"old mode ": "it changes the file's mode; only content can be patched",
    b"new mode ": "it changes the file's mode; only content can be patched",
    b"new file mode ": "it makes a file; use a step of the kind add",
    b"deleted file mode ": "it deletes a file, which no step does",
    b"rename ": "it renames a file, which no step does",
    b"copy ": "it copies a file; use a step of the kind add",
    b"similarity ": "it renames or copies a file, which no step does",
    b"dissimilarity ": "it rewrites a file; use a step of the kind replace",
    b"GIT binary patch": "it is a binary patch; use a step of the kind replace",
    b"Binary files ": "it says only that binary files differ; use a step of the kind replace",
}


class DiffError(ValueError):
    """The diff is not one, or does not fit. The message names the line of the diff."""


@dataclass(frozen=True)
class _Line:
    """A line of a hunk: ``" "``, ``-`` or ``+``, its content with its own end, and where in the diff it stands."""

    mark: bytes
    content: bytes
    number: int


@dataclass(frozen=True)
class Hunk:
    """A changed place. ``old_at`` and ``new_at`` count the lines before it in the old and the new file."""

    old_at: int
    new_at: int
    lines: tuple[_Line, ...]
    number: int


def apply_diff(base: bytes, diff: bytes, path: str) -> bytes:
    """Return ``base`` changed as ``diff`` says.

    Args:
        base: The file's content.
        diff: A unified diff of one file, as ``git diff`` or ``diff -u`` writes it.
        path: The file's path; the diff must name it, with or without a first part such as ``a/``.

    Raises:
        DiffError: The diff is malformed, is of another file, of several, of more than content, or does not fit.
    """
    hunks = parse_diff(diff, path)
    lines = base.split(b"\n")
    old = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    new: list[bytes] = []
    taken = 0
    for hunk in hunks:
        if hunk.old_at < taken:
            raise DiffError(f"line {hunk.number}: the hunk begins before the end of the one above it")
        new += old[taken : hunk.old_at]
        if hunk.old_at > len(old) or len(new) != hunk.new_at:
            raise DiffError(f"line {hunk.number}: the hunk is not at the place that it names")
        taken = hunk.old_at
        for line in hunk.lines:
            if line.mark != b"+":
                _refuse_difference(line, old[taken] if taken < len(old) else None, taken + 1)
                taken += 1
            if line.mark != b"-":
                new.append(line.content)
    result = [*new, *old[taken:]]
    if any(not line.endswith(b"\n") for line in result[:-1]):
        raise DiffError("a line that is said to end without a newline is not the last of the file")
    changed = b"".join(result)
    if changed == base:
        raise DiffError("it changes nothing")
    return changed


def parse_diff(diff: bytes, path: str) -> tuple[Hunk, ...]:
    """Return the hunks of a unified diff of the file ``path``.

    Raises:
        DiffError: It is malformed, of another file, of several, or of more than content.
    """
    if diff and not diff.endswith(b"\n"):
        raise DiffError("its last line is cut short: there is no newline at its end")
    lines = [line + b"\n" for line in diff.split(b"\n")[:-1]]
    at = _read_header(lines, path)
    hunks: list[Hunk] = []
    while at < len(lines):
        hunk, at = _read_hunk(lines, at)
        hunks.append(hunk)
    if not hunks:
        raise DiffError("it has no hunk")
    return tuple(hunks)


def _read_header(lines: list[bytes], path: str) -> int:
    """Check what stands above the hunks; return where they begin."""
    at = 0
    if at < len(lines) and lines[at].startswith(b"diff "):
        at += 1
    while at < len(lines) and not lines[at].startswith(b"--- "):
        if not _INDEX.fullmatch(lines[at]):
            raise DiffError(f"line {at + 1}: {_why_not_a_header(lines[at])}")
        at += 1
    for offset, mark in enumerate((b"--- ", b"+++ ")):
        line = lines[at + offset] if at + offset < len(lines) else b""
        if not line.startswith(mark):
            raise DiffError(f"line {at + offset + 1}: {mark.decode()}and a file's name is missing")
        _refuse_other_name(line[len(mark) :], path, at + offset + 1)
    return at + 2


def _why_not_a_header(line: bytes) -> str:
    if line.endswith(b"\r\n"):
        return "the diff's own lines end in CRLF: it was converted, and must be kept as it was made"
    for beginning, why in _OTHER_CHANGES.items():
        if line.startswith(beginning):
            return why
    return f"{_shown(line)} is not a line of a unified diff"


def _refuse_other_name(field: bytes, path: str, number: int) -> None:
    if field.endswith(b"\r\n"):
        raise DiffError(f"line {number}: {_why_not_a_header(field)}")
    name = _unquoted(field.rstrip(b"\n")) if field.startswith(b'"') else field.rstrip(b"\n").partition(b"\t")[0]
    if name == b"/dev/null":
        raise DiffError(f"line {number}: it makes or deletes a file; a step of the kind add makes one, none deletes")
    if path.encode() not in {name, name.partition(b"/")[2]}:
        raise DiffError(f"line {number}: it is a diff of {_shown(name)}, not of {path!r}")


def _unquoted(field: bytes) -> bytes:
    """Return a name that git wrote in quotes because of a special character."""

    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _ESCAPED.get(code, b"\v")

    return _ESCAPE.sub(plain, field[1:].rpartition(b'"')[0])


def _read_hunk(lines: list[bytes], at: int) -> tuple[Hunk, int]:
    number = at + 1
    header = _HUNK.fullmatch(lines[at])
    if header is None:
        if lines[at].startswith((b"--- ", b"diff ")):
            raise DiffError(f"line {number}: a second file begins; write one step for each file")
        raise DiffError(f"line {number}: {_shown(lines[at])} is not the head of a hunk")
    old_start, old_count, new_start, new_count = (int(value) if value else 1 for value in header.groups())
    body, at = _read_body(lines, at + 1, old_count, new_count)
    # An empty side is placed behind a line, a filled one at a line: @@ -0,0 is the top of the file, as is @@ -1,2.
    return Hunk(old_start - (old_count > 0), new_start - (new_count > 0), body, number), at


def _read_body(lines: list[bytes], at: int, old_left: int, new_left: int) -> tuple[tuple[_Line, ...], int]:
    """Return the lines that a hunk's head promises, each with the end it has in the file, and where they end."""
    body: list[_Line] = []
    while old_left or new_left:
        line = lines[at] if at < len(lines) else b""
        # Some tools leave off the one blank of an empty line of context.
        mark, content = (b" ", line) if line == b"\n" else (line[:1], line[1:])
        if mark not in {b" ", b"-", b"+"}:
            raise DiffError(f"line {at + 1}: the hunk ends before the lines that its head promises")
        old_left -= mark != b"+"
        new_left -= mark != b"-"
        if old_left < 0 or new_left < 0:
            raise DiffError(f"line {at + 1}: the hunk has more lines than its head promises")
        number, at = at + 1, at + 1
        if at < len(lines) and lines[at].startswith(_NO_NEWLINE):
            content, at = content[:-1], at + 1
        body.append(_Line(mark, content, number))
    return tuple(body), at


def _refuse_difference(line: _Line, found: bytes | None, at: int) -> None:
    if found == line.content:
        return
    if found is None:
        raise DiffError(f"line {line.number}: it names line {at} of the file, which ends before")
    if found.rstrip(b"\r\n") == line.content.rstrip(b"\r\n"):
        ends = {b"\r\n": "CRLF", b"\n": "LF", b"": "nothing"}
        here = ends.get(found[len(found.rstrip(b"\r\n")) :], "something else")
        there = ends.get(line.content[len(line.content.rstrip(b"\r\n")) :], "something else")
        raise DiffError(f"line {line.number}: line {at} of the file ends in {here}, and in {there} here")
    raise DiffError(f"line {line.number}: line {at} of the file is {_shown(found)}, and {_shown(line.content)} here")


def _shown(line: bytes) -> str:
    text = line.rstrip(b"\r\n")
    cut = text[:_SHOWN_BYTES].decode(errors="replace")
    return repr(cut) + ("…" if len(text) > _SHOWN_BYTES else "")
