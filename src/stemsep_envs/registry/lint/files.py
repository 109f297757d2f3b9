"""Rules about files: addresses, names, hashes, and files of other models."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stemsep_envs.documents.addresses import AddressError, page_problem, parse_address
from stemsep_envs.registry.lint.subject import (
    Defect,
    File,
    Subject,
    addresses_of,
    file_name_of,
    files_of,
    is_file,
    parsed,
    repository_of,
)

_SIGNED_NAME = re.compile(r"[0-9a-f]{8}-(?P<checksum>[0-9a-f]{8})\.th")
_HOSTS_WITH_HTTPS = ("huggingface.co/", "github.com/", "raw.githubusercontent.com/", "dl.fbaipublicfiles.com/")
_BRANCHES = {"main", "master", "HEAD"}
_ONNX_SUFFIX = ".onnx"
_TOLD_BY = {
    "BS-Roformer": re.compile(r"(^|[_-])bs[_-]?(ro|hyper|large)", re.IGNORECASE),
    "Mel-Roformer": re.compile(r"mel[_-]?band|mbr[_-]", re.IGNORECASE),
    "MDX23C": re.compile(r"mdx23c", re.IGNORECASE),
    "MDX-Net": re.compile(r"mdx-?net", re.IGNORECASE),
    "SCNet": re.compile(r"scnet", re.IGNORECASE),
    "Apollo": re.compile(r"apollo", re.IGNORECASE),
    "BandIt": re.compile(r"bandit", re.IGNORECASE),
}
"""What file names tell of the architecture."""


def page_link(subject: Subject) -> Iterator[Defect]:
    """Find addresses of files that are pages."""
    for entry in subject.entries:
        for path, keys, url in addresses_of(entry):
            address = parsed(url)
            problem = page_problem(address) if address is not None else None
            if problem is None:
                continue
            mended = _page_mended(url)
            edits = (entry.put(mended, *keys),) if mended is not None else ()
            yield Defect(entry, path, f"{url} is a web page: {problem}", edits)


def link_unusable(subject: Subject) -> Iterator[Defect]:
    """Find addresses that this program cannot fetch."""
    for entry in subject.entries:
        for path, _, url in addresses_of(entry):
            try:
                parse_address(url)
            except AddressError as error:
                yield Defect(entry, path, str(error))


def link_insecure(subject: Subject) -> Iterator[Defect]:
    """Find http addresses."""
    for entry in subject.entries:
        for path, keys, url in addresses_of(entry):
            if not url.lower().startswith("http://"):
                continue
            rest = url[len("http://") :]
            edits = (entry.put(f"https://{rest}", *keys),) if rest.lower().startswith(_HOSTS_WITH_HTTPS) else ()
            yield Defect(entry, path, f"{url} proves neither who sends the file nor what is sent", edits)


def filename_differs(subject: Subject) -> Iterator[Defect]:
    """Find artifacts that are called otherwise than the file that is fetched."""
    for file in subject.files:
        name = file.basename
        if file.artifact is None or name is None or name == file.artifact.filename:
            continue
        old = file.artifact.filename
        required = [
            file.entry.put(name, "runtime", "required_files", index)
            for index, required in enumerate(file.entry.model.runtime.required_files)
            if required == old
        ]
        taken = {other.filename.casefold() for _, other in file.entry.model.artifacts.each() if other.filename != old}
        edits = (file.entry.put(name, *file.keys, "filename"), *required) if name.casefold() not in taken else ()
        yield Defect(file.entry, f"{file.path}.filename", f"{old!r}, but {file.url_path} ends in {name!r}", edits)


def cross_wired(subject: Subject) -> Iterator[Defect]:
    """Find artifacts that bear the name of another model's weights."""
    for file in subject.files:
        if file.path != "artifacts.primary" or file.artifact is None or file.basename is None:
            continue
        name = file.artifact.filename.lower()
        other = subject.weights_by_name.get(name)
        if name != file.basename.lower() and other is not None and other.entry is not file.entry:
            words = f"{file.artifact.filename!r} is what the weights of {other.entry.model.id} are called"
            yield Defect(file.entry, f"{file.path}.filename", f"{words}; these are fetched from {file.url}")


