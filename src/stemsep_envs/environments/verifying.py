"""Verifying an environment: is every file as it was built, is none missing, is none too much?

The receipt vouches for the manifest, the manifest for every RECORD and for what no RECORD names, the RECORDs for the
rest. An environment in which something differs loses its receipt, so that nobody uses it until it is built anew; where
all is well again, it gets it back.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.environment import Receipt
from stemsep_envs.documents.environment_manifest import Manifest
from stemsep_envs.documents.environment_reports import Difference
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.adopted import changes_since
from stemsep_envs.environments.fingerprints import Hashed, Listed, hash_files, list_files
from stemsep_envs.environments.sealing import vouched
from stemsep_envs.environments.wheel_records import Claim, claims_of, find_records
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host import digest_store
from stemsep_envs.host.atomic_write import publish
from stemsep_envs.host.paths import Home

_OURS = frozenset({environment_store.RECEIPT, environment_store.MANIFEST, environment_store.DAMAGED})
_HARMFUL_GAINS = stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH
_HARMFUL_LOSSES = stat.S_IRUSR | stat.S_IXUSR


@dataclass(frozen=True)
class Verified:
    """What `verify` found.

    Attributes:
        differences: By path; none when the environment is as it was built.
        files: How many files were looked at.
        hashed_bytes: How much of them was read.
        seconds: How long it took.
    """

    differences: tuple[Difference, ...]
    files: int
    hashed_bytes: int
    seconds: float


@dataclass(frozen=True)
class _Expected:
    """What a file must be: as the manifest says, else as the RECORDs claim."""

    sha256: str | None
    claims: tuple[Claim, ...]
    size_bytes: int | None
    mode: str | None


def verify(home: Home, digest: str, *, quick: bool = False, on_bytes: Callable[[int], None] | None = None) -> Verified:
    """Compare an environment with what was built.

    Args:
        home: The home.
        digest: Which environment.
        quick: Compare names, sizes, permissions and links, and hash only what was written to since the build; a change
            that set the time back is not found.
        on_bytes: Told of each part that was hashed, from other threads.
    """
    began = time.perf_counter()
    with digest_store.kept(environment_store.store_of(home), digest):
        folder = environment_store.environment_dir(home, digest)
        hashed = [0]

        def count(size: int) -> None:
            hashed[0] += size
            if on_bytes is not None:
                on_bytes(size)

        try:
            listed = list_files(folder)
            differences = tuple(sorted(_differences(home, digest, listed, quick, count), key=lambda item: item.path))
        except _UnreadableError as error:
            listed, differences = Listed(folder, {}), (error.difference,)
        _note(folder, damaged=bool(differences))
    return Verified(differences, len(listed.entries), hashed[0], time.perf_counter() - began)


class _UnreadableError(Exception):
    """What the comparison rests on cannot be read."""

    def __init__(self, path: str, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.difference = Difference.model_validate({"path": path, "kind": kind, "detail": detail})


def _note(folder: Path, *, damaged: bool) -> None:
    """Take the receipt from a damaged environment, or give it back to one that is whole again."""
    now, then = (
        (environment_store.RECEIPT, environment_store.DAMAGED)
        if damaged
        else (environment_store.DAMAGED, environment_store.RECEIPT)
    )
    if (folder / now).is_file() and (damaged or not (folder / then).exists()) and os.access(folder, os.W_OK):
        publish(folder / now, folder / then)


def _differences(
    home: Home, digest: str, listed: Listed, quick: bool, count: Callable[[int], None]
) -> Iterator[Difference]:
    receipt = _receipt(home, digest)
    manifest = _manifest(listed.root, receipt)
    problem = environment_store.problem_with(home, digest)
    if (
        problem is not None and environment_store.RECEIPT in listed.entries
    ):  # a receipt that can be read: it is the interpreter
        yield _difference(environment_store.python_path(Path()).as_posix(), "changed", problem)
    if receipt.adopted is not None:
        for words in changes_since(receipt.adopted):
            yield _difference(receipt.adopted.prefix, "changed", words)
    expected, absent = _expected(listed, manifest)
    yield from _misplaced(listed, manifest, expected, absent)
    yield from _changed_links(listed, manifest)
    regular = [path for path in listed.files() if path in expected]
    yield from _changed_modes(listed, expected, regular)
    resized = {path for path in regular if expected[path].size_bytes not in {None, listed.entries[path].st_size}}
    to_hash = [path for path in regular if path not in resized] if not quick else _suspects(listed, regular, resized)
    for path in resized:
        size = listed.entries[path].st_size
        yield _difference(path, "changed", f"{size} bytes instead of {expected[path].size_bytes}")
    for path, hashed in hash_files(listed, to_hash, on_bytes=count).items():
        if isinstance(hashed, OSError):
            yield _difference(path, "changed", f"cannot be read: {hashed.strerror}")
        elif not _is_expected(listed.root, path, hashed, expected[path]):
            yield _difference(path, "changed", "other content of the same size")


def _receipt(home: Home, digest: str) -> Receipt:
    folder = environment_store.environment_dir(home, digest)
    if not folder.is_dir():
        raise _UnreadableError(".", "missing", "there is no such environment")
    if not (folder / environment_store.RECEIPT).exists() and not (folder / environment_store.DAMAGED).exists():
        raise _UnreadableError(environment_store.RECEIPT, "missing", "without it nothing says what was built")
    try:
        receipt = environment_store.read_any_receipt(home, digest)
    except (StemsepEnvError, OSError) as error:
        raise _UnreadableError(environment_store.RECEIPT, "changed", f"it cannot be read: {error}") from None
    if receipt.digest != digest:
        raise _UnreadableError(environment_store.RECEIPT, "changed", "it is of another environment")
    return receipt


def _manifest(folder: Path, receipt: Receipt) -> Manifest:
    path = folder / environment_store.MANIFEST
    if receipt.manifest is None:
        raise _UnreadableError(environment_store.MANIFEST, "missing", "it was built by a version that made none")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _UnreadableError(environment_store.MANIFEST, "missing", f"it cannot be read: {error.strerror}") from None
    if digest_of_bytes(data) != receipt.manifest:
        raise _UnreadableError(environment_store.MANIFEST, "changed", "it is not the one that the receipt names")
    try:
        return parse_json(data, Manifest, origin=str(path))
    except StemsepEnvError as error:
        raise _UnreadableError(environment_store.MANIFEST, "changed", f"it cannot be read: {error}") from None


def _expected(listed: Listed, manifest: Manifest) -> tuple[dict[str, _Expected], frozenset[str]]:
    """Return what each file must be, and the paths that RECORDs name and the wheels never held."""
    sealed = {file.path: file for file in manifest.files}
    records: dict[str, bytes] = {}
    spoiled: set[str] = set()
    for path, _ in find_records(sealed):
        try:
            records[path] = (listed.root / path).read_bytes()
        except OSError:
            continue  # that it is missing is found below
        if digest_of_bytes(records[path]) != sealed[path].sha256:
            spoiled.add(path)
    claims = _readable_claims(records)
    expected = {
        path: _Expected(None, several, _stated_size(several), manifest.modes.get(path, manifest.common_mode))
        for path, several in claims.items()
        if any(claim.digest for claim in several)
    }
    if spoiled:  # what such a RECORD names counts only where it was there when the receipt was written
        since = _sealed_at_ns(listed)
        trusted = _readable_claims({path: data for path, data in records.items() if path not in spoiled})
        new = {path for path, facts in listed.entries.items() if facts.st_mtime_ns > since}
        expected = {path: item for path, item in expected.items() if path in trusted or path not in new}
    for path, file in sealed.items():
        mode = manifest.modes.get(path, manifest.common_mode)
        expected[path] = _Expected(file.sha256, (), file.size_bytes, mode)
    absent = frozenset(item.path for item in manifest.deviations if item.kind == "missing")
    return expected, absent


def _readable_claims(records: Mapping[str, bytes]) -> dict[str, tuple[Claim, ...]]:
    """Return what RECORDs say; one that was changed may say nothing that can be read."""
    claims: dict[str, tuple[Claim, ...]] = {}
    for record, data in records.items():
        try:
            for path, several in claims_of({record: data}).items():
                claims[path] = (*claims.get(path, ()), *several)
        except ValueError:
            continue
    return claims


def _stated_size(claims: tuple[Claim, ...]) -> int | None:
    """Return the size that a RECORD states, unless wheels that claim the same file disagree."""
    sizes = {claim.size_bytes for claim in claims if claim.digest}
    return sizes.pop() if len(sizes) == 1 else None


def _misplaced(
    listed: Listed, manifest: Manifest, expected: Mapping[str, _Expected], absent: frozenset[str]
) -> Iterator[Difference]:
    """Yield what is not there, what is there and was not built, and what is something else now."""
    links = {link.path for link in manifest.links}
    for path in expected.keys() - listed.entries.keys() - absent:
        yield _difference(path, "missing", "it was built and is gone")
    for path in links - listed.entries.keys():
        yield _difference(path, "missing", "a link that was built and is gone")
    for path, facts in listed.entries.items():
        if path in expected:
            if not stat.S_ISREG(facts.st_mode):
                yield _difference(path, "changed", f"{_kind(facts)} instead of a file")
        elif path in links:
            if not stat.S_ISLNK(facts.st_mode):
                yield _difference(path, "changed", f"{_kind(facts)} instead of a link")
        elif path not in _OURS:
            yield _difference(path, "extra", f"{_kind(facts)} that was not built")


def _changed_links(listed: Listed, manifest: Manifest) -> Iterator[Difference]:
    for link in manifest.links:
        facts = listed.entries.get(link.path)
        if facts is not None and stat.S_ISLNK(facts.st_mode):
            target = os.readlink(listed.root / link.path)  # noqa: PTH115 - as it is written, not as a path
            if target != link.target:
                yield _difference(link.path, "link", f"points to {target} instead of {link.target}")


def _changed_modes(listed: Listed, expected: Mapping[str, _Expected], paths: Iterable[str]) -> Iterator[Difference]:
    """Yield files that others may write, that run as someone else, or that can no longer be read or run."""
    for path in paths:
        wanted = expected[path].mode
        if wanted is None:
            continue
        now, then = stat.S_IMODE(listed.entries[path].st_mode), int(wanted, 8)
        if now & ~then & _HARMFUL_GAINS or then & ~now & _HARMFUL_LOSSES:
            yield _difference(path, "permissions", f"{now:04o} instead of {wanted}")


def _suspects(listed: Listed, paths: Iterable[str], resized: set[str]) -> list[str]:
    """Return the files that were written to since the receipt was."""
    since = _sealed_at_ns(listed)
    return [path for path in paths if path not in resized and listed.entries[path].st_mtime_ns > since]


def _sealed_at_ns(listed: Listed) -> int:
    """Return when the environment was sealed: everything in it is older than its manifest."""
    return listed.entries[environment_store.MANIFEST].st_mtime_ns


def _is_expected(root: Path, path: str, hashed: Hashed, expected: _Expected) -> bool:
    if expected.sha256 is not None:
        return hashed.sha256 == expected.sha256
    return vouched(expected.claims, root, path, hashed.sha256)


def _kind(facts: os.stat_result) -> str:
    kinds = ((stat.S_ISREG, "a file"), (stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"))
    return next((word for is_kind, word in kinds if is_kind(facts.st_mode)), "something that is no file")


def _difference(path: str, kind: str, detail: str) -> Difference:
    return Difference.model_validate({"path": path, "kind": kind, "detail": detail})
