"""Making sure of an engine: use the tree that is there, or make it, whoever else is doing the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from stemsep_envs._version import __version__
from stemsep_envs.documents.canonical import canonical_json
from stemsep_envs.documents.engine import EngineFiles, EngineInputs, EngineReceipt, engine_inputs
from stemsep_envs.documents.engine_source import ArchiveSource, GitSource, PatchStep, is_pinned
from stemsep_envs.environments.engines import commits, engine_store, git
from stemsep_envs.environments.engines.archives import read_archive
from stemsep_envs.environments.engines.git_objects import DamagedError, TooLargeError
from stemsep_envs.environments.engines.members import Caps
from stemsep_envs.environments.engines.patches import apply_patches
from stemsep_envs.environments.engines.supplied import SuppliedFiles, missing_files, open_failure, read_patch_files
from stemsep_envs.environments.engines.writing import Tree, seal, write_changes, write_members
from stemsep_envs.environments.reporting import Report, silent
from stemsep_envs.errors import BlockedError, BuildError, InvalidDocumentError, MismatchError, Problem, Reason
from stemsep_envs.host import digest_store, locks
from stemsep_envs.host.atomic_write import copy_hashed, write_atomic
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file, remove_tree


@dataclass(frozen=True)
class Engine:
    """A whole engine.

    Attributes:
        digest: Its name.
        dir: Its source tree, read-only.
        import_dir: The folder of the tree that the adapter imports from.
        receipt: What went in.
        reused: Whether it was there already, or another process made it meanwhile.
    """

    digest: str
    dir: Path
    import_dir: Path
    receipt: EngineReceipt
    reused: bool


def engine_digest(source: GitSource | ArchiveSource, patches: Sequence[PatchStep]) -> str:
    """Return the name of the engine of a source with patches. Needs neither network nor files.

    Raises:
        ValueError: It is not known what a step brings.
    """
    return engine_inputs(source, patches).digest


def engine_reasons(
    source: GitSource | ArchiveSource,
    patches: Sequence[PatchStep],
    *,
    home: Home,
    runtime_dir: Path,
    artifacts: Mapping[str, Path],
    offline: bool,
    awaited: Collection[str] = (),
) -> tuple[Reason, ...]:
    """Say everything that is missing to make an engine; empty when it is there, or can be made. Fetches nothing.

    Args:
        source: As of `ensure_engine`, and so are the others that are not named here.
        patches: The steps; what some of them bring may not be known yet.
        home: Where engines are.
        runtime_dir: The recipe's folder.
        artifacts: Files that the caller has.
        offline: Forbid the network.
        awaited: Artifacts that the caller answers for: they will be here before the engine is made.
    """
    if is_pinned(patches) and engine_store.problem_with(home, engine_digest(source, patches)) is None:
        return ()
    reasons = [*missing_files(source, patches, SuppliedFiles(runtime_dir, artifacts), awaited=awaited)]
    if isinstance(source, GitSource):
        git_missing = git.git_reason()
        if git_missing is not None:
            reasons.append(git_missing)
        elif offline and not (
            commits.commit_path(home, source.commit).is_dir() or git.is_reached_locally(source.repository)
        ):
            words = f"commit {source.commit} of {source.repository} is not here, and offline it cannot be fetched"
            hint = "run once without --offline, or let git's configuration (insteadOf) lead to a local mirror"
            reasons.append(Reason("offline", words, hint=hint, path="engine.commit"))
    return tuple(reasons)


def ensure_engine(  # noqa: PLR0913 - the whole order, once
    source: GitSource | ArchiveSource,
    patches: Sequence[PatchStep],
    *,
    home: Home,
    runtime_dir: Path,
    artifacts: Mapping[str, Path] | None = None,
    offline: bool = False,
    report: Report = silent,
    title: str = "the engine",
    caps: Caps | None = None,
) -> Engine:
    """Return the engine of a source with patches, making it if it is not there.

    Args:
        source: Where the tree comes from.
        patches: The variant's steps, in order, each with the hash of what it brings.
        home: Where engines are.
        runtime_dir: The recipe's folder, with the files that patches bring.
        artifacts: Files that the caller has: an artifact by its name, an archive by its address. Checked again here.
        offline: Forbid the network.
        report: Told of each step as it begins.
        title: What is made, for messages: ``msst with hyperace_v2``.
        caps: How large the tree may be.

    Raises:
        BlockedError: Something is missing that cannot be fetched; everything missing is listed.
        BuildError: Fetching failed, or the source holds what an engine may not.
        InvalidDocumentError: Patches are wrong in themselves, or a folder that the recipe names is not in the tree.
        MismatchError: The tree, an archive or a patch file is not the one that was promised.
        LimitError: No space, or a deadline passed.
        UsageError: The home cannot be written.
    """
    supplied = SuppliedFiles(runtime_dir, artifacts or {})
    order = _Order(source, tuple(patches), home, supplied, offline, report, title, caps or Caps())
    digest = order.inputs.digest
    if engine_store.problem_with(home, digest) is None:
        return _engine(order, reused=True)
    reasons = engine_reasons(
        source, patches, home=home, runtime_dir=runtime_dir, artifacts=supplied.artifacts, offline=offline
    )
    if reasons:
        raise BlockedError(f"{title} cannot be made: {reasons[0].message}", reasons, hint=reasons[0].hint)
    reused = digest_store.ensure(
        engine_store.store_of(home),
        digest,
        lambda: _make(order),
        on_wait=lambda: report("wait", "another process is making this engine"),
    )
    return _engine(order, reused=reused)


@dataclass(frozen=True)
class _Order:
    """What is to be made, and how."""

    source: GitSource | ArchiveSource
    patches: tuple[PatchStep, ...]
    home: Home
    supplied: SuppliedFiles
    offline: bool
    report: Report
    title: str
    caps: Caps

    @property
    def inputs(self) -> EngineInputs:
        """What names the engine."""
        return engine_inputs(self.source, self.patches)


def _engine(order: _Order, *, reused: bool) -> Engine:
    digest = order.inputs.digest
    folder = engine_store.tree_dir(order.home, digest)
    package_dir = order.source.package_dir
    if not (folder / package_dir).is_dir():
        problem = Problem("engine.package_dir", f"there is no folder {package_dir!r} in the engine's tree")
        raise InvalidDocumentError(f"the recipe of {order.title}", (problem,))
    return Engine(digest, folder, folder / package_dir, engine_store.read_receipt(order.home, digest), reused)


def _make(order: _Order) -> None:
    """Make an engine beside its place and publish it. The caller holds the lock of its digest and found none there."""
    store, digest = engine_store.store_of(order.home), order.inputs.digest
    supplied = read_patch_files(order.patches, order.supplied)
    try:
        with digest_store.staging_dir(store, digest) as staging:
            tree = _unpack(order, staging)
            if order.patches and not tree.refused:
                order.report("patch", f"{len(order.patches)} steps")
                write_changes(tree, apply_patches(order.patches, tree.files, tree.read, supplied, title=order.title))
            listed = EngineFiles(files=seal(tree, title=order.title))
            write_atomic(staging / engine_store.FILES, canonical_json(listed))
            receipt = _receipt(order, listed)
            write_atomic(staging / engine_store.RECEIPT, receipt.model_dump_json(indent=1).encode() + b"\n")
            digest_store.publish(store, digest, staging)
    except TooLargeError as error:
        raise BuildError(
            f"the source of {order.title} is larger than an engine may be: {error}", code="engine_refused"
        ) from None


def _receipt(order: _Order, listed: EngineFiles) -> EngineReceipt:
    source = order.source
    return EngineReceipt(
        digest=order.inputs.digest,
        inputs=order.inputs,
        origin=source.repository if isinstance(source, GitSource) else source.archive,
        tree=listed.digest,
        files=len(listed.files),
        bytes=sum(file.size_bytes for file in listed.files),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        created_by=f"stemsep-envs {__version__}",
    )


def _unpack(order: _Order, staging: Path) -> Tree:
    """Write the source's tree, unpatched, into the staging folder."""
    root = staging / engine_store.TREE
    if isinstance(order.source, GitSource):
        return _unpack_commit(order, order.source, root)
    return _unpack_archive(order, order.source, root)