def architecture_unlike_file(subject: Subject) -> Iterator[Defect]:
    """Find files whose name tells of another architecture than the entry."""
    for file in subject.files:
        if file.basename is None or not file.path.endswith(("primary", "config", "checkpoint")):
            continue
        told = {name for name, words in _TOLD_BY.items() if words.search(file.basename)}
        if told and file.entry.model.architecture in _TOLD_BY and file.entry.model.architecture not in told:
            words = f"{file.basename} is called like a {' or '.join(sorted(told))}"
            yield Defect(file.entry, "architecture", f"{file.entry.model.architecture}, but {words}")


def checkpoint_shared(subject: Subject) -> Iterator[Defect]:
    """Find models that are the same weights under several ids."""
    first: dict[str, File] = {}
    for file in subject.files:
        if file.path not in {"artifacts.primary", "links.checkpoint"} or file.url is None or not is_file(file.url):
            continue
        sha256 = file.artifact.sha256 if file.artifact else None
        for key in filter(None, (file.url, sha256)):
            other = first.setdefault(key, file)
            if other.entry is not file.entry:
                yield Defect(file.entry, file.path, f"these are the weights of {other.entry.model.id} too: {file.url}")
                break


def address_disagrees(subject: Subject) -> Iterator[Defect]:
    """Find one address that two entries expect different files at."""
    first: dict[str, File] = {}
    for file in subject.files:
        if file.artifact is None or file.url is None:
            continue
        other = first.setdefault(file.url, file)
        if other is file or other.artifact is None:
            continue
        for what, ours, theirs in (
            ("sha256", file.artifact.sha256, other.artifact.sha256),
            ("size", file.artifact.expected_bytes, other.artifact.expected_bytes),
        ):
            if ours is not None and theirs is not None and ours != theirs:
                words = f"{ours}, but {other.entry.model.id} expects {theirs} of the same address"
                yield Defect(file.entry, f"{file.path}.{what}", words)


def path_collision(subject: Subject) -> Iterator[Defect]:
    """Find install paths that two files share, on file systems that ignore case."""
    first: dict[str, tuple[str, object]] = {}
    for entry in subject.entries:
        download = entry.model.download
        for index, artifact in enumerate(download.artifacts if download else ()):
            key = artifact.relative_path.casefold()
            model_id, source = first.setdefault(key, (entry.model.id, artifact.source))
            if (model_id, source) != (entry.model.id, artifact.source):
                words = f"{artifact.relative_path!r} is the place of another file of {model_id}"
                yield Defect(entry, f"download.artifacts[{index}].relative_path", words)


def name_shared(subject: Subject) -> Iterator[Defect]:
    """Find different files of one name, which a folder for all models would mix up."""
    first: dict[str, File] = {}
    for file in subject.files:
        if file.artifact is None:
            continue
        other = first.setdefault(file.artifact.filename.casefold(), file)
        if other.entry is not file.entry and other.url != file.url:
            words = f"{file.artifact.filename!r} is a name of another file of {other.entry.model.id} too"
            yield Defect(file.entry, f"{file.path}.filename", words)


def artifact_unnamed(subject: Subject) -> Iterator[Defect]:
    """Find links to files that no artifact stands for, so that nothing fetches them."""
    for file in subject.files:
        name = file_name_of(file.url) if file.url is not None else None
        if file.artifact is not None or name is None:
            continue
        part = "primary" if file.path == "links.checkpoint" else "config"
        kind = "config" if part == "config" else "onnx" if name.endswith(_ONNX_SUFFIX) else "checkpoint"
        value = {"kind": kind, "filename": name, "sha256": None, "size": None}
        words = f"{name} is linked, but artifacts.{part} does not name it: nothing fetches it"
        taken = {other.filename.casefold() for _, other in file.entry.model.artifacts.each()}
        edits = (file.entry.put(value, "artifacts", part),) if name.casefold() not in taken else ()
        yield Defect(file.entry, file.path, words, edits)


