"""`artifacts add`: put in a file that was fetched elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stemsep_envs.artifacts.adding import add_file
from stemsep_envs.artifacts.model_files import Wanted, wanted_files
from stemsep_envs.documents.addresses import AddressError, page_problem, parse_address
from stemsep_envs.documents.artifacts import AddedArtifact
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import find_home
from stemsep_envs.planning.artifact_uses import files_of_all_models, use_of
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
        raise UsageError(
            f"{url} is a web page: {problem}", hint="name it by its model instead: --model MODEL --name NAME"
        )
    asked = Wanted(
        "", "", "aux", (member or address.path).rpartition("/")[2], None, None, (address,), (), member or None
    )
    matching = [wanted for wanted in files_of_all_models(registry_path) if asked.keys[0] in wanted.keys]
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
        names = ", ".join(f"{wanted.name} ({wanted.filename})" for wanted in files) or "none"
        raise UsageError(f"{model_id} has no file {name!r}", hint=f"its files: {names}", code="artifact_unknown")
    return _add(found[0], file, found, replace=replace)


def _add(wanted: Wanted, file: Path, users: Sequence[Wanted], *, replace: bool) -> AddedArtifact:
    added = add_file(find_home(), file.absolute(), wanted, replace=replace)
    return AddedArtifact(
        sha256=added.sha256,
        size_bytes=added.size_bytes,
        path=str(added.path),
        url=wanted.url,
        trust=added.trust,
        used_by=tuple(use_of(each) for each in users),
        replaced_sha256=added.before.sha256 if added.before else None,
    )
