"""Where every stem will go, planned before anything runs, so that no two outputs collide on any file system.

A template such as ``{model}/{track}/{stem}.{ext}`` is filled for each input; every part is made safe for Linux, macOS
and Windows alike, and two tracks whose files would meet (also on file systems that ignore case or Unicode form) each get a
short hash of their input's path.
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

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)$")


@dataclass(frozen=True)
class TrackNames:
    """The planned places of one track: stem name to path, and the path of its record, relative to the output folder."""

    stems: Mapping[str, PurePosixPath]
    record: PurePosixPath


@dataclass(frozen=True)
class TrackSource:
    """An input as far as names go: its path, and its folder below the one that was named (``""`` when it was named itself)."""

    path: Path
    parent: str = ""


def check_template(template: str) -> None:
    """Refuse a template that cannot name every stem apart.

    Raises:
        UsageError: Unknown field, no ``{stem}``, an absolute path or ``..``, or a syntax error.
    """
    hint = f"fields: {', '.join('{' + field + '}' for field in FIELDS)}; the default is {DEFAULT_TEMPLATE}"
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(template)]
    except ValueError as error:
        raise UsageError(f"--filename {template!r}: {error}", hint=hint) from None
    named = [name for name, _, _ in fields if name is not None]
    for name, spec, conversion in fields:
        if name is not None and (name not in FIELDS or spec or conversion):
            raise UsageError(f"--filename {template!r}: {{{name}}} is not a field", hint=hint)
    if "stem" not in named:
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

    def plan(index: int, source: TrackSource, suffix: str) -> TrackNames:
        values = {"model": model_id, "index": f"{index + 1:03d}", "parent": source.parent}
        track = _safe_name(source.path.stem, suffix)
        return TrackNames(
            {stem: _fill(template, {**values, "track": track, "stem": stem, "ext": ext}, suffix) for stem in stems},
            _fill(template, {**values, "track": track, "stem": RECORD_STEM, "ext": RECORD_EXT}, suffix),
        )

    plans = [plan(index, source, "") for index, source in enumerate(sources)]
    taken = Counter(key for names in plans for key in _keys(names))
    clashing = {index for index, names in enumerate(plans) if any(taken[key] > 1 for key in _keys(names))}
    for index in clashing:
        plans[index] = plan(index, sources[index], short_hash(sources[index].path))
    taken = Counter(key for names in plans for key in _keys(names))
    if any(count > 1 for count in taken.values()):
        raise UsageError(
            f"--filename {template!r} gives two outputs the same name",
            hint="use {track} and {stem} in the template",
        )
    return plans


def short_hash(path: Path) -> str:
    """Return eight hexadecimal digits that tell inputs of the same name apart."""
    return hashlib.sha256(str(path).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def comparison_key(path: PurePosixPath) -> str:
    """Return what a file system that ignores case and Unicode form would take ``path`` for."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(path)).casefold())


def _keys(names: TrackNames) -> list[str]:
    return [comparison_key(path) for path in (*names.stems.values(), names.record)]


def _fill(template: str, values: Mapping[str, str], suffix: str) -> PurePosixPath:
    parts = []
    for part in template.replace("\\", "/").split("/"):
        # {parent} is itself a path; everything else is one name.
        if part == "{parent}":
            parts += [_safe_name(piece) for piece in values["parent"].split("/") if piece not in {"", ".", ".."}]
        elif part not in {"", "."}:
            parts.append(_safe_name(part.format_map(values), keep_ext=values["ext"] if "{ext}" in part else ""))
    if suffix and "{track}" not in template:
        # Without the track's name in it, the template's last part must carry the difference.
        last = PurePosixPath(parts[-1])
        parts[-1] = f"{last.stem}-{suffix}{last.suffix}"
    return PurePosixPath(*parts)


def _safe_name(text: str, suffix: str = "", keep_ext: str = "") -> str:
    """Return ``text`` as one name that every common file system takes, ending in ``-suffix`` when one is given."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).rstrip(". ").lstrip(" ")
    if not name or set(name) <= {"."}:
        name = "_"
    stem, dot, rest = name.partition(".")
    if _RESERVED.match(stem):
        name = f"{stem}_{dot}{rest}"
    tail = f"-{suffix}" if suffix else ""
    limit = MAX_NAME_BYTES - len(tail.encode())
    encoded = name.encode()
    if len(encoded) > limit:
        ending = f"~{hashlib.sha256(encoded).hexdigest()[:8]}" + (f".{keep_ext}" if keep_ext else "")
        name = encoded[: limit - len(ending.encode())].decode(errors="ignore").rstrip(". ") + ending
    return name + tail
