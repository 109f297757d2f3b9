"""Reading RECORD: the list of its files that every installed distribution carries, with their hashes. Pure."""

from __future__ import annotations

import base64
import csv
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

STRONG_ALGORITHMS = ("sha256", "sha384", "sha512")
"""What a RECORD may vouch with; a weaker hash vouches for nothing."""

_RECORD = re.compile(r"(?P<site>.+/site-packages)/(?P<name>[^/-]+)-[^/]+\.dist-info/RECORD")
"""Those of what is installed; some distributions carry others within, with RECORDs that say nothing of this place."""

_SIGNATURES = (".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")


@dataclass(frozen=True)
class Claim:
    """What a RECORD says of a file.

    Attributes:
        distribution: Whose RECORD.
        algorithm: One of `STRONG_ALGORITHMS`; None when the row vouches for nothing.
        digest: In hexadecimal; None likewise.
        size_bytes: None when it is not stated.
    """

    distribution: str
    algorithm: str | None
    digest: str | None
    size_bytes: int | None


def find_records(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield, of the paths of an environment, each RECORD with the name of its distribution."""
    for path in paths:
        if path.endswith("/RECORD") and (match := _RECORD.fullmatch(path)):
            yield path, str(canonicalize_name(match["name"]))


def claims_of(records: Mapping[str, bytes]) -> dict[str, tuple[Claim, ...]]:
    """Return what RECORDs say of each path of an environment; two distributions may claim the same one.

    Args:
        records: The content of each RECORD by its path.

    Raises:
        ValueError: One is no RECORD; says which and where.
    """
    claims: dict[str, list[Claim]] = {}
    for record, distribution in find_records(records):
        site = posixpath.dirname(posixpath.dirname(record))
        for path, claim in _rows(records[record], record, site, distribution):
            if path != record:
                claims.setdefault(path, []).append(claim)
    return {path: tuple(several) for path, several in claims.items()}


def is_signature(path: str) -> bool:
    """Say whether a path is one that no RECORD names, by its own rules."""
    return path.endswith(_SIGNATURES)


def _rows(data: bytes, record: str, site: str, distribution: str) -> Iterator[tuple[str, Claim]]:
    try:
        reader = csv.reader(data.decode("utf-8").splitlines(), strict=True)
        for row in filter(None, reader):
            yield posixpath.normpath(posixpath.join(site, row[0])), _claim(row, distribution)
    except (csv.Error, ValueError) as error:  # not UTF-8, a number too long, or no base64, too
        raise ValueError(f"{record} is no RECORD: {error}") from None


def _claim(row: list[str], distribution: str) -> Claim:
    hashed, size = (*row[1:3], "", "")[:2]
    algorithm, _, text = hashed.partition("=")
    size_bytes = int(size) if size.isdecimal() else None
    if algorithm not in STRONG_ALGORITHMS:
        return Claim(distribution, None, None, size_bytes)
    digest = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).hex()
    return Claim(distribution, algorithm, digest, size_bytes)
