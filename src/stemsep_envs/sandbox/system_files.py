"""What of this machine every worker sees: the system's libraries, a few harmless files, the accelerator's nodes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.accelerators import DEVICE_NODES, DRIVER_FILES
from stemsep_envs.host.interpreter_files import readable_for

_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_FILES = (
    "/etc/ld.so.cache",
    "/etc/alternatives",  # Debian's libblas.so.3 and its kind point there
    "/etc/localtime",
    # Which processors there are: thread pools and instruction sets are chosen by it.
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)


@dataclass(frozen=True)
class System:
    """Paths of this machine that a worker sees besides its own.

    Attributes:
        readable: System folders and files that are there, real ones.
        links: System folders that are links, each with its target (``/lib`` → ``usr/lib``).
        gpu_nodes: Device nodes of accelerators that are there.
        gpu_readable: What their libraries read besides.
    """

    readable: tuple[Path, ...]
    links: tuple[tuple[Path, str], ...]
    gpu_nodes: tuple[Path, ...]
    gpu_readable: tuple[Path, ...]


def find_system() -> System:
    """Look at what of the system is there."""
    paths = [Path(name) for name in (*_FOLDERS, *_FILES)]
    links = [path for path in paths if path.is_symlink() and str(path) in _FOLDERS]
    return System(
        readable=tuple(path for path in paths if path.exists() and path not in links),
        links=tuple((path, str(path.readlink())) for path in links),
        gpu_nodes=tuple(sorted(node for pattern in DEVICE_NODES for node in Path("/dev").glob(pattern))),
        gpu_readable=tuple(path for name in DRIVER_FILES if (path := Path(name)).exists()),
    )


def interpreter_dirs() -> tuple[Path, ...]:
    """Return what must be readable to run this program's own interpreter."""
    prefixes = dict.fromkeys(map(Path, (sys.prefix, sys.base_prefix, sys.base_exec_prefix)))
    return readable_for(Path(sys.executable), *prefixes)
