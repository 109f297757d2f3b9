"""Sealing a built environment: every file is what the wheels say, and the manifest holds the rest.

uv checks the hash of a wheel when it fetches it, and never again: what was changed in its cache since, it installs. So
a build hashes what was installed, while the health check imports it, and compares it with the RECORD of every wheel,
and the RECORDs with those that were seen when the same wheels were installed before. What deviates is never published.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.environment import Size
from stemsep_envs.documents.environment_manifest import Deviation, Manifest, SealedFile, SealedLink
from stemsep_envs.environments.environment_store import MANIFEST, RECEIPT
from stemsep_envs.environments.fingerprints import Hashed, Listed, hash_file, hash_files, list_files, stamp_of
from stemsep_envs.environments.wheel_records import Claim, claims_of, find_records, is_signature
from stemsep_envs.errors import BuildError
from stemsep_envs.host.atomic_write import write_atomic

HAS_MODES = os.name == "posix"
_SITE = "/site-packages/"
_NEVER_INSTALLED = stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID
_INSTALLER_FILES = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")


_Claims = dict[str, tuple[Claim, ...]]


class Deviating(Exception):  # noqa: N818 - says what the installation is; caught where builds are repeated
    """What was installed is not what the wheels hold; never reaches a user.

    Attributes:
        deviations: Every file.
    """

    def __init__(self, deviations: tuple[Deviation, ...]) -> None:
        super().__init__(f"{len(deviations)} installed files are not what their wheels hold")
        self.deviations = deviations


@dataclass(frozen=True)
class Seal:
    """A sealed environment.

    Attributes:
        manifest: What its manifest says.
        manifest_digest: Of the file, for the receipt.
        contents: For each distribution, the digest of what its RECORD names: the same wherever the wheel is installed.
        size: What the environment takes.
    """

    manifest: Manifest
    manifest_digest: str
    contents: Mapping[str, str]
    size: Size


@dataclass
class Sealing:
    """A build on its way to a seal: what was there before and after the installation.

    Attributes:
        folder: The staging folder.
        made: What the builder made before anything was installed: path to stamp.
        known_contents: For distributions that were installed before from the same wheel: what they held.
        accepted: Deviations that are the wheels' own.
    """

    folder: Path
    made: Mapping[str, tuple[int, ...]]
    known_contents: Mapping[str, str]
    accepted: frozenset[Deviation]
    _installed: Listed | None = None
    _looking: Future[_Looked] | None = field(default=None, repr=False)

    @contextmanager
    def hashing_beside(self) -> Iterator[None]:
        """Hash what is installed while the block runs.

        Raises:
            Deviating: The block failed, and something is not what the wheels hold: that is why, for all one knows.
            BuildError: A package took the place of what the builder had made.
        """
        installed = list_files(self.folder)
        self._refuse_replaced(installed)
        self._installed = _mended(installed)
        with ThreadPoolExecutor(1, thread_name_prefix="seal") as beside:
            self._looking = beside.submit(_look, self.folder, self._installed)
            try:
                yield
            except BuildError as error:
                try:
                    self._compare()
                except Deviating as deviating:
                    raise deviating from error
                raise

    def finish(self) -> Seal:
        """Compare what is there with what the wheels say, and write the manifest.

        Raises:
            Deviating: Something is not what the wheels hold.
            BuildError: A RECORD cannot be read.
        """
        found = self._compare()
        manifest = _manifest(found)
        text = manifest.model_dump_json(indent=1).encode() + b"\n"
        write_atomic(self.folder / MANIFEST, text)
        return Seal(manifest, digest_of_bytes(text), found.contents, _size(found.listed))

    def _refuse_replaced(self, installed: Listed) -> None:
        """Refuse packages that bring a Python of their own, or a word on where it finds its library."""
        now = {path: stamp_of(facts) for path, facts in installed.entries.items()}
        replaced = sorted(path for path, stamp in self.made.items() if now.get(path) != stamp)
        if replaced:
            raise BuildError(
                f"a package takes the place of what belongs to the environment: {', '.join(replaced[:5])}",
                hint="no package that is honest does; do not use the model that asks for it, and tell its publisher",
                code="package_refused",
                output="\n".join(replaced),
            )

    def _compare(self) -> _Found:
        if self._installed is None or self._looking is None:
            raise RuntimeError("nothing was hashed")
        listed = list_files(self.folder)
        looked = self._looking.result()
        hashes = _up_to_date(listed, looked.hashed)
        if _record_stamps(listed) != _record_stamps(self._installed):
            looked = _compared(self.folder, looked.hashed, _claims(self.folder, listed))
        claims, contents = looked.claims, looked.contents
        strangers = {path for path in self._installed.entries.keys() - self.made.keys() if _SITE in path}
        deviations = tuple(_deviations(self.folder, listed, hashes, looked, strangers))
        deviations += tuple(_changed_records(listed, hashes, contents, self.known_contents))
        refused = tuple(item for item in deviations if item not in self.accepted)
        if refused:
            raise Deviating(refused)
        return _Found(listed, hashes, claims, contents, deviations)


@dataclass(frozen=True)
class _Looked:
    """What was found of installed files while the health check ran, for all that it leaves as they are.

    Attributes:
        hashed: The hash of each file.
        claims: What RECORDs say.
        true: Files of which a RECORD says the truth, with the hash that they had.
        contents: As in `Seal`.
    """

    hashed: Mapping[str, Hashed | OSError]
    claims: _Claims
    true: Mapping[str, str]
    contents: Mapping[str, str]


@dataclass(frozen=True)
class _Found:
    """What is installed: its files, their hashes, what RECORDs claim of them, and where that is not so."""

    listed: Listed
    hashes: Mapping[str, str]
    claims: Mapping[str, tuple[Claim, ...]]
    contents: Mapping[str, str]
    deviations: tuple[Deviation, ...]


def begin(folder: Path, *, known_contents: Mapping[str, str], accepted: frozenset[Deviation]) -> Sealing:
    """Note what is there before anything is installed; the arguments are those of `Sealing`."""
    made = {path: stamp_of(facts) for path, facts in list_files(folder).entries.items()}
    return Sealing(folder, made, known_contents, accepted)


def contents_of(claims: Mapping[str, tuple[Claim, ...]]) -> dict[str, str]:
    """Return the digest of what each distribution's RECORD names, without what installers add."""
    rows: dict[str, list[str]] = {}
    for path, several in claims.items():
        name = path.partition(_SITE)[2]
        for claim in several:
            if claim.digest and name and not name.endswith(_INSTALLER_FILES):
                rows.setdefault(claim.distribution, []).append(f"{claim.digest} {name}")
    return {distribution: digest_of_bytes("\n".join(sorted(named)).encode()) for distribution, named in rows.items()}


