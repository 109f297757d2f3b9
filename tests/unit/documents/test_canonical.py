"""Canonical JSON and digests: equal values, equal bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256, canonical_json, digest_of, digest_of_bytes

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


class Digested(Document):
    sha256: Sha256


def test_the_form_that_rfc_8785_gives() -> None:
    value = {"numbers": [1e30, 4.50, 2e-3, 1.0], "string": "\u20ac$\n", "literals": [None, True, False]}
    assert (
        canonical_json(value)
        == '{"literals":[null,true,false],"numbers":[1e+30,4.5,0.002,1],"string":"€$\\n"}'.encode()
    )


@given(JSON, st.randoms())
def test_the_order_of_keys_does_not_matter(value: Any, random: Any) -> None:
    def shuffled(item: Any) -> Any:
        if isinstance(item, dict):
            keys = list(item)
            random.shuffle(keys)
            return {key: shuffled(item[key]) for key in keys}
        return [shuffled(part) for part in item] if isinstance(item, list) else item

    assert digest_of(shuffled(value)) == digest_of(value)
    assert json.loads(canonical_json(value)) == value


def test_a_model_has_the_digest_of_its_fields() -> None:
    digest = digest_of_bytes(b"")
    assert digest == hashlib.sha256(b"").hexdigest()
    assert digest_of(Digested(sha256=digest)) == digest_of({"sha256": digest})


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_a_digest_is_64_lower_case_hexadecimal_digits(text: str) -> None:
    with pytest.raises(ValidationError):
        Digested(sha256=text)
