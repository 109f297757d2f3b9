"""Digests of documents: RFC 8785 canonical JSON under SHA-256, so that equal values have equal digests everywhere."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import rfc8785

from stemsep_envs.documents.document_type import BaseDocument
from stemsep_envs.documents.fields import StringConstraints

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal."""


def canonical_json(value: Any) -> bytes:
    """Write ``value`` (plain JSON types or a model) in the one form RFC 8785 gives it."""
    if isinstance(value, BaseDocument):
        value = value.model_dump(mode="json")
    return rfc8785.dumps(value)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of the canonical form of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_of_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data``, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