def vouched(claims: tuple[Claim, ...], root: Path, path: str, sha256: str) -> bool:
    """Say whether one of the claims is true of a file of an environment."""
    return any(
        claim.digest == (sha256 if claim.algorithm == "sha256" else hash_file(root / path, claim.algorithm or ""))
        for claim in claims
        if claim.digest
    )


def mode_of(facts_mode: int) -> str:
    """Return permission bits as the manifest writes them."""
    return f"{stat.S_IMODE(facts_mode):04o}"


def _mended(listed: Listed) -> Listed:
    """Take from installed files what no wheel gives them: that everyone may write, or run them as someone else."""
    odd = [
        path
        for path, facts in listed.entries.items()
        if facts.st_mode & _NEVER_INSTALLED and stat.S_ISREG(facts.st_mode)
    ]
    for path in odd:
        (listed.root / path).chmod(stat.S_IMODE(listed.entries[path].st_mode) & ~_NEVER_INSTALLED)
    return list_files(listed.root) if odd else listed


def _up_to_date(listed: Listed, hashed: Mapping[str, Hashed | OSError]) -> dict[str, str]:
    """Return the hash of every file as it is now: anew for what came, or was written to, since it was hashed."""
    fresh: dict[str, str] = {}
    again = []
    for path in listed.files():
        known = hashed.get(path)
        if isinstance(known, Hashed) and known.stamp == stamp_of(listed.entries[path]):
            fresh[path] = known.sha256
        else:
            again.append(path)
    for path, result in hash_files(listed, again).items():
        if isinstance(result, OSError):
            raise BuildError(f"an installed file cannot be read: {result}") from result
        fresh[path] = result.sha256
    return fresh


