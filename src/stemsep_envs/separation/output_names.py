"""Where every stem will go, planned before anything runs, so that no two outputs collide on any file system.

A template such as ``{model}/{track}/{stem}.{ext}`` is filled for each input; every part is made safe for Linux, macOS
and Windows alike, and two tracks whose files would meet (also on file systems that ignore case or Unicode form) each
get a short hash of their input's path. So a track's name depends on which tracks it is run with, not on their order.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stemsep_envs.errors import UsageError

DEFAULT_TEMPLATE = "{model}/{track}/{stem}.{ext}"
FIELDS = ("model", "track", "stem", "ext", "index", "parent")
RECORD_STEM = "run"
RECORD_EXT = "json"

MAX_NAME_BYTES = 180
"""Longest name of a file or folder, in UTF-8: below the common limit of 255, with room for a temporary suffix."""

_SUFFIX_DIGITS = (8, 16, 64)
"""How much of the hash tells tracks apart: more where less was not enough."""

_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(
    rf'[<>:"/\\|?*\x00-\x1f\x7f-\x9f{_DIRECTIONS}\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]'
)
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)[ ]*")
_IGNORED = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Beside format characters, what some file systems pass over when they compare names."""


@dataclass(frozen=True)
class TrackNames:
    """The planned places of one track: stem name to path, and the path of its record, relative to the output folder."""

    stems: Mapping[str, PurePosixPath]
    record: PurePosixPath


@dataclass(frozen=True)
class TrackSource:
    """An input as far as names go: its path, and its folder below the one that was named (``""``: it was itself)."""

    path: Path
    parent: str = ""


def check_template(template: str) -> None:
    """Refuse a template that cannot name every stem apart.

    Raises:
        UsageError: Unknown field, no ``{stem}``, an absolute path or ``..``, or a syntax error.
    """
    hint = f"fields: {', '.join('{' + field + '}' for field in FIELDS)}; the default is {DEFAULT_TEMPLATE}"
    try:
        fields = _fields(template)
    except ValueError as error:
        raise UsageError(f"--filename {template!r}: {error}", hint=hint) from None
    for name, plain in fields.items():
        if name not in FIELDS or not plain:
            raise UsageError(f"--filename {template!r}: {{{name}}} is not a field", hint=hint)
    if "stem" not in fields:
        raise UsageError(f"--filename {template!r} has no {{stem}}: all stems would be one file", hint=hint)
    parts = template.replace("\\", "/").split("/")
    if template.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", template):
        raise UsageError(f"--filename {template!r} leaves the output folder", hint=hint)


def plan_names(
    model_id: str,
    sources: Sequence[TrackSource],
    stems: Sequence[str],
    ext: str,
    template: str = DEFAULT_TEMPLATE,
) -> list[TrackNames]:
    """Plan the outputs of every track.

    Args:
        model_id: The model.
        sources: The inputs, in order.
        stems: The stems that will be written.
        ext: Extension of the stem files, without a dot.
        template: How to name them, relative to the output folder.

    Returns:
        One plan for each source, in order. The same sources in another order get the same names, but for ``{index}``.

    Raises:
        UsageError: The template is wrong, or no naming keeps the tracks apart.
    """
    check_template(template)
    words = _distinct(stems)

    def plan(index: int, digits: int) -> TrackNames:
        source = sources[index]
        filling = _Filling(template, model_id, source, index, short_hash(source.path, digits) if digits else "")
        return TrackNames(
            {stem: filling.path(word, ext) for stem, word in words.items()}, filling.path(RECORD_STEM, RECORD_EXT)
        )

    plans = [plan(index, 0) for index in range(len(sources))]
    tries = [0] * len(sources)
    while clashing := _clashing(plans):
        for index in clashing:
            if tries[index] == len(_SUFFIX_DIGITS):
                raise UsageError(
                    f"--filename {template!r} gives two outputs the same name: {plans[index].record.parent}",
                    hint="use {track} and {stem} in the template, and name each input once",
                )
            plans[index] = plan(index, _SUFFIX_DIGITS[tries[index]])
            tries[index] += 1
    return plans


