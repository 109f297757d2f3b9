"""Redaction: hiding passwords and tokens in text that people will see, or that is kept.

The text may be a stranger's (a server's reply, a tool's output), so all of this takes time that grows with its length
and no faster: names are bounded, and nothing is looked for twice from the same place.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_NAMED = re.compile(r"(?<![\w-])(?P<name>[\w-]{1,200})=|(?<![\w-])--(?P<option>[\w-]{1,100})\s{1,8}(?=[^\s-])")
_SECRET_NAME = re.compile(r"token|password|passwd|secret|api[_-]?key|signature", re.IGNORECASE)
_SECRET_OPTION = re.compile(r"(token|password)$", re.IGNORECASE)
_VALUE = re.compile(r"[^\s&'\"]+")
_SAID = re.compile(r"(?i)(\bauthorization:\s{0,8}\w{1,40}\s{1,8}|\bbearer\s{1,8})[^\s&'\"]+")
_KIND = re.compile(r"\b(hf_|gh[pousr]_|github_pat_|glpat-|pypi-AgE)[\w-]{16,}")
_END = re.compile(r"[\s'\"]|$")
_PORT = re.compile(r"\d+(?=[/\s]|$)")


def redact(text: str) -> str:
    """Replace passwords and tokens by ``***``: in addresses, in arguments that are called so, and known kinds."""
    text = _in_addresses(text)
    text = _with_names(text)
    text = _SAID.sub(rf"\1{_HIDDEN}", text)
    return _KIND.sub(rf"\1{_HIDDEN}", text)


def _in_addresses(text: str) -> str:
    """Hide what stands before the last ``@`` of an address: behind a colon a password, which may hold a slash."""
    parts, done, end, last_at = [], 0, -1, -1
    at = text.find("://")
    while at >= 0:
        begin = at + 3
        if begin > end:  # the address ends at the next space or quote
            match = _END.search(text, begin)
            end = match.start() if match else len(text)
            last_at = text.rfind("@", begin, end)
        slash = text.find("/", begin, end)
        host_end = slash if slash >= 0 else end
        colon = text.find(":", begin, host_end)
        if colon >= 0 and last_at > colon and not _PORT.match(text, colon + 1, end):
            hidden, until = colon + 1, last_at
        else:
            hidden, until = begin, text.rfind("@", begin, host_end)
        if until > hidden:
            parts += [text[done:hidden], _HIDDEN]
            done = until
        at = text.find("://", max(begin, done))
    return "".join([*parts, text[done:]])


def _with_names(text: str) -> str:
    """Hide values whose names say what they are: ``HF_TOKEN=…``, ``?sig=…``, ``--password …``."""
    parts, done = [], 0
    for match in _NAMED.finditer(text):
        name, option = match["name"], match["option"]
        if name is not None:
            is_secret = bool(_SECRET_NAME.search(name)) or (name.lower() == "sig" and text[match.start() - 1] in "?&")
        else:
            is_secret = bool(_SECRET_OPTION.search(option))
        value = _VALUE.match(text, match.end()) if is_secret and match.end() >= done else None
        if value is not None:
            parts += [text[done : match.end()], _HIDDEN]
            done = value.end()
    return "".join([*parts, text[done:]])
