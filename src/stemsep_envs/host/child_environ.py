"""The environment variables of child processes: one table says what passes to which program, and why.

A program gets what it needs to find its configuration and to reach the network as the user has arranged it. What would
change its answer (another repository, another index, constraints, a preloaded library) does not pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

ChildProgram: TypeAlias = Literal["uv", "pip", "git", "container-engine", "interpreter", "confined"]
"""Programs of others that get some of this process's variables: ``interpreter`` is a Python that is asked what it is,
``confined`` whatever a sandbox holds."""


@dataclass(frozen=True)
class PassedVariables:
    """Variables that pass, and why.

    Attributes:
        names: Their names, without regard to case (proxies are often written in lower case); one that ends with an
            asterisk stands for all that begin so.
        programs: Who gets them.
        reason: What they are needed for.
    """

    names: tuple[str, ...]
    programs: tuple[ChildProgram, ...]
    reason: str


TABLE: tuple[PassedVariables, ...] = (
    PassedVariables(
        ("SYSTEMROOT",), ("uv", "pip", "git", "interpreter", "confined"), "Windows starts no program without it"
    ),
    PassedVariables(("SYSTEMDRIVE",), ("uv", "pip"), "Windows' own folders"),
    PassedVariables(
        ("PATH",),
        ("uv", "pip", "git", "container-engine", "interpreter"),
        "helpers that they start: git, ssh, keyrings, and the interpreter behind a shim",
    ),
    PassedVariables(("LD_LIBRARY_PATH",), ("pip", "interpreter"), "some interpreters find their own library by it"),
    PassedVariables(("HOME",), ("uv", "pip", "git", "container-engine"), "configuration and credentials of the user"),
    PassedVariables(("USERPROFILE",), ("uv", "pip", "git"), "likewise, on Windows"),
    PassedVariables(("HOMEDRIVE", "HOMEPATH"), ("git",), "likewise, where git looks first on Windows"),
    PassedVariables(
        ("APPDATA", "LOCALAPPDATA", "PROGRAMDATA"), ("uv", "pip", "git"), "configuration of user and system on Windows"
    ),
    PassedVariables(("XDG_CONFIG_HOME",), ("uv", "pip", "git"), "configuration of the user"),
    PassedVariables(("XDG_CONFIG_DIRS",), ("pip",), "configuration of the system"),
    PassedVariables(("XDG_CACHE_HOME",), ("uv", "git"), "caches, that of credentials among them"),
    PassedVariables(("XDG_DATA_HOME",), ("uv",), "interpreters and credentials that uv keeps"),
    PassedVariables(("XDG_RUNTIME_DIR",), ("git", "container-engine"), "sockets of agents, and of a user's own engine"),
    PassedVariables(("TMPDIR", "TEMP", "TMP"), ("uv", "pip", "git"), "where there is room for temporary files"),
    PassedVariables(("LANG", "LC_ALL"), ("uv", "pip"), "the encoding of names; git's words are read, and stay plain"),
    PassedVariables(
        ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"), ("uv", "pip", "git"), "the way to the network"
    ),
    PassedVariables(("SSL_CERT_FILE", "SSL_CERT_DIR"), ("uv", "pip", "git"), "certificates that are trusted"),
    PassedVariables(("CURL_CA_BUNDLE",), ("git",), "likewise, by the word of git's library"),
    PassedVariables(("SSL_CLIENT_CERT",), ("uv",), "the user's certificate"),
    PassedVariables(("NETRC",), ("uv", "pip"), "passwords for indexes"),
    PassedVariables(
        (
            *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
            "UV_INDEX_*",
        ),
        ("uv",),
        "where packages are, and the passwords of named indexes; which are installed is the lock's to say",
    ),
    PassedVariables(
        (
            *("UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"),
            *("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES", "UV_REQUEST_TIMEOUT"),
            *("UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_BUILDS", "UV_CONCURRENT_INSTALLS", "UV_LOCK_TIMEOUT"),
        ),
        ("uv",),
        "how servers are trusted, how patiently they are asked, and how much at once",
    ),
    PassedVariables(
        ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS", "UV_PYTHON_DOWNLOADS_JSON_URL"),
        ("uv",),
        "whether and from where interpreters are installed",
    ),
    PassedVariables(("UV_EXCLUDE_NEWER",), ("uv",), "a date that resolving goes back to; it is a part of the question"),
    PassedVariables(
        (
            *("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
            *("PIP_PROXY", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_TRUSTED_HOST", "PIP_KEYRING_PROVIDER"),
            *("PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES", "PIP_CACHE_DIR"),
        ),
        ("pip",),
        "where packages are and how they are reached; which are installed is the lock's to say",
    ),
    PassedVariables(
        ("GIT_CONFIG*", "GIT_SSH*", "GIT_SSL_*", "GIT_HTTP_*", "GIT_PROXY_*", "GIT_CURL_*"),
        ("git",),
        "configuration (mirrors are named there) and the way to servers; GIT_DIR and its like would lead elsewhere",
    ),
    PassedVariables(("GIT_ASKPASS", "GIT_EXEC_PATH"), ("git",), "what asks for passwords; where git's own parts are"),
    PassedVariables(
        ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", "KRB5_CONFIG"), ("git",), "the user's keys and tickets"
    ),
    PassedVariables(
        ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST"), ("container-engine",), "where the engine listens"
    ),
)


def passed_variables(program: ChildProgram, environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of an environment's variables that pass to a program."""
    names = [name for row in TABLE if program in row.programs for name in row.names]
    whole = {name for name in names if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    return {
        name: value for name, value in environ.items() if name.upper() in whole or name.upper().startswith(prefixes)
    }


def private_variables(environ: Mapping[str, str], *, home: Path, temporary: Path, path: str) -> dict[str, str]:
    """Return the variables of a confined program: nothing of the user's, and folders of its own.

    Args:
        environ: This process's environment.
        home: What it takes for the user's folder.
        temporary: Where it puts temporary files.
        path: Where it finds programs.
    """
    return {
        **passed_variables("confined", environ),
        "PATH": path,
        **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        "LANG": "C.UTF-8",
    }