def short_hash(path: Path, digits: int = _SUFFIX_DIGITS[0]) -> str:
    """Return hexadecimal digits that tell inputs of the same name apart."""
    return hashlib.sha256(str(path).encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def comparison_key(path: PurePosixPath) -> str:
    """Return what a file system that ignores case, Unicode form and invisible characters would take ``path`` for."""
    seen = "".join(char for char in _IGNORED.sub("", str(path)) if unicodedata.category(char) != "Cf")
    folded = unicodedata.normalize("NFKC", seen).upper().casefold()
    return unicodedata.normalize("NFKC", folded).casefold()


def _fields(template: str) -> dict[str, bool]:
    """Return the fields of a template, and whether each is plain: without conversion or format."""
    fields: dict[str, bool] = {}
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is not None:
            fields[name] = fields.get(name, True) and not spec and not conversion
    return fields


def _distinct(stems: Sequence[str]) -> dict[str, str]:
    """Return a word for each stem that is its alone, on any file system: mostly the stem itself."""
    taken = Counter(comparison_key(PurePosixPath(_safe_name(stem))) for stem in stems)
    unique = {stem: taken[comparison_key(PurePosixPath(_safe_name(stem)))] == 1 for stem in stems}
    return {stem: stem if unique[stem] else f"{_safe_name(stem, room=9)}-{short_hash(Path(stem))}" for stem in stems}


def _clashing(plans: Sequence[TrackNames]) -> set[int]:
    """Return the tracks of which a file would meet another file, or be where a folder must be."""
    files = [[comparison_key(path) for path in (*names.stems.values(), names.record)] for names in plans]
    taken = Counter(key for keys in files for key in keys)
    folders = {"/".join(parts[:depth]) for key in taken for parts in [key.split("/")] for depth in range(1, len(parts))}
    return {index for index, keys in enumerate(files) if any(taken[key] > 1 or key in folders for key in keys)}


@dataclass(frozen=True)
class _Filling:
    """A template being filled for one track."""

    template: str
    model_id: str
    source: TrackSource
    index: int
    suffix: str

    def path(self, stem: str, ext: str) -> PurePosixPath:
        suffix = f"-{self.suffix}" if self.suffix else ""
        in_track = "track" in _fields(self.template)
        values = {
            "model": self.model_id,
            "index": f"{self.index + 1:03d}",
            "parent": self.source.parent,
            "track": _safe_name(self.source.path.stem, room=len(suffix)) + suffix,
            "stem": stem,
            "ext": ext,
        }
        *folders, file = [part for part in self.template.replace("\\", "/").split("/") if part not in {"", "."}]
        parts: list[str] = []
        for folder in folders:
            if folder == "{parent}":  # itself a path; everything else is one name
                parts += [_safe_name(piece) for piece in self.source.parent.split("/") if piece not in {"", ".", ".."}]
            else:
                parts.append(_safe_name(folder.format_map(values)))
        name = file.format_map(values)
        if name.lower().endswith(f".{ext}"):
            name = name[: -len(ext) - 1]
        # Without the track's name in it, the file's must carry the difference.
        tail = f".{ext}" if in_track else f"{suffix}.{ext}"
        return PurePosixPath(*parts, _safe_name(name, room=len(tail)) + tail)


def _safe_name(text: str, room: int = 0) -> str:
    """Return ``text`` as one name that every common file system takes, with ``room`` bytes to spare for an ending."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).rstrip(". ").lstrip(" ")
    if not name:
        name = "_"
    if name.startswith("."):
        name = f"_{name[1:]}"  # nobody looks for hidden outputs
    stem, dot, rest = name.partition(".")
    if _RESERVED.fullmatch(stem):
        name = f"{stem}_{dot}{rest}"
    limit = MAX_NAME_BYTES - room
    encoded = name.encode()
    if len(encoded) > limit:
        ending = f"~{hashlib.sha256(encoded).hexdigest()[:12]}"
        name = encoded[: limit - len(ending)].decode(errors="ignore").rstrip(". ") + ending
    return name
