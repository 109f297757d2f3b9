"""How addresses are reached: which server, with which token, or which file of this machine.

Everything remote becomes a plain web request, so that one downloader holds to one set of rules. Tokens are looked for
where their owners keep them, only when a request is made; they go to the host they are meant for and are never shown.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from stemsep_envs.artifacts.places import hub_endpoint, is_hub_offline, shown_address
from stemsep_envs.documents.addresses import Address
from stemsep_envs.host.downloads import Source
from stemsep_envs.host.web import WebError, WebRequest

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def source_of(address: Address) -> Source:
    """Return how a remote address is reached."""
    shown = shown_address(address)
    if address.hub is not None:
        return Source(shown, lambda: _hub_request(address), is_hub=True)
    if address.scheme == "s3":
        return Source(shown, lambda: _bucket_request(address))
    return Source(shown, lambda: WebRequest(address.text))


def _hub_request(address: Address) -> WebRequest:
    if address.hub is None:
        raise TypeError("not a file of the hub")
    if is_hub_offline():
        raise WebError("offline", "is not fetched: HF_HUB_OFFLINE is set")
    endpoint = hub_endpoint()
    token = _hub_token() if _may_have_token(endpoint) else None
    private = {"Authorization": f"Bearer {token}"} if token else {}
    return WebRequest(address.hub.resolve_url(endpoint), {}, private)


def _may_have_token(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _hub_token() -> str | None:
    """Return the user's token, from wherever it is kept, or None."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").strip().lower() in {"1", "true", "yes", "on"}:
        return None
    try:
        from huggingface_hub import get_token  # noqa: PLC0415 - optional, and slow to load
    except ImportError:
        token = _token_in_its_usual_places()
    else:
        token = get_token()
    # What is no plain word is a mistake that would only confuse the server.
    return token if token and token.isascii() and token.isprintable() and " " not in token else None


def _token_in_its_usual_places() -> str | None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        token = os.environ.get(name, "").strip()
        if token:
            return token
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")  # noqa: PTH118
    hub_home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")  # noqa: PTH118
    named = os.environ.get("HF_TOKEN_PATH") or os.path.join(hub_home, "token")  # noqa: PTH118
    try:
        return Path(os.path.expanduser(named)).read_text("utf-8").strip() or None  # noqa: PTH111
    except (OSError, UnicodeDecodeError):
        return None


def _bucket_request(address: Address) -> WebRequest:
    """Return a request for an object: signed where boto3 and credentials are here, else as a public bucket's."""
    signed = _signed_url(address)
    if signed is not None:
        return WebRequest(signed)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    key = quote(address.path)
    if endpoint:
        return WebRequest(f"{endpoint.rstrip('/')}/{address.host}/{key}")
    if "." in address.host:  # the wildcard of the provider's certificate covers one level alone
        return WebRequest(f"https://s3.amazonaws.com/{address.host}/{key}")
    return WebRequest(f"https://{address.host}.s3.amazonaws.com/{key}")


def _signed_url(address: Address) -> str | None:
    try:
        import boto3  # noqa: PLC0415 - optional, and slow to load
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        session = boto3.session.Session()
        if session.get_credentials() is None:
            return None
        place = {"Bucket": address.host, "Key": address.path}
        return str(session.client("s3").generate_presigned_url("get_object", Params=place, ExpiresIn=3600))
    except (BotoCoreError, ValueError) as error:
        raise WebError("download_failed", f"cannot be signed: {error}") from None
