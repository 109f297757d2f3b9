"""How addresses are reached: the hub and its mirrors, tokens, buckets, and what each is never told."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.programs.file_server import FileServer, answers
from tests.unit.artifacts.conftest import Fetch, want

from stemsep_envs.artifacts import sources
from stemsep_envs.artifacts.places import hub_endpoint, is_hub_secure
from stemsep_envs.artifacts.policy import usable_addresses
from stemsep_envs.documents.addresses import parse_address
from stemsep_envs.errors import BuildError, MismatchError

DATA = os.urandom(10_000)
SHA = hashlib.sha256(DATA).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = f"hf://owner/name@{COMMIT}/deep/x%20y.ckpt"
PATH = f"/owner/name/resolve/{COMMIT}/deep/x%20y.ckpt"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "AWS_"))]:
        monkeypatch.delenv(name)
    for name in ("huggingface_hub", "boto3", "botocore", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)  # as if not installed


def test_the_public_hub() -> None:
    request = sources.source_of(parse_address(FILE)).request()
    assert request.url == f"https://huggingface.co{PATH}"
    assert request.private_headers == {}
    assert is_hub_secure()


def test_a_mirror_of_the_hub_gets_the_file_and_the_token(
    server: FileServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.base + "/")
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret1")
    server.on(PATH, answers(302, Location="/cdn", X_Linked_Etag=f'"{SHA}"'))
    server.serve("/cdn", DATA)
    (got,) = fetch(want(FILE))
    assert (got.sha256, got.source) == (SHA, FILE)
    assert server.asked[0].headers["authorization"] == "Bearer hf_secretsecretsecret1"
    assert hub_endpoint() == server.base
    assert not is_hub_secure()
    server.serve("/cdn", DATA[:-1])
    server.on("/datasets/owner/name/resolve/main/x", answers(302, Location="/cdn", X_Linked_Etag=f'"{SHA}"'))
    with pytest.raises(MismatchError, match="did not give what was announced"):
        fetch(want("hf://datasets/owner/name@main/x"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BuildError, match="HF_HUB_OFFLINE"):
        fetch(want(FILE.replace("deep", "other")))


def test_the_hubs_own_addresses_go_by_the_mirror_too(
    server: FileServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.base)
    server.serve(PATH, DATA)
    (got,) = fetch(want(f"https://huggingface.co{PATH}?download=true"))
    assert got.sha256 == SHA


def test_a_gated_file_says_what_to_do(server: FileServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.base)
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret1")
    server.on(PATH, answers(401))
    with pytest.raises(BuildError, match="answered 401") as caught:
        fetch(want(FILE))
    assert caught.value.code == "download_denied"
    assert "terms" in (caught.value.hint or "")
    assert "secretsecret" not in f"{caught.value.message}{caught.value.hint}{caught.value.output}"


def test_where_tokens_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def token() -> str | None:
        return sources.source_of(parse_address(FILE)).request().private_headers.get("Authorization")

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert token() is None
    (tmp_path / "token").write_text("from-file\n")
    assert token() == "Bearer from-file"
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "older")
    assert token() == "Bearer older"
    monkeypatch.setenv("HF_TOKEN", "newer")
    assert token() == "Bearer newer"
    hub = ModuleType("huggingface_hub")
    hub.get_token = lambda: "its own"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert token() is None, "what holds a space is no token"
    hub.get_token = lambda: "kept-there"  # type: ignore[attr-defined]
    assert token() == "Bearer kept-there"
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example")
    assert token() is None, "not over http to another machine"
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert token() is None


@pytest.mark.parametrize(
    ("address", "environ", "url"),
    [
        ("s3://bucket/a%20b/c", {}, "https://bucket.s3.amazonaws.com/a%20b/c"),
        ("s3://dotted.bucket/c", {}, "https://s3.amazonaws.com/dotted.bucket/c"),
        ("s3://bucket/c", {"AWS_ENDPOINT_URL": "http://minio:9000/"}, "http://minio:9000/bucket/c"),
        ("s3://bucket/c", {"AWS_ENDPOINT_URL": "x", "AWS_ENDPOINT_URL_S3": "https://y"}, "https://y/bucket/c"),
    ],
)
def test_public_buckets(address: str, environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert sources.source_of(parse_address(address)).request().url == url


def test_private_bucket_addresses_hide_their_signature(
    server: FileServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Client:
        def generate_presigned_url(self, action: str, *, Params: dict[str, str], ExpiresIn: int) -> str:  # noqa: N803
            asked.append((action, Params, ExpiresIn))
            return server.url("/signed?X-Amz-Signature=0123456789abcdef")

    class Session:
        def get_credentials(self) -> object:
            return object()

        def client(self, service: str) -> Client:
            assert service == "s3"
            return Client()

    boto3 = ModuleType("boto3")
    boto3.session = type("session", (), {"Session": Session})  # type: ignore[attr-defined]
    exceptions = ModuleType("botocore.exceptions")
    exceptions.BotoCoreError = type("BotoCoreError", (Exception,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    monkeypatch.setitem(sys.modules, "botocore.exceptions", exceptions)
    server.serve("/signed", DATA)
    (got,) = fetch(want("s3://bucket/deep/key"))
    assert (got.sha256, got.source) == (SHA, "s3://bucket/deep/key")
    assert asked == [("get_object", {"Bucket": "bucket", "Key": "deep/key"}, 3600)]
    server.on("/signed", answers(403))
    with pytest.raises(BuildError) as caught:
        fetch(want("s3://bucket/other"))
    assert "0123456789" not in f"{caught.value.message}{caught.value.hint}{caught.value.output}"


def test_which_addresses_may_be_used_for_a_file_of_unknown_hash() -> None:
    texts = ("http://h/x", "https://h/x", FILE, "s3://bucket/x", "file:///x", "local://x")
    addresses = tuple(map(parse_address, texts))

    def usable(*, hash_known: bool = False, secure_hub: bool = True, policy: Any = "secure") -> list[str]:
        found = usable_addresses(addresses, policy, hash_known=hash_known, secure_hub=secure_hub)
        assert bool(found.addresses) != bool(found.refused)
        return [address.text for address in found.addresses]

    assert usable(hash_known=True) == list(texts)
    assert usable(policy="first-use") == list(texts)
    assert usable(policy="refuse") == []
    assert usable(policy="refuse", hash_known=True) == list(texts)
    assert usable() == list(texts[1:])
    assert usable(secure_hub=False) == [texts[1], *texts[3:]]
    assert usable_addresses(addresses[:1], "secure", hash_known=False, secure_hub=True).refused
