"""`artifacts`: put files in by hand, list what is here, read it all again, and free what nobody needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stemsep_envs.artifacts import blobs, index, maintenance
from stemsep_envs.artifacts.adding import add_file
from stemsep_envs.artifacts.model_files import Wanted, wanted_files, what_is_known
from stemsep_envs.commands.env import utc_text
from stemsep_envs.documents.addresses import AddressError, page_problem, parse_address
from stemsep_envs.documents.artifacts import (
    AddedArtifact,
    ArtifactCollectionReport,
    ArtifactListing,
    ArtifactUse,
    ArtifactVerifyReport,
    IndexEntry,
    ListedArtifact,
    RemovedArtifact,
    VerifiedArtifact,
)
from stemsep_envs.documents.events import Event, OnEvent
from stemsep_envs.errors import InvalidDocumentError, MismatchError, UsageError
from stemsep_envs.host.paths import Home, find_home
from stemsep_envs.registry.catalogue import catalogue_at


def add_for_url(url: str, file: Path, *, registry_path: Path | None, replace: bool) -> AddedArtifact:
    """Put in a file for an address; where a model of the registry has that address, the file must be what it says.

    Raises:
        UsageError: The address is none; the file cannot be read or is a web page.
        MismatchError: It is not the file that the registry names, or that the address stood for.
        LimitError: No space.
    """
    try:
        place, _, member = url.partition("#")
        address = parse_address(place)
    except AddressError as error:
        raise UsageError(str(error), hint="the address as the registry has it") from None
    problem = page_problem(address)
    if problem is not None:
        raise UsageError(f"{url} is a web page: {problem}", hint="--model and --name name the file by its model")
    asked = Wanted(
        "", "", "aux", (member or address.path).rpartition("/")[2], None, None, (address,), (), member or None
    )
    matching = [wanted for wanted in _all_wanted(registry_path) if asked.keys[0] in wanted.keys]
    hashes = {wanted.sha256 for wanted in matching if wanted.sha256 is not None}
    if len(hashes) > 1:
        users = ", ".join(f"{wanted.model_id} {wanted.name}" for wanted in matching)
        raise UsageError(
            f"models of the registry name different files at {url}: {users}", hint="name one with --model and --name"
        )
    stated = next((wanted for wanted in matching if wanted.sha256), next(iter(matching), None))
    return _add(stated or asked, file, matching, replace=replace)


def add_for_model(model_id: str, name: str, file: Path, *, registry_path: Path | None, replace: bool) -> AddedArtifact:
    """Put in a file of a model, by its name in the registry's entry; raises as `add_for_url` does."""
    entry = catalogue_at(registry_path).get(model_id)
    files = list(wanted_files(entry))
    found = [wanted for wanted in files if wanted.name == name] or [each for each in files if each.filename == name]
    if len(found) != 1:
        names = ", ".join(f"{wanted.name} ({wanted.filename})" for wanted in files) or "it has none"
        raise UsageError(f"{model_id} has no file {name!r}", hint=f"its files: {names}", code="artifact_unknown")
    return _add(found[0], file, found, replace=replace)


def list_artifacts(registry_path: Path | None) -> ArtifactListing:
    """List the files of the home and what is known of them, last used first.

    Raises:
        UsageError: The registry cannot be read.
    """
    home = find_home()
    entries: dict[str, list[IndexEntry]] = {}
    for entry in index.every_entry(home):
        entries.setdefault(entry.sha256, []).append(entry)
    here = set(blobs.stored_hashes(home))
    uses = _uses(home, registry_path)
    listed = [
        _listed(home, sha256, entries.get(sha256, ()), uses.get(sha256, ())) for sha256 in sorted(here | entries.keys())
    ]
    listed.sort(key=lambda item: item.last_used or "", reverse=True)
    return ArtifactListing(
        home=str(home.root),
        artifacts=tuple(listed),
        total_bytes=sum(item.size_bytes for item in listed if item.state == "here"),
        converted_bytes=maintenance.converted_bytes(home),
        unfinished_bytes=sum(path.stat().st_size for path in maintenance.unfinished(home)),
    )


def verify_artifacts(prefixes: Sequence[str], *, on_event: OnEvent) -> ArtifactVerifyReport:
    """Read files again, those that are named by their hashes or all, and set aside what is damaged.

    Raises:
        UsageError: None, or several, begin so; or a damaged file cannot be moved.
    """
    home = find_home()
    here = blobs.stored_hashes(home)
    named = [_the_one(prefix, here) for prefix in prefixes] or here
    checked = []
    for sha256 in dict.fromkeys(named):
        on_event(Event(event="step", step="verify", message=f"verifying {sha256[:12]}"))
        checked.append(maintenance.verify_blob(home, sha256, check=lambda: None))
        converted = maintenance.verify_converted_form(home, sha256)
        checked += [converted] if converted is not None else []
    return ArtifactVerifyReport(
        ok=all(item.ok for item in checked),
        artifacts=tuple(
            VerifiedArtifact(
                kind=item.kind,
                sha256=item.sha256,
                ok=item.ok,
                size_bytes=item.size_bytes,
                detail=item.detail,
                set_aside=str(item.set_aside) if item.set_aside else None,
            )
            for item in checked
        ),
        bytes_read=sum(item.size_bytes for item in checked),
    )


