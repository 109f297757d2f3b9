"""Passwords and tokens are not shown, whatever text they stand in, and hiding them takes no longer than reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.host.redaction import redact


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("get https://user:pa55@host/x y", "get https://user:***@host/x y"),
        ("https://user:p@ss@host/", "https://user:***@host/"),
        ("https://token123@host/", "https://***@host/"),
        ("https://host/x?token=abc&b=1", "https://host/x?token=***&b=1"),
        ("https://host/?X-Amz-Signature=abc", "https://host/?X-Amz-Signature=***"),
        ("--api-key=abc x", "--api-key=*** x"),
        ("--hf-token abc x", "--hf-token *** x"),
        ("HF_TOKEN=abc tool", "HF_TOKEN=*** tool"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("hf_abcdefghijklmnopqrstuvwxyz", "hf_***"),
        ("unexpected token: 'x' at a@b.c", "unexpected token: 'x' at a@b.c"),
        ("git+https://host/owner/repo@v1.0", "git+https://host/owner/repo@v1.0"),
        ("/home/a:b@c/x", "/home/a:b@c/x"),
        ("http://bob:s3cr3t/pw@127.0.0.1:80/x", "http://bob:***@127.0.0.1:80/x"),
        ("'https://u:p@h/s' to a@b.c", "'https://u:***@h/s' to a@b.c"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("hf://owner/name@main/path", "hf://owner/name@main/path"),
        ("https://host/c?sig=abc%3D&x=1", "https://host/c?sig=***&x=1"),
        ("pypi-AgEIcHlwaS5vcmcCJDk5abc", "pypi-AgE***"),
        ("glpat-abcdefghijklmnopqrst", "glpat-***"),
    ],
)
def test_secrets_are_not_shown(text: str, hidden: str) -> None:
    assert redact(text) == hidden
    assert redact(hidden) == hidden


@given(
    st.text(), st.text(alphabet=st.characters(exclude_characters="@/\\'\"&", exclude_categories=("Z", "C")), min_size=1)
)
def test_a_password_of_an_address_never_stays(before: str, password: str) -> None:
    hidden = redact(f"{before} https://user:{password}x@host/path")
    assert hidden.endswith("https://user:***@host/path")


@given(st.text(alphabet="token=://@: -sig?&'hf_a0"))
def test_hiding_again_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "part", ["token", "a", "://", "://a:", "://a:b@", "token=", "-", "--password ", "bearer ", "hf_", "= ", "://token@"]
)
def test_long_text_of_strangers_is_done_at_once(part: str) -> None:
    """A pattern that goes back over its text would take hours for these."""
    assert redact(part * (1_000_000 // len(part))) is not None