def _record_stamps(listed: Listed) -> dict[str, tuple[int, ...]]:
    return {path: stamp_of(listed.entries[path]) for path, _ in find_records(listed.entries)}


def _look(folder: Path, listed: Listed) -> _Looked:
    return _compared(folder, hash_files(listed, tuple(listed.files())), _claims(folder, listed))


def _compared(folder: Path, hashed: Mapping[str, Hashed | OSError], claims: _Claims) -> _Looked:
    true = {}
    for path, several in claims.items():
        known = hashed.get(path)
        if isinstance(known, Hashed) and vouched(several, folder, path, known.sha256):
            true[path] = known.sha256
    return _Looked(hashed, claims, true, contents_of(claims))


def _claims(folder: Path, listed: Listed) -> _Claims:
    try:
        return claims_of({path: (folder / path).read_bytes() for path, _ in find_records(listed.files())})
    except ValueError as error:
        raise BuildError(f"a package says nothing that can be read of its files: {error}") from None


def _deviations(
    folder: Path,
    listed: Listed,
    hashes: Mapping[str, str],
    looked: _Looked,
    strangers: Collection[str],
) -> Iterator[Deviation]:
    claims, true = looked.claims, looked.true
    for path, several in claims.items():
        if path in true and hashes.get(path) == true[path]:
            continue
        distribution = several[0].distribution
        if path not in listed.entries:
            if any(claim.digest for claim in several):
                yield Deviation(path=path, kind="missing", sha256=None, distribution=distribution)
        elif path not in hashes or not (_is_open(several) or vouched(several, folder, path, hashes[path])):
            yield Deviation(path=path, kind="changed", sha256=hashes.get(path), distribution=distribution)
    records = {path for path, _ in find_records(listed.entries)}
    for path in sorted(strangers):
        if path in listed.entries and path not in records and path not in claims and not is_signature(path):
            yield Deviation(path=path, kind="extra", sha256=hashes.get(path), distribution=None)


def _changed_records(
    listed: Listed, hashes: Mapping[str, str], contents: Mapping[str, str], known: Mapping[str, str]
) -> Iterator[Deviation]:
    """Yield the RECORDs that name other files than the same wheel's did before: changed along with what they name."""
    for path, distribution in find_records(listed.files()):
        if known.get(distribution, contents.get(distribution)) != contents.get(distribution):
            yield Deviation(path=path, kind="changed", sha256=hashes[path], distribution=distribution)


def _is_open(claims: tuple[Claim, ...]) -> bool:
    """Say whether no RECORD vouches for a file, as for bytecode that an installer compiled."""
    return not any(claim.digest for claim in claims)


def _manifest(found: _Found) -> Manifest:
    listed, hashes, claims = found.listed, found.hashes, found.claims
    deviating = {deviation.path for deviation in found.deviations}
    bits = {path: stat.S_IMODE(listed.entries[path].st_mode) for path in hashes} if HAS_MODES else {}
    common = Counter(bits.values()).most_common(1)[0][0] if bits else None
    sealed, links = [], []
    for path, facts in sorted(listed.entries.items()):
        if stat.S_ISLNK(facts.st_mode):
            links.append(SealedLink(path=path, target=str((listed.root / path).readlink())))
            continue
        if path not in hashes:
            raise BuildError(f"a package made something that is no file: {path}")
        vouching = {claim.digest for claim in claims.get(path, ()) if claim.digest}
        if len(vouching) != 1 or path in deviating:
            sealed.append(SealedFile(path=path, size_bytes=facts.st_size, sha256=hashes[path]))
    return Manifest(
        files=tuple(sealed),
        links=tuple(links),
        common_mode=None if common is None else mode_of(common),
        modes={path: mode_of(mode) for path, mode in sorted(bits.items()) if mode != common},
        deviations=found.deviations,
    )


def _size(listed: Listed) -> Size:
    kept = [facts for path, facts in listed.entries.items() if path not in {MANIFEST, RECEIPT}]
    shared = sum(facts.st_size for facts in kept if facts.st_nlink > 1)
    return Size(files=len(kept), bytes=sum(facts.st_size for facts in kept), shared_bytes=shared)
