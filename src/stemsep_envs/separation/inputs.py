"""From what the user named to a list of tracks: files, folders, and lists of them. Nothing is decoded here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import StemsepEnvError, UsageError
from stemsep_envs.separation.output_names import TrackSource

_VIDEO_SUFFIXES = {"mp4", "mkv", "mov", "webm", "avi"}
_AUDIO_SUFFIXES = {"aif", "aifc", "aiff", "au", "caf", "oga", "snd", "w64", "wave"}


@dataclass(frozen=True)
class InputTrack:
    """One input: where it is, and why it cannot be used if that is plain already."""

    source: TrackSource
    error: StemsepEnvError | None = None

    @property
    def path(self) -> Path:
        """The input's path, absolute."""
        return self.source.path


def collect_inputs(named: Sequence[Path], *, recursive: bool, decodes: Iterable[str]) -> list[InputTrack]:
    """List the tracks behind what was named.

    A file that is named is taken whatever its name says; in a folder only files whose suffix promises audio are. Hidden
    files and folders are passed over. A missing input stays in the list with its error, so that the others still run.

    Args:
        named: Files and folders, in the user's order.
        recursive: Whether folders are searched to the bottom.
        decodes: Suffixes that the runtime decodes, without dots.

    Raises:
        UsageError: Nothing was named, or the folders hold no audio at all.
    """
    if not named:
        raise UsageError("no input was named", hint="name audio files, folders, or --from-file LIST")
    suffixes = {suffix.lower() for suffix in decodes} | _AUDIO_SUFFIXES | _VIDEO_SUFFIXES
    tracks: list[InputTrack] = []
    seen: set[Path] = set()
    for path in named:
        for track in _tracks_at(path, recursive=recursive, suffixes=suffixes):
            real = track.path.resolve() if track.error is None else track.path
            if real not in seen:
                seen.add(real)
                tracks.append(track)
    if not tracks:
        where = ", ".join(map(str, named))
        raise UsageError(
            f"no audio files in {where}",
            hint="add -r to search folders within" if not recursive else "name the files themselves",
            code="no_inputs",
        )
    return tracks


def read_list(text: str, base: Path) -> list[Path]:
    """Read a list of inputs: one path a line, blank lines and ``#`` comments passed over; or NUL-separated, all taken.

    Relative paths are taken from ``base``. A name that begins with ``#`` is written ``./#...``.
    """
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        return [base / name for name in text.split("\0") if name]
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [base / line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _tracks_at(path: Path, *, recursive: bool, suffixes: set[str]) -> Iterator[InputTrack]:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - keeps links as they were named
    if os.path.isdir(absolute):  # noqa: PTH112 - Path.is_dir raises for what is no path at all
        yield from _tracks_in(absolute, recursive=recursive, suffixes=suffixes)
    else:
        yield InputTrack(TrackSource(absolute), _problem_with(absolute))


def _tracks_in(folder: Path, *, recursive: bool, suffixes: set[str]) -> Iterator[InputTrack]:
    """Walk a folder; links to folders are not followed, so that none is walked twice or for ever."""
    unreadable: list[OSError] = []
    for current, dirs, files in os.walk(folder, onerror=unreadable.append):
        dirs[:] = sorted(name for name in dirs if not name.startswith(".")) if recursive else []
        parent = Path(current).relative_to(folder).as_posix()
        for name in sorted(files):
            path = Path(current, name)
            promising = not name.startswith(".") and path.suffix[1:].lower() in suffixes
            if promising and (path.is_file() or path.is_symlink()):
                yield InputTrack(TrackSource(path, "" if parent == "." else parent), _problem_with(path))
    for error in unreadable:
        yield InputTrack(TrackSource(Path(error.filename)), _unreadable(Path(error.filename), error.strerror))


def _problem_with(path: Path) -> StemsepEnvError | None:
    """Say why a file cannot be an input, as far as that is plain without opening it."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
        return UsageError(f"{path} {what}", hint="check the path", code="input_missing")
    except OSError as error:  # a name too long, a loop of links, a folder that may not be entered
        return _unreadable(path, error.strerror)
    except ValueError:  # an embedded NUL
        return UsageError(f"{str(path)!r} is not a path", code="input_missing")
    if not stat.S_ISREG(mode):
        return UsageError(f"{path} is not a file", hint="name an audio file", code="input_unreadable")
    readable = os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
    return None if readable else _unreadable(path, "permission denied")


def _unreadable(path: Path, why: str | None) -> UsageError:
    return UsageError(f"cannot read {path}: {why or 'unknown reason'}", code="input_unreadable")