def _unpack_commit(order: _Order, source: GitSource, root: Path) -> Tree:
    """Read the commit from the cache, fetching it first where it is missing, or turns out to be damaged."""
    repository = commits.commit_path(order.home, source.commit)
    with locks.hold(
        commits.hold_path(order.home, source.commit),
        on_wait=lambda: order.report("wait", "another process is reading the same commit"),
    ):
        fetched_now = False
        while True:
            if not repository.is_dir():
                order.report("fetch", f"commit {source.commit} of {source.repository}")
                commits.fetch_commit(source.repository, source.commit, into=repository, offline=order.offline)
                fetched_now = True
            try:
                members = commits.commit_members(repository, source.commit, caps=order.caps)
                return write_members(members, root, caps=order.caps)
            except DamagedError as error:
                remove_tree(repository)
                remove_tree(root)
                if fetched_now:
                    raise BuildError(
                        f"what was fetched from {source.repository} is not whole: {error}",
                        hint="try again, or use another mirror",
                        code="fetch_failed",
                    ) from None


def _unpack_archive(order: _Order, source: ArchiveSource, root: Path) -> Tree:
    """Copy the archive, so that what was hashed is what is read, and unpack the copy."""
    order.report("unpack", source.archive)
    path = order.supplied.path_of(source.archive)
    if path is None:
        raise open_failure(source.archive, None)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise open_failure(source.archive, error) from error
    copy = root.parent / "archive"
    with stream:
        found, _ = copy_hashed(stream, copy, max_bytes=order.caps.bytes, durable=False)
    if found != source.sha256:
        raise MismatchError(
            f"{source.archive} is not the archive that is pinned: expected sha256 {source.sha256}, found {found}",
            hint="get the file that the recipe was written with",
        )
    members = read_archive(copy, root=source.root, caps=order.caps, title=source.archive)
    tree = write_members(members, root, caps=order.caps)
    remove_file(copy)
    return tree
