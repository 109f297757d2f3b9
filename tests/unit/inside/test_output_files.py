"""Files that vanish unless their request is finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.inside.failures import RequestError
from stemsep_envs.inside.output_files import CallbackFile, PartialFiles


def test_kept_files_stay_and_discarded_ones_do_not(tmp_path: Path) -> None:
    files = PartialFiles()
    files.create(str(tmp_path / "kept")).write(b"sound")
    files.keep()
    files.create(str(tmp_path / "dropped")).write(b"noise")
    files.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"sound"


def test_nothing_is_created_once_abandoned(tmp_path: Path) -> None:
    files = PartialFiles()
    files.create(str(tmp_path / "early"))
    files.abandon()
    with pytest.raises(RequestError):
        files.create(str(tmp_path / "late"))
    assert not list(tmp_path.iterdir())


def test_an_encoder_may_outlive_its_file(tmp_path: Path) -> None:
    files = PartialFiles()
    callback = CallbackFile(files.create(str(tmp_path / "gone")))
    files.discard()
    assert callback.write(b"trailer") == 7
    assert (callback.seek(3), callback.tell(), callback.read()) == (0, 0, b"")
    callback.check()


def test_another_requests_file_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"precious")
    files = PartialFiles()
    with pytest.raises(RequestError) as raised:
        files.create(str(tmp_path / "theirs"))
    files.discard()
    assert raised.value.kind == "output_failed"
    assert (tmp_path / "theirs").read_bytes() == b"precious"