def address_missing(subject: Subject) -> Iterator[Defect]:
    """Find artifacts that are available nowhere although nobody is told to get them by hand."""
    for file in subject.files:
        if file.artifact is None or file.url is not None or file.entry.model.catalog_status == "manual_only":
            continue
        words = f"{file.artifact.filename!r} has no address, and the entry is not manual_only"
        yield Defect(file.entry, file.path, words)


def weights_unnamed(subject: Subject) -> Iterator[Defect]:
    """Find models for networks that neither name nor link any weights."""
    for entry in subject.entries:
        model = entry.model
        if model.artifacts.primary is not None or model.links.checkpoint is not None:
            continue
        if model.catalog_status != "manual_only" and any(recipe.torch for _, recipe in subject.recipes_of(entry)):
            yield Defect(entry, "artifacts.primary", "no weights are named or linked, and the entry is not manual_only")


def hash_unknown(subject: Subject) -> Iterator[Defect]:
    """Find files that nothing vouches for."""
    for file in subject.files:
        if file.artifact is not None and file.artifact.sha256 is None:
            yield Defect(file.entry, f"{file.path}.sha256", f"the hash of {file.artifact.filename} is not known")


def size_unknown(subject: Subject) -> Iterator[Defect]:
    """Find files whose size nobody can be told before they are fetched."""
    for file in subject.files:
        if file.artifact is not None and file.artifact.expected_bytes is None:
            yield Defect(file.entry, f"{file.path}.size", f"the size of {file.artifact.filename} is not known")


def revision_unpinned(subject: Subject) -> Iterator[Defect]:
    """Find addresses that name a branch, behind which files can change."""
    for file in subject.files:
        branch = _branch_of(file.url) if file.url is not None else None
        if branch is not None:
            words = f"{file.url} is the file as the branch {branch!r} has it today"
            yield Defect(file.entry, file.url_path, words)


def hash_contradicts_name(subject: Subject) -> Iterator[Defect]:
    """Find files whose name carries the beginning of a hash that is not theirs."""
    for file in subject.files:
        if file.artifact is None or file.artifact.sha256 is None:
            continue
        match = _SIGNED_NAME.fullmatch(file.artifact.filename)
        if match is not None and not file.artifact.sha256.startswith(match["checksum"]):
            words = f"does not begin with {match['checksum']}, as the name {file.artifact.filename!r} says"
            yield Defect(file.entry, f"{file.path}.sha256", words)


def homepage_elsewhere(subject: Subject) -> Iterator[Defect]:
    """Find home pages in another repository than the weights."""
    for entry in subject.entries:
        field = "links.homepage" if entry.model.links.homepage is not None else "homepage"
        home = entry.model.links.homepage or entry.model.homepage
        weights = next((file.url for file in files_of(entry) if file.url is not None), None)
        if home is None or weights is None:
            continue
        ours, theirs = repository_of(home), repository_of(weights)
        if ours is not None and theirs is not None and ours != theirs:
            yield Defect(entry, field, f"{home} is another repository than that of the files, {weights}")


def _page_mended(url: str) -> str | None:
    """Return the address of the file behind a host's page about it; None for other pages."""
    for host, word in (("huggingface.co", "/resolve/"), ("github.com", "/raw/")):
        if re.match(rf"https?://(www\.)?{re.escape(host)}/[^/]+/[^/]+/blob/[^/]+/.", url):
            return url.replace("/blob/", word, 1)
    return None


def _branch_of(url: str) -> str | None:
    address = parsed(url)
    if address is None:
        return None
    if address.hub is not None:
        return None if address.hub.is_pinned else address.hub.revision
    parts = [part for part in address.path.split("/") if part]
    if address.host == "raw.githubusercontent.com" and len(parts) > 3:
        branch = parts[4] if parts[2:4] == ["refs", "heads"] and len(parts) > 4 else parts[2]
        return branch if branch in _BRANCHES or parts[2] == "refs" else None
    return None
