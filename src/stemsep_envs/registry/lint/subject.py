"""What the rules look at: the entries of a registry, the runtimes that are here, and who else uses what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote, urlsplit

from stemsep_envs.documents.addresses import Address, AddressError, page_problem, parse_address
from stemsep_envs.documents.json_edits import Edit
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.registry_execution import Artifact
from stemsep_envs.documents.runtime import RuntimeRecipe

_FILE_NAME = re.compile(r"[^/\\:\x00-\x1f\x7f]+\.[A-Za-z0-9]{1,12}")


@dataclass(frozen=True)
class Entry:
    """An entry that could be read, and its place in the registry."""

    index: int
    model: ModelEntry

    @property
    def stopped(self) -> bool:
        """Whether the entry itself says that the model is not run, so that its defects harm nobody."""
        return self.model.blocked or self.model.catalog_status == "online_only"

    def location(self, *keys: str | int) -> tuple[str | int, ...]:
        """Return the place of a field in the document."""
        return ("models", self.index, *keys)

    def put(self, value: object, *keys: str | int) -> Edit:
        """Return the edit that gives a field a value."""
        return Edit(self.location(*keys), value)


@dataclass(frozen=True)
class Defect:
    """One thing wrong with an entry.

    Attributes:
        path: Dotted path of the field in its entry.
        message: What is wrong, with the value.
        edits: What puts it right, when that is safe without knowing more.
    """

    entry: Entry
    path: str
    message: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class File:
    """A file that an entry names or links.

    Attributes:
        path: ``artifacts.primary``, ``links.checkpoint`` ….
        keys: The same as a location.
        artifact: None for a link that no artifact stands for.
        url: Where it can be fetched, the artifact's own address or that of the links; None when nobody says.
        url_path: The field that holds that address.
    """

    entry: Entry
    path: str
    keys: tuple[str | int, ...]
    artifact: Artifact | None
    url: str | None
    url_path: str

    @property
    def basename(self) -> str | None:
        """The file name that the address ends in; None when it names no file."""
        return file_name_of(self.url) if self.url is not None else None


@dataclass(frozen=True)
class Subject:
    """The entries that could be read, and the runtimes that are here."""

    entries: tuple[Entry, ...]
    recipes: Mapping[str, RuntimeRecipe]

    @cached_property
    def files(self) -> tuple[File, ...]:
        """The files of all entries."""
        return tuple(file for entry in self.entries for file in files_of(entry))

    @cached_property
    def by_id(self) -> Mapping[str, Entry]:
        """The entries by id."""
        return {entry.model.id: entry for entry in self.entries}

    @cached_property
    def weights_by_name(self) -> Mapping[str, File]:
        """The weights of all entries by the name that their address ends in, in lower case; the first of each."""
        found: dict[str, File] = {}
        for file in self.files:
            if file.path in {"artifacts.primary", "links.checkpoint"} and file.basename is not None:
                found.setdefault(file.basename.lower(), file)
        return found

    def recipes_of(self, entry: Entry) -> Iterator[tuple[str, RuntimeRecipe]]:
        """Yield the runtimes that may run a model and are here."""
        for runtime_id in entry.model.runtime.allowed:
            if runtime_id in self.recipes:
                yield runtime_id, self.recipes[runtime_id]


def files_of(entry: Entry) -> Iterator[File]:
    """Yield the files of an entry: its artifacts, and links that no artifact stands for."""
    model = entry.model
    links = {"primary": ("checkpoint", model.links.checkpoint), "config": ("config", model.links.config)}
    named = dict(model.artifacts.each())
    for name, artifact in named.items():
        head, _, index = name.rstrip("]").partition("[")
        keys: tuple[str | int, ...] = ("artifacts", head, int(index)) if index else ("artifacts", head)
        link_name, link = links.get(name, ("", None))
        own = artifact.url is not None
        url_path = f"artifacts.{name}.url" if own or not link_name else f"links.{link_name}"
        yield File(entry, f"artifacts.{name}", keys, artifact, artifact.url if own else link, url_path)
    for name, (link_name, link) in links.items():
        if name not in named and link is not None:
            yield File(entry, f"links.{link_name}", ("links", link_name), None, link, f"links.{link_name}")


def addresses_of(entry: Entry) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
    """Yield every address that files are fetched from: its dotted path, its location in the entry, its text."""
    model = entry.model
    for name, link in (("checkpoint", model.links.checkpoint), ("config", model.links.config)):
        if link is not None:
            yield f"links.{name}", ("links", name), link
    for file in files_of(entry):
        if file.artifact is None:
            continue
        if file.artifact.url is not None:
            yield f"{file.path}.url", (*file.keys, "url"), file.artifact.url
        for index, mirror in enumerate(file.artifact.mirrors):
            yield f"{file.path}.mirrors[{index}]", (*file.keys, "mirrors", index), mirror


def parsed(url: str) -> Address | None:
    """Return an address, or None when it is none that can be fetched."""
    try:
        return parse_address(url)
    except AddressError:
        return None


def is_file(url: str) -> bool:
    """Say whether an address may be a file's: it can be fetched and names no page, as far as it tells."""
    address = parsed(url)
    return address is not None and page_problem(address) is None


def file_name_of(url: str) -> str | None:
    """Return the file name that an address ends in; None for pages, and for services that name files otherwise."""
    if not is_file(url):
        return None
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    return name if _FILE_NAME.fullmatch(name) else None


def repository_of(url: str) -> str | None:
    """Return the repository that an address of a code or model host lies in, in lower case, or None."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    inside = [part for part in parts.path.split("/") if part]
    if host == "raw.githubusercontent.com":
        host = "github.com"
    if host not in {"github.com", "huggingface.co", "hf.co"} or len(inside) < 2:
        return None
    return f"{'huggingface.co' if host == 'hf.co' else host}/{inside[0]}/{inside[1]}".lower()
