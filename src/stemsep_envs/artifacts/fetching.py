"""Bringing files that are missing: from one of their addresses, checked, under their hash.

Of two processes that want the same file, one downloads and the other waits for it and finds it there; the lock is the
kernel's and goes with its holder. What a killed one left is continued by the next.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stemsep_envs.artifacts import blobs, index
from stemsep_envs.artifacts.model_files import Known, ToFetch, Wanted, what_is_known
from stemsep_envs.artifacts.places import local_path, shown_address
from stemsep_envs.artifacts.sources import source_of
from stemsep_envs.documents.addresses import Address
from stemsep_envs.documents.artifacts import Trust
from stemsep_envs.errors import BuildError, LimitError, MismatchError, StemsepEnvError, UsageError
from stemsep_envs.host import locks
from stemsep_envs.host.archive_member import UnpackError, take_member
from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.host.downloads import Downloaded, Expected, WrongContentError, allowance, fetch_into, refuse_page
from stemsep_envs.host.file_reading import Readable, UnreadableError, open_plain
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.partial_download import discard
from stemsep_envs.host.paths import Home
from stemsep_envs.host.transfers import Patience, Transfer, transfer_all
from stemsep_envs.host.web import WebError

_LOCK_LOOK_SECONDS = 0.2
_KEY_CHARACTERS = 32
_MOST_ARCHIVE_BYTES = 16 << 30
"""Of an archive that one file is taken from: nobody states its size."""


@dataclass(frozen=True)
class Fetched:
    """A file that is here now.

    Attributes:
        wanted: What was asked for.
        sha256: Its hash.
        size_bytes: Its size.
        trust: How the hash is known.
        source: Where it came from; None when another process had brought it meanwhile.
    """

    wanted: Wanted
    sha256: str
    size_bytes: int
    trust: Trust
    source: str | None


def fetch_all(
    home: Home,
    files: Sequence[ToFetch],
    *,
    patience: Patience,
    on_progress: Callable[[Sequence[Transfer]], None],
) -> tuple[Fetched, ...]:
    """Bring files, several at a time; of models that want the same file, one brings it.

    Args:
        home: Where to.
        files: What to bring.
        patience: How long to try.
        on_progress: Called now and then with the transfers under way.

    Returns:
        What is here now, in the order asked for.

    Raises:
        MismatchError: A file is not the one that was promised, or was before; or its stated size is wrong.
        BuildError: A file is not available at any of its addresses; says what each of them answered.
        LimitError: All of them stalled, or the disk is full.
        UsageError: The home cannot be written.
    """
    once = {(item.wanted.sha256, item.wanted.keys[0]): item for item in files}
    jobs = [(item.wanted.filename, _job(home, item, patience)) for item in once.values()]
    done = transfer_all(jobs, patience=patience, on_progress=on_progress)
    brought = dict(zip(once, done, strict=True))
    return tuple(replace(brought[item.wanted.sha256, item.wanted.keys[0]], wanted=item.wanted) for item in files)


def _job(home: Home, item: ToFetch, patience: Patience) -> Callable[[Transfer], Fetched]:
    return lambda transfer: _fetch(home, item, transfer, patience)


def _fetch(home: Home, item: ToFetch, transfer: Transfer, patience: Patience) -> Fetched:
    wanted = item.wanted

    def wait() -> None:
        transfer.check()
        transfer.note = "another process is fetching it"

    name = wanted.sha256 or wanted.keys[0]  # of the lock and of the part: who holds the one writes the other
    with held(home, lock_name(name), check=wait):
        transfer.note = None
        known = what_is_known(home, wanted)
        if known.sha256 is not None and known.trust is not None:
            state = blobs.blob_state(home, known.sha256, check=transfer.check)
            if state == "damaged":
                blobs.set_aside(home, known.sha256)
            elif state == "whole":
                size = blobs.blob_path(home, known.sha256).stat().st_size
                return Fetched(wanted, known.sha256, size, known.trust, None)
        part = part_path(home, name)
        got = _from_any(part, item, known, transfer, patience, home)
        return _keep(home, part, wanted, known, got)


def _from_any(
    part: Path, item: ToFetch, known: Known, transfer: Transfer, patience: Patience, home: Home
) -> Downloaded:
    """Try the addresses in order; what each said is told when all fail."""
    expected = _expected(known)
    failures: list[tuple[str, WebError | WrongContentError]] = []
    for address in item.addresses:
        shown = shown_address(address)
        try:
            if item.wanted.member is not None:
                return _from_archive(part, address, item.wanted.member, expected, transfer, patience, home)
            if address.is_remote:
                return fetch_into(part, source_of(address), expected, transfer, patience)
            return _copy(part, local_path(address, home), shown, expected, transfer)
        except (WebError, WrongContentError) as error:
            failures.append((shown, error))
        except UsageError as error:
            failures.append((shown, WebError(error.code, error.message)))
    raise _failure(item.wanted, known, failures)


def _from_archive(
    part: Path,
    address: Address,
    member: str,
    expected: Expected,
    transfer: Transfer,
    patience: Patience,
    home: Home,
) -> Downloaded:
    """Bring the archive at an address and take one file out of it, which then lies in ``part``."""
    shown = shown_address(address)
    packed = part.with_name(f"{part.stem}-archive.part")
    if address.is_remote:
        fetch_into(packed, source_of(address), Expected(most_bytes=_MOST_ARCHIVE_BYTES), transfer, patience)
        archive = packed
    else:
        archive = local_path(address, home)
    try:
        sha256, size = take_member(
            archive, member, part, max_bytes=allowance(expected), on_block=lambda _: transfer.check()
        )
    except UnpackError as error:
        discard(packed)
        raise WebError("not_the_file", f"gives an archive that {error}") from None
    except (OSError, UnreadableError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise WebError("download_missing", f"cannot be read: {words}") from None
    discard(packed)
    if expected.sha256 not in {None, sha256} or (expected.sha256 is None and expected.size_bytes not in {None, size}):
        discard(part)
        raise WrongContentError(f"its {member} has sha256 {sha256} and {size} bytes", begun_anew=True)
    return Downloaded(sha256, size, f"{shown}#{member}")


def _expected(known: Known) -> Expected:
    if known.sha256 is not None and known.entry is not None and known.entry.sha256 == known.sha256:
        return Expected(known.sha256, known.entry.size_bytes)
    return Expected(known.sha256, known.size_bytes)


def _copy(part: Path, path: Path, shown: str, expected: Expected, transfer: Transfer) -> Downloaded:
    """Bring a file of this machine."""
    discard(part)
    ensure_dir(part.parent)
    try:
        stream = open_plain(path)
    except OSError as error:
        raise WebError("download_missing", f"cannot be read: {error.strerror}") from None
    with stream:
        facts, readable = os.fstat(stream.fileno()), Readable(stream)
        if expected.sha256 is None and expected.size_bytes not in {None, facts.st_size}:
            raise WrongContentError(f"it has {facts.st_size} bytes", begun_anew=True)
        transfer.begin(done_bytes=0, total_bytes=facts.st_size)
        try:
            refuse_page(readable.read(512))
            stream.seek(0)
            sha256, size = copy_hashed(
                readable, part, max_bytes=facts.st_size, on_block=lambda size: _count(transfer, size)
            )
        except UnreadableError as error:
            raise WebError("download_missing", f"cannot be read: {error}") from None
    if expected.sha256 not in {None, sha256}:
        discard(part)
        raise WrongContentError(f"its sha256 is {sha256}", begun_anew=True)
    return Downloaded(sha256, size, shown)


def _count(transfer: Transfer, size: int) -> None:
    transfer.check()
    transfer.count(size)


def _keep(home: Home, part: Path, wanted: Wanted, known: Known, got: Downloaded) -> Fetched:
    """Give a verified file its place and write down what its address stands for."""
    trust: Trust = known.trust or "first-use"
    blobs.store_blob(home, got.sha256, part)
    discard(part)
    if known.entry is None or known.is_superseded:
        index.record(
            home,
            wanted.keys[0],
            index.entry_of(wanted.url, got.sha256, got.size_bytes, trust, source=got.source, filename=wanted.filename),
        )
    return Fetched(wanted, got.sha256, got.size_bytes, trust, got.source)


def _failure(
    wanted: Wanted, known: Known, failures: Sequence[tuple[str, WebError | WrongContentError]]
) -> StemsepEnvError:
    """Return the error for a file that none of its addresses gave."""
    said = [(shown, error.message) for shown, error in failures]
    wrong = [(shown, error) for shown, error in failures if isinstance(error, WrongContentError)]
    if wrong:
        return _mismatch(wanted, known, *wrong[0], said)
    errors = [error for _, error in failures if isinstance(error, WebError)]
    if len(failures) == 1:
        message, output = f"cannot fetch {wanted.filename}: {said[0][0]} {said[0][1]}", ""
    else:
        message = f"cannot fetch {wanted.filename} from any of its {len(failures)} addresses"
        output = "\n".join(f"{shown} {words}" for shown, words in said)
    hint = next((error.hint for error in errors if error.hint), None)
    which = f"--model {wanted.model_id} --name {shlex.quote(wanted.name)}"
    own = f"or put it in by hand: stemsep-env artifacts add {which} FILE"
    if all(error.code == "download_stalled" for error in errors):
        message = message if len(failures) == 1 else f"{message}: all of them stalled"
        hint = f"run the same command again: the download continues where it stopped; {own}"
        return LimitError(message, hint=hint, code="download_stalled")
    code = errors[0].code if len({error.code for error in errors}) == 1 else "download_failed"
    return BuildError(message, hint=f"{hint}; {own}" if hint else own, code=code, output=output)


def _mismatch(
    wanted: Wanted, known: Known, shown: str, error: WrongContentError, said: Sequence[tuple[str, str]]
) -> MismatchError:
    others = "".join(f"; {place} {words}" for place, words in said if place != shown)
    if known.trust in {"first-use", "added"} and known.entry is not None:
        return MismatchError(
            f"{shown} gives another file than it did on {known.entry.recorded_at[:10]}: {error.message}, "
            f"expected sha256 {known.sha256}{others}",
            hint="if its publisher replaced it and you trust the new one, download it yourself and put it in: "
            f"stemsep-env artifacts add --url {shlex.quote(known.entry.url)} --replace FILE",
            code="artifact_changed",
        )
    if known.sha256 is None and known.size_bytes is None:
        return MismatchError(
            f"{shown} did not give what was announced for {wanted.filename}: {error.message}{others}",
            hint="nothing of it was kept; try again later",
            code="artifact_mismatch",
        )
    wants = f"sha256 {known.sha256}" if known.sha256 else f"{known.size_bytes} bytes"
    return MismatchError(
        f"{shown} does not give the {wanted.filename} that the registry names: {error.message}, "
        f"expected {wants}{others}",
        hint="nothing of it was kept; the registry may be out of date, or the file was tampered with",
        code="artifact_mismatch",
    )


@contextmanager
def held(home: Home, name: str, *, check: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file; while another process has it, ``check`` is called again and again; it may raise."""
    path = home.holds_dir / name
    while True:
        try:
            lock = locks.hold(path, timeout_seconds=_LOCK_LOOK_SECONDS)
            lock.__enter__()
        except LimitError as error:
            if error.code != "lock_timeout":
                raise
            check()
            continue
        break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def lock_name(key: str) -> str:
    """Return the name of the lock of a file, by its hash or its address's key."""
    return f"artifact-{key[:_KEY_CHARACTERS]}"


def part_path(home: Home, key: str) -> Path:
    """Return where a file is downloaded to, by its hash or its address's key."""
    return home.artifacts_dir / "partial" / f"{key[:_KEY_CHARACTERS]}.part"
