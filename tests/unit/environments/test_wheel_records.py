"""Reading RECORDs, also those that lie or are none."""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.environments.wheel_records import claims_of, find_records, is_signature

SITE = "venv/lib/python3.11/site-packages"
RECORD = f"{SITE}/My_Name-1.0.dist-info/RECORD"


def hashed(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}={base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b'=').decode()}"


def test_paths_are_relative_to_the_environment() -> None:
    rows = f'a.py,{hashed(b"a")},1\n../../../bin/tool,{hashed(b"t")},\n"with,comma.py",{hashed(b"c")},3\n'
    claims = claims_of({RECORD: (rows + "My_Name-1.0.dist-info/RECORD,,\n").encode()})
    assert set(claims) == {f"{SITE}/a.py", "venv/bin/tool", f"{SITE}/with,comma.py"}
    (claim,) = claims[f"{SITE}/a.py"]
    assert (claim.distribution, claim.algorithm, claim.size_bytes) == ("my-name", "sha256", 1)
    assert claim.digest == hashlib.sha256(b"a").hexdigest()
    assert claims["venv/bin/tool"][0].size_bytes is None


@pytest.mark.parametrize("row", ["a.pyc,,", "a.pyc", f"a.py,md5={'x' * 22},3"])
def test_what_vouches_for_nothing(row: str) -> None:
    (claim,) = claims_of({RECORD: row.encode()})[f"{SITE}/{row.partition(',')[0]}"]
    assert claim.digest is None


def test_two_distributions_may_claim_one_file() -> None:
    other = f"{SITE}/other-2.0.dist-info/RECORD"
    claims = claims_of({RECORD: f"x.py,{hashed(b'1')},1".encode(), other: f"x.py,{hashed(b'2', 'sha512')},1".encode()})
    assert [claim.distribution for claim in claims[f"{SITE}/x.py"]] == ["my-name", "other"]


@pytest.mark.parametrize("data", [b"\xff\xfe", b'"open', b"a.py,sha256=!,1", b"a.py,sha256=A,1"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="is no RECORD"):
        claims_of({RECORD: data})


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    claims = {}
    with suppress(ValueError):
        claims = claims_of({RECORD: data})
    assert RECORD not in claims


def test_only_records_of_distributions_are_found() -> None:
    assert list(find_records([RECORD, f"{SITE}/RECORD", f"{SITE}/a/RECORD", "x.dist-info/RECORD"])) == [
        (RECORD, "my-name")
    ]
    assert is_signature(RECORD + ".jws")
    assert not is_signature(RECORD)
