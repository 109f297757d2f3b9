"""Whether a path leads where it says, in a folder that somebody else wrote. Taking files is tested with `ingest`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stemsep_envs.host.untrusted_files import leads_out

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")


def test_plain_folders_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert not leads_out(tmp_path / "a" / "b", tmp_path)
    assert not leads_out(tmp_path, tmp_path)
    assert leads_out(tmp_path / "a" / "missing", tmp_path)


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_a_link_on_the_way_does(tmp_path: Path, link: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root, elsewhere):
        (folder / "a" / "b" / "c").mkdir(parents=True)
    (root / link).rename(tmp_path / "aside")
    (root / link).symlink_to(elsewhere / link)
    assert (root / "a" / "b" / "c").is_dir()
    assert leads_out(root / "a" / "b" / "c", root)


def test_a_file_on_the_way_does(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert leads_out(tmp_path / "a", tmp_path)
    assert leads_out(tmp_path / "a" / "b", tmp_path)
