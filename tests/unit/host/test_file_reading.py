"""Reading files: what hashing can be told meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stemsep_envs.host.file_reading import sha256_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sha256_of(tmp_path / "file", check=check)
