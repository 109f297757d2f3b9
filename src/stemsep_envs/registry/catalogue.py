"""The catalogue: a registry file as commands use it. One entry is found and checked without checking the others."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.listed_model import ListedModel
from stemsep_envs.documents.registry import ModelEntry, parse_entry
from stemsep_envs.errors import InvalidDocumentError, Problem, StemsepEnvError, UsageError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import default_registry_path, find_home, is_shipped
from stemsep_envs.registry.outline import (
    Outline,
    Span,
    make_outline,
    store_outline,
    stored_outline,
)

_log = logging.getLogger(__name__)

_SMALL_BYTES = 256 << 10
"""Below this size a registry is read whole faster than an outline beside it is looked up."""

_SETTLED_SECONDS = 2.0
"""A file may change again without a new time stamp for this long (FAT counts in steps of two seconds), so an outline
that was made sooner after the file's last change is not kept."""


@dataclass(frozen=True)
class Catalogue:
    """A registry file that was opened; made by `open_catalogue`."""

    path: Path
    outline: Outline
    stamp: tuple[int, ...]
    """What the file system says of the file that ``outline`` was made of."""
    data: bytes | None = None
    """The file's content, when it was read whole."""

    @property
    def origin(self) -> str:
        """What to call the registry in messages."""
        return str(self.path)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What keeps entries from being used at all: no readable id, or the id of another."""
        nameless = [Problem(f"models[{index}].id", "has no readable id") for index in self.outline.nameless]
        repeated = [problem for model_id in self.outline.repeated for problem in self._clashes(model_id)]
        return (*nameless, *repeated)

    def ids(self) -> tuple[str, ...]:
        """All model ids, in the order of the registry."""
        return tuple(self.outline.spans)

    def summaries(self) -> tuple[ListedModel, ...]:
        """One line for each model, in the order of the registry."""
        return self.outline.read_summaries()

    def get(self, model_id: str) -> ModelEntry:
        """Return the checked entry of a model.

        Raises:
            UsageError: No such model (code ``unknown_model``); the hint holds the nearest ids.
            InvalidDocumentError: The entry is wrong, with every problem at its dotted path; or two entries have the id.
        """
        span = self.outline.spans.get(model_id)
        if span is None:
            raise unknown_model(model_id, self.ids())
        if model_id in self.outline.repeated:
            raise InvalidDocumentError(self.origin, self._clashes(model_id))
        text = self._text_at(span)
        if text is None:
            _log.debug("%s changed after it was opened; reading it whole", self.path)
            return read_catalogue(self.path).get(model_id)
        return parse_entry(text, origin=self.origin, path=f"models[{span.place}]")

    def _clashes(self, model_id: str) -> tuple[Problem, ...]:
        first, *others = self.outline.repeated[model_id]
        return tuple(
            Problem(f"models[{index}].id", f"{model_id!r} is the id of models[{first}] too") for index in others
        )

    def _text_at(self, span: Span) -> bytes | None:
        """Return an entry's text, or None when the file is not the one that the outline was made of."""
        if self.data is not None:
            return self.data[span.start : span.end]
        with _reading(self.path), self.path.open("rb") as stream:
            if _stamp(os.fstat(stream.fileno())) != self.stamp:
                return None
            stream.seek(span.start)
            return stream.read(span.end - span.start)


def open_catalogue(path: Path, *, cache_dir: Path | None) -> Catalogue:
    """Open a registry file.

    Args:
        path: The file.
        cache_dir: Where the outlines of large registries are kept between calls; None keeps none.

    Raises:
        UsageError: The file is missing or cannot be read.
        InvalidDocumentError: It is not JSON, or its top level is wrong. Entries are checked when they are asked for.
    """
    with _reading(path):
        stat = path.stat()
    if cache_dir is None or stat.st_size < _SMALL_BYTES:
        return read_catalogue(path)
    place = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
    kept_path = cache_dir / "registries" / f"{place[:32]}.json"
    stamp = _stamp(stat)
    outline = _kept_outline(kept_path, stamp)
    if outline is not None:
        return Catalogue(path, outline, stamp)
    catalogue = read_catalogue(path)
    if _is_settled(catalogue.stamp):
        _keep(kept_path, catalogue)
    return catalogue


def read_catalogue(path: Path) -> Catalogue:
    """Open a registry file by reading it whole; raises as `open_catalogue` does."""
    with _reading(path), path.open("rb") as stream:
        stamp = _stamp(os.fstat(stream.fileno()))
        data = stream.read()
    return Catalogue(path, make_outline(data, origin=str(path)), stamp, data)


def read_registry_file(path: Path) -> bytes:
    """Return a registry file's content, whatever it is.

    Raises:
        UsageError: The file is missing or cannot be read.
    """
    with _reading(path):
        return path.read_bytes()


def unknown_model(model_id: str, known: tuple[str, ...]) -> UsageError:
    """Say that no model has this id, and which have one like it."""
    near = nearest(model_id, known)
    hint = f"did you mean {' or '.join(near)}?" if near else "`stemsep-env registry list` names them all"
    return UsageError(f"the registry has no model {model_id!r}", hint=hint, code="unknown_model")


def nearest(model_id: str, known: tuple[str, ...], count: int = 3) -> tuple[str, ...]:
    """Return the known ids most like ``model_id``, best first: those that hold its words, then those spelled alike."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only for what is not found

    wanted = model_id.strip().lower().replace("_", "-").replace(" ", "-")
    words = [word for word in wanted.split("-") if word]
    holding = [known_id for known_id in known if words and all(word in known_id for word in words)]
    alike = get_close_matches(wanted, known, n=count, cutoff=0.6)
    return tuple(dict.fromkeys([*sorted(holding, key=len)[:count], *alike]))[:count]


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    """What tells a file from any that stood or will stand in its place; ctime cannot be set, as mtime can."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _is_settled(stamp: tuple[int, ...]) -> bool:
    _, modified_ns, changed_ns, _ = stamp
    return time.time() - max(modified_ns, changed_ns) / 1e9 > _SETTLED_SECONDS


def _kept_outline(kept_path: Path, stamp: tuple[int, ...]) -> Outline | None:
    try:
        return stored_outline(kept_path.read_bytes(), stamp=stamp)
    except OSError:
        return None


def _keep(kept_path: Path, catalogue: Catalogue) -> None:
    """Keep an outline for the next call; where that fails, the next call is slow again, which is no reason to stop."""
    try:
        write_atomic(kept_path, store_outline(catalogue.outline, stamp=catalogue.stamp))
    except StemsepEnvError as error:
        _log.debug("the outline of %s was not kept: %s", catalogue.path, error.message)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"there is no registry file {path}", code="registry_missing") from None
    except OSError as error:
        words = error.strerror or str(error)
        raise UsageError(f"cannot read the registry {path}: {words}", code="registry_unreadable") from error


def catalogue_at(path: Path | None) -> Catalogue:
    """Open a registry file, or the one in use when ``path`` is None."""
    home = find_home()
    # A look at the registry is no reason to make a home.
    cache_dir = home.cache_dir if home.root.is_dir() else None
    return open_catalogue(path or default_registry_path(), cache_dir=cache_dir)


def files_dir(path: Path | None) -> Path | None:
    """Return the folder whose files a registry may name by their address alone, its own; None if it may name any.

    A registry may come from anywhere, and what it names is copied to where a model's worker can read it. The one that
    came with the program names what we chose.
    """
    registry = path or default_registry_path()
    return None if is_shipped(registry) else registry.absolute().parent
