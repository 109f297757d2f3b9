"""What uv says, where a decision hangs on it: the only module that reads its words.

uv tells why it failed in prose alone: its exit status is 1 for an answer that does not exist and for a file that cannot
be fetched alike, and there is no machine-readable form. ``tests/integration/test_uv_words.py`` holds these sentences
against the uv that is installed. Pure.
"""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

_NO_SOLUTION = "No solution found"
_NOT_LOOKED = "network was disabled"
_HASH_MISMATCH = "hash mismatch"
_UNREACHABLE = ("Failed to fetch", "error sending request", "Request failed after", "Failed to download")
"""How it begins to say that a server does not answer, or answers with an error."""

_WOULD_DOWNLOAD = "Would download"
_NO_WHEELS = "wheels"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_unsatisfiable(output: str) -> bool:
    """Say whether a resolution failed because no versions meet what is asked, not because it could not look."""
    return _NO_SOLUTION in output and _NOT_LOOKED not in output


def packages_in(output: str) -> frozenset[str]:
    """Return the normalized names that may be packages in the chain that makes a resolution impossible."""
    return frozenset(canonicalize_name(word.rstrip("._-")) for word in _WORD.findall(output))


def lacks_wheels(output: str) -> bool:
    """Say whether a resolution failed where versions have no wheels, or none that fit."""
    return _NO_WHEELS in output


def is_hash_mismatch(output: str) -> bool:
    """Say whether a file that was fetched is not the one that is locked."""
    return _HASH_MISMATCH in output.lower()


def is_unreachable(output: str) -> bool:
    """Say whether an index cannot be reached, or does not answer as one."""
    return any(sign in output for sign in _UNREACHABLE) and not is_hash_mismatch(output)


def would_download(output: str) -> bool:
    """Say whether a dry run found a file only by its description: the file itself is not in the cache."""
    return _WOULD_DOWNLOAD in output