def collect_artifacts(
    *, registry_path: Path | None, unused: bool, max_age_seconds: float | None, dry_run: bool
) -> ArtifactCollectionReport:
    """Remove what is damaged, what nobody continues, and, where asked for, files that are not needed or long unused.

    Args:
        registry_path: The registry; None for the one in use.
        unused: Remove files that no model of the registry asks for.
        max_age_seconds: Remove files that were not used for so long; None: none.
        dry_run: Only say what would go.

    Raises:
        UsageError: The registry cannot be read, or something cannot be removed.
    """
    home = find_home()
    needed = _uses(home, registry_path).keys() if unused else None
    freed = list(maintenance.free(home, needed=needed, max_age_seconds=max_age_seconds, dry_run=dry_run))
    sizes = {sha256: blobs.blob_path(home, sha256).lstat().st_size for sha256 in blobs.stored_hashes(home)}
    gone = {item.name for item in freed}
    return ArtifactCollectionReport(
        dry_run=dry_run,
        removed=tuple(
            RemovedArtifact.model_validate(
                {"kind": item.kind, "name": item.name, "size_bytes": item.size_bytes, "why": item.why}
            )
            for item in freed
        ),
        freed_bytes=sum(item.size_bytes for item in freed),
        remaining_bytes=sum(size for sha256, size in sizes.items() if sha256 not in gone),
    )


def stored_prefixes() -> list[str]:
    """Return the first characters of the hashes that are here, for tab completion."""
    return [sha256[:16] for sha256 in blobs.stored_hashes(find_home())]


def file_names(model_id: str, registry_path: Path | None) -> list[str]:
    """Return the names of a model's files, for tab completion."""
    return [wanted.name for wanted in wanted_files(catalogue_at(registry_path).get(model_id))]


def _add(wanted: Wanted, file: Path, users: Sequence[Wanted], *, replace: bool) -> AddedArtifact:
    added = add_file(find_home(), file.absolute(), wanted, replace=replace)
    return AddedArtifact(
        sha256=added.sha256,
        size_bytes=added.size_bytes,
        path=str(added.path),
        url=wanted.url,
        trust=added.trust,
        used_by=tuple(_use(each) for each in users),
        replaced_sha256=added.before.sha256 if added.before else None,
    )


def _all_wanted(registry_path: Path | None) -> list[Wanted]:
    """Return the files of all models; entries that are wrong are none of this command's business."""
    catalogue = catalogue_at(registry_path)
    found: list[Wanted] = []
    for model_id in catalogue.ids():
        try:
            found += wanted_files(catalogue.get(model_id))
        except InvalidDocumentError:
            continue
    return found


def _uses(home: Home, registry_path: Path | None) -> Mapping[str, tuple[ArtifactUse, ...]]:
    """Return which files of which models each hash is, as far as hashes are known."""
    uses: dict[str, list[ArtifactUse]] = {}
    for wanted in _all_wanted(registry_path):
        try:
            sha256 = what_is_known(home, wanted).sha256
        except MismatchError:
            continue
        if sha256 is not None:
            uses.setdefault(sha256, []).append(_use(wanted))
    return {sha256: tuple(each) for sha256, each in uses.items()}


def _use(wanted: Wanted) -> ArtifactUse:
    return ArtifactUse(model_id=wanted.model_id, name=wanted.name, filename=wanted.filename)


def _listed(home: Home, sha256: str, origins: Sequence[IndexEntry], uses: Sequence[ArtifactUse]) -> ListedArtifact:
    path = blobs.blob_path(home, sha256)
    try:
        size, here = path.lstat().st_size, True
    except OSError:
        size, here = (origins[0].size_bytes if origins else 0), False
    return ListedArtifact(
        sha256=sha256,
        path=str(path),
        size_bytes=size,
        state="here" if here else "gone",
        used_by=tuple(uses),
        origins=tuple(origins),
        last_used=utc_text(blobs.last_used_at(home, sha256)),
    )


def _the_one(prefix: str, hashes: Sequence[str]) -> str:
    found = [sha256 for sha256 in hashes if sha256.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = "`stemsep-env artifacts list` names them all"
        raise UsageError(f"there is no artifact {prefix}", hint=hint, code="artifact_unknown")
    raise UsageError(f"{len(found)} artifacts begin with {prefix}", hint="write more of it")
