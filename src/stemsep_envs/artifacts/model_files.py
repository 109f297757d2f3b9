"""What a model's entry asks for, and what is known of it: each of its files with addresses, hash and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stemsep_envs.artifacts import index
from stemsep_envs.artifacts.places import shown_address
from stemsep_envs.documents.addresses import Address, AddressError, page_problem, parse_address
from stemsep_envs.documents.artifacts import IndexEntry, Trust
from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.host.paths import Home


@dataclass(frozen=True)
class Wanted:
    """A file that a model asks for.

    Attributes:
        model_id: The model.
        name: Its place in the entry: ``primary``, ``config``, ``additional[0]``.
        kind: What it is.
        filename: What the engine calls it.
        sha256: Its hash, as the registry says; None where it does not.
        size_bytes: Its size, as the registry says.
        addresses: Where it can be fetched, best first; pages and what cannot be fetched left out.
        problems: Why addresses were left out, each with its address.
        member: The file's path in the archive that the addresses give; None where they give the file itself.
    """

    model_id: str
    name: str
    kind: str
    filename: str
    sha256: str | None
    size_bytes: int | None
    addresses: tuple[Address, ...]
    problems: tuple[str, ...] = ()
    member: str | None = None

    @property
    def url(self) -> str:
        """The address that the index knows the file by; a file without one is known by its model."""
        if not self.addresses:
            return f"model:{self.model_id}#{self.name}"
        return shown_address(self.addresses[0]) + (f"#{self.member}" if self.member else "")

    @property
    def keys(self) -> tuple[str, ...]:
        """The index's keys: of its addresses, then of its place in the model."""
        own = digest_of_bytes(f"model:{self.model_id}#{self.name}".encode())
        keys = [address.key for address in self.addresses]
        if self.member is not None:
            keys = [digest_of_bytes(f"{key}#{self.member}".encode()) for key in keys]
        return (*dict.fromkeys(keys), own)


@dataclass(frozen=True)
class Known:
    """What a file must be, as far as anybody knows.

    Attributes:
        sha256: Its hash; None while nobody knows it.
        size_bytes: Its size; None likewise.
        trust: How the hash is known; None while it is not.
        entry: What the index says of the file's addresses.
    """

    sha256: str | None
    size_bytes: int | None
    trust: Trust | None
    entry: IndexEntry | None

    @property
    def is_superseded(self) -> bool:
        """Whether the registry now says another hash than was found before."""
        return self.entry is not None and self.sha256 != self.entry.sha256


@dataclass(frozen=True)
class ToFetch:
    """A file to bring, and the addresses that may be used for it."""

    wanted: Wanted
    addresses: tuple[Address, ...]


def wanted_files(entry: ModelEntry) -> Iterator[Wanted]:
    """Yield the files of a model, in the entry's order."""
    fallbacks = {"primary": entry.links.checkpoint, "config": entry.links.config}
    for name, artifact in entry.artifacts.each():
        main = artifact.url or fallbacks.get(name)
        usable: list[Address] = []
        problems: list[str] = []
        for text in ([main] if main else []) + list(artifact.mirrors):
            try:
                address = parse_address(text)
            except AddressError as error:
                problems.append(str(error))
                continue
            problem = page_problem(address)
            if problem is None:
                usable.append(address)
            else:
                problems.append(f"{text} is a web page: {problem}")
        yield Wanted(
            model_id=entry.id,
            name=name,
            kind=artifact.kind,
            filename=artifact.filename,
            sha256=artifact.sha256,
            size_bytes=artifact.expected_bytes,
            addresses=tuple(usable),
            problems=tuple(problems),
            member=artifact.member,
        )


def what_is_known(home: Home, wanted: Wanted) -> Known:
    """Return what a file must be: the registry's word first, then what its addresses stood for before.

    Raises:
        MismatchError: The index is damaged.
    """
    entry = next(filter(None, (index.find(home, key) for key in wanted.keys)), None)
    if wanted.sha256 is not None:
        return Known(wanted.sha256, wanted.size_bytes, "registry", entry)
    if entry is None:
        return Known(None, wanted.size_bytes, None, None)
    return Known(entry.sha256, wanted.size_bytes, entry.trust, entry)


def size_conflict(wanted: Wanted, sha256: str, size_bytes: int) -> str | None:
    """Say that the registry's size is wrong of a file whose hash is right; None when they agree."""
    if wanted.sha256 != sha256 or wanted.size_bytes in {None, size_bytes}:
        return None
    return (
        f"{wanted.filename} is the right file by its sha256 and has {size_bytes} bytes; "
        f"the registry says {wanted.size_bytes}"
    )


def origin_of(entry: IndexEntry) -> str:
    """Say in words how a hash came to be known."""
    return {
        "registry": "named by the registry",
        "first-use": f"trusted when it was first fetched, {entry.recorded_at[:10]}",
        "added": f"put in by hand, {entry.recorded_at[:10]}",
    }[entry.trust]
