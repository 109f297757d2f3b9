"""Addresses of artifacts: what they name, and what is refused."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.addresses import (
    HUB,
    AddressError,
    HubFile,
    canonical_address,
    page_problem,
    parse_address,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda name: name not in {"datasets", "spaces"}
)
PARTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Z"), exclude_characters="/\\:"), min_size=1, max_size=12
).filter(lambda part: part not in {".", ".."})
REVISIONS = st.text(string.ascii_letters + string.digits + "._/-", min_size=1, max_size=40)
FILES = st.builds(
    HubFile,
    st.sampled_from(["", "datasets", "spaces"]),
    NAMES,
    NAMES,
    REVISIONS,
    st.lists(PARTS, min_size=1, max_size=3).map("/".join),
)


def test_a_file_of_the_hub() -> None:
    address = parse_address(f"hf://owner/my.model@{COMMIT}/deep/model%20v2.ckpt")
    assert address.hub == HubFile("", "owner", "my.model", COMMIT, "deep/model v2.ckpt")
    assert address.hub.is_pinned
    assert address.hub.resolve_url(HUB) == f"{HUB}/owner/my.model/resolve/{COMMIT}/deep/model%20v2.ckpt"
    assert parse_address("hf://owner/model/x.ckpt").hub == HubFile("", "owner", "model", "main", "x.ckpt")
    branch = parse_address("hf://datasets/owner/set@refs%2Fpr%2F1/x").hub
    assert branch == HubFile("datasets", "owner", "set", "refs/pr/1", "x")
    assert not branch.is_pinned


@given(FILES)
def test_a_file_of_the_hub_has_one_name_however_it_is_written(file: HubFile) -> None:
    by_https = parse_address(file.resolve_url(HUB))
    by_hf = parse_address(canonical_address(by_https))
    assert by_https.hub == by_hf.hub == file
    assert by_https.key == by_hf.key == parse_address(file.resolve_url(HUB) + "?download=true").key
    assert page_problem(by_https) is None


@given(st.text(max_size=60) | st.text("hfs3:/@.%2Fetc\\?# -local", max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert len(address.key) == 64
    if address.scheme in {"local", "s3", "hf"}:
        assert address.path
    if address.scheme == "local":
        assert ".." not in address.path.split("/")
        assert not address.path.startswith("/")


@pytest.mark.parametrize(
    "text",
    [
        "", "model.ckpt", "ftp://host/x", "javascript:alert(1)", "https://", "https:///x", "https://host:x/y",
        "hf://owner/name", "hf://owner@main/x", "hf://owner/name@/x", "hf://owner/name@main/../x", "hf://../name@main/x",
        "hf://owner/name@main/x?y", "hf://owner/name@main/a%2F..%2Fb", "s3://bucket", "s3://bucket/", "s3://BUCKET/x",
        "s3://b/x", "s3://buc..ket/x", "s3://bucket/x?versionId=1", "file://host/x", "file:///", "file://",
        "local://../x", "local:///x", "local://a//b", "local://a/%2e%2e/b", "local://a\\b", "local://c:/x",
        "local://a/b#c", "https://host/a b", "https://host/\n",
    ],
)  # fmt: skip
def test_what_names_no_file_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_other_addresses() -> None:
    bucket = parse_address("s3://my-bucket/deep/key%20x")
    assert (bucket.scheme, bucket.host, bucket.path) == ("s3", "my-bucket", "deep/key x")
    assert parse_address("file:///a/b%20c").path == "/a/b c"
    assert parse_address("local://vocals/x/model.ckpt").path == "vocals/x/model.ckpt"
    assert not parse_address("local://a/b").is_remote
    assert parse_address("HTTPS://Host/X").scheme == "https"


def test_spellings_of_one_place_have_one_key() -> None:
    one = parse_address("https://me:secret@Host.example/Path?x=1#part")
    assert "secret" not in canonical_address(one)
    assert one.key == parse_address("HTTPS://host.example/Path?x=1").key
    assert one.key != parse_address("https://host.example/path?x=1").key
    assert one.key != parse_address("http://host.example/Path?x=1").key


@pytest.mark.parametrize(
    ("url", "is_page"),
    [
        ("https://huggingface.co/owner/name", True),
        ("https://huggingface.co/owner/name/blob/main/x.ckpt", True),
        ("https://huggingface.co/owner/name/tree/main", True),
        ("https://huggingface.co/datasets/owner/name/blob/main/x", True),
        ("https://huggingface.co/owner/name/resolve/main/x.ckpt", False),
        ("https://github.com/owner/name", True),
        ("https://github.com/owner/name/blob/main/x.py", True),
        ("https://github.com/owner/name/releases", True),
        ("https://github.com/owner/name/releases/tag/v1", True),
        ("https://github.com/owner/name/releases/download/v1/x.ckpt", False),
        ("https://example.org", True),
        ("https://example.org/models/", True),
        ("https://drive.google.com/drive/folders/1ZS?usp=sharing", True),
        ("https://drive.google.com/file/d/1ZS/view", True),
        ("https://drive.google.com/uc?export=download&id=1ZS", False),
        ("https://example.org/", True),
        ("https://example.org/?id=5", False),
        ("https://example.org/x", False),
        ("s3://bucket/x", False),
    ],
)
def test_pages_are_told_from_files(url: str, *, is_page: bool) -> None:
    assert (page_problem(parse_address(url)) is not None) == is_page
