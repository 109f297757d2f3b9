"""What a checkpoint contained, as it is kept beside its converted form and printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256

_DANGEROUS_MODULES = frozenset(
    [
        "_io",
        "_posixsubprocess",
        "_winapi",
        "aiohttp",
        "asyncio",
        "bdb",
        "builtins",
        "cProfile",
        "cgi",
        "code",
        "codeop",
        "commands",
        "concurrent",
        "ctypes",
        "distutils",
        "doctest",
        "fcntl",
        "ftplib",
        "http",
        "httplib",
        "idlelib",
        "imp",
        "importlib",
        "inspect",
        "io",
        "joblib",
        "marshal",
        "mmap",
        "multiprocessing",
        "nt",
        "nturl2path",
        "operator",
        "os",
        "pdb",
        "pickle",
        "pip",
        "pkgutil",
        "platform",
        "popen2",
        "posix",
        "profile",
        "pty",
        "pydoc",
        "requests",
        "resource",
        "runpy",
        "setuptools",
        "shelve",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "test",
        "threading",
        "timeit",
        "trace",
        "types",
        "urllib",
        "urllib2",
        "venv",
        "webbrowser",
        "zipimport",
    ]
)
"""Standard modules, and a few others, that reach files, processes, the network or other code by being called."""

_HARMLESS_BUILTINS = frozenset(
    f"builtins.{name}"
    for name in [
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "object",
        "range",
        "set",
        "slice",
        "str",
        "tuple",
        "type",
    ]
)
_DANGEROUS_NAMES = frozenset(
    {
        "numpy.f2py",
        "numpy.load",
        "numpy.testing",
        "torch.hub",
        "torch.jit",
        "torch.load",
        "torch.ops",
        "torch.serialization.load",
        "torch.utils.cpp_extension",
        "torch.utils._config_module",
        "torch._dynamo",
        "torch._inductor",
    }
)


def is_dangerous(name: str) -> bool:
    """Say whether calling what a checkpoint names ("module.qualname") could reach beyond it."""
    parts = name.split(".")
    if name in _HARMLESS_BUILTINS:
        return False
    prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return parts[0] in _DANGEROUS_MODULES or bool(prefixes & _DANGEROUS_NAMES)


class InertName(Document):
    """A class or function in a checkpoint that is not data, and was not imported or called."""

    name: str
    named: int
    """How often it is named."""
    called: int
    """How often it was to be called."""
    dangerous: bool
    """Whether calling it could reach files, processes, the network or other code."""


class CheckpointReport(Document):
    """What a checkpoint contained, and what became of it."""

    schema_version: Literal[1] = 1
    input_sha256: Sha256
    input_bytes: int
    format: str
    """How it was written: ``zip`` (torch since 1.6), ``legacy`` (before), ``pickle`` (without torch)."""
    converter: str
    """The converter's version."""
    sandbox: str
    """The level that confined the conversion."""
    output_sha256: Sha256
    output_bytes: int
    tensors: int
    parameters: int
    """Elements of all tensors together; what several share counts once for each."""
    dtypes: Mapping[str, int]
    """How many tensors have each type."""
    arrays: int
    """Arrays of numpy's."""
    values: int
    """Everything else that was kept: numbers, texts, containers."""
    inert: tuple[InertName, ...]
    left_out: tuple[str, ...]
    """What was not kept, in words."""

    @property
    def dangerous(self) -> tuple[str, ...]:
        """Names that a checkpoint of data has no use for."""
        return tuple(found.name for found in self.inert if found.dangerous)


class InspectedCheckpoint(Document):
    """One checkpoint that was looked at."""

    name: str
    """Its file name."""
    report: CheckpointReport


class InspectReport(Document):
    """What checkpoints contain."""

    schema_version: Literal[1] = 1
    checkpoints: tuple[InspectedCheckpoint, ...]
