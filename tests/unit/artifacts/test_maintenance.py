"""Freeing disk: what nobody needs goes, what a live session uses stays, and each sees the other."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from stemsep_envs.artifacts import blobs, maintenance
from stemsep_envs.artifacts.converted import converted_dir
from stemsep_envs.artifacts.fetching import held, lock_name
from stemsep_envs.artifacts.uses import in_use
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.paths import Home

KEY = "0123456789abcdef" * 2


def keep(home: Home, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    staged = home.root / "staged"
    home.root.mkdir(exist_ok=True)
    staged.write_bytes(data)
    blobs.store_blob(home, sha256, staged)
    return sha256


def freed(
    home: Home, *, needed: Collection[str] | None = (), max_age_seconds: float | None = None, dry_run: bool = False
) -> list[tuple[str, str]]:
    found = maintenance.free(home, needed=needed, max_age_seconds=max_age_seconds, dry_run=dry_run)
    return sorted((item.kind, item.name[:6]) for item in found)


def test_what_goes_and_what_stays(home: Home) -> None:
    needed, unneeded, old = keep(home, b"needed"), keep(home, b"unneeded"), keep(home, b"old")
    os.utime(blobs.stamp_path(home, old), (5, 5))
    assert freed(home, needed=None) == []
    assert freed(home, needed=[needed, old], dry_run=True) == [("artifact", unneeded[:6])]
    assert freed(home, needed=None, max_age_seconds=60) == [("artifact", old[:6])]
    assert freed(home, needed=[needed, old]) == [("artifact", unneeded[:6])]
    assert blobs.stored_hashes(home) == [needed]
    assert not blobs.stamp_path(home, old).exists()


def test_converted_forms_go_with_their_checkpoints(home: Home) -> None:
    kept, gone = keep(home, b"kept"), keep(home, b"gone")
    for folder in (converted_dir(home, kept), converted_dir(home, gone)):
        folder.mkdir(parents=True)
        (folder / "checkpoint.safetensors").write_bytes(b"x" * 10)
    old_version = converted_dir(home, kept).with_name(f"{kept}-0")
    left_by_the_dead = converted_dir(home, kept).with_name(f".{kept}-1.partial")
    for folder in (old_version, left_by_the_dead):
        folder.mkdir()
    found = freed(home, needed=[kept])
    assert [kind for kind, _ in found] == ["artifact", "converted", "converted", "converted"]
    assert list((home.artifacts_dir / "converted").iterdir()) == [converted_dir(home, kept)]


def test_converted_forms_are_verified(home: Home) -> None:
    sha256 = keep(home, b"checkpoint")
    assert maintenance.verify_converted_form(home, sha256) is None
    folder = converted_dir(home, sha256)
    folder.mkdir(parents=True)
    (folder / "checkpoint.safetensors").write_bytes(b"damaged")
    checked = maintenance.verify_converted_form(home, sha256)
    assert checked is not None
    assert (checked.kind, checked.ok) == ("converted", False)
    assert not folder.exists()


def test_what_a_live_session_uses_stays(home: Home) -> None:
    used = keep(home, b"used")
    with in_use(home, [used]):
        assert freed(home, max_age_seconds=0) == []
    assert list((home.artifacts_dir / "uses").iterdir()) == []
    assert freed(home) == [("artifact", used[:6])]
    with pytest.raises(StemsepEnvError, match="was removed since it was found") as caught, in_use(home, [used]):
        raise AssertionError
    assert caught.value.code == "artifact_gone"


def test_the_dead_use_nothing(home: Home) -> None:
    used = keep(home, b"used")
    program = (
        "import os, sys; from pathlib import Path; from stemsep_envs.host.paths import Home\n"
        "from stemsep_envs.artifacts.uses import in_use\n"
        "with in_use(Home(Path(sys.argv[1])), [sys.argv[2]]): os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(home.root), used], check=False)
    assert done.returncode == 9
    assert len(list((home.artifacts_dir / "uses").iterdir())) == 2
    assert freed(home) == [("artifact", used[:6])]
    assert list((home.artifacts_dir / "uses").iterdir()) == []


def test_a_file_that_is_being_brought_stays(home: Home) -> None:
    sha256 = keep(home, b"brought")
    with held(home, lock_name(sha256), check=lambda: None):
        assert freed(home) == []
    assert freed(home) == [("artifact", sha256[:6])]


def test_leftovers(home: Home, tmp_path: Path) -> None:
    partial = home.artifacts_dir / "partial"
    partial.mkdir(parents=True)
    for name in (f"{KEY}.part", f"{KEY}-archive.part", "added-1", "old.part"):
        (partial / name).write_bytes(b"x")
    os.utime(partial / "old.part", (5, 5))
    damaged = blobs.blob_path(home, keep(home, b"whole"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"other")
    checked = maintenance.verify_blob(home, damaged.name, check=lambda: None)
    assert not checked.ok
    assert checked.set_aside is not None
    assert [kind for kind, _ in freed(home, needed=None)] == ["damaged", "unfinished"]
    assert len(list(partial.iterdir())) == 3
    with held(home, lock_name(KEY), check=lambda: None):
        assert freed(home, needed=None, max_age_seconds=0) == []
    assert freed(home, needed=None, max_age_seconds=0) == [("unfinished", KEY[:6])] * 2
    assert [path.name for path in partial.iterdir()] == ["added-1"]
