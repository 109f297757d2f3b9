"""Whether distributions fit one another, read from their metadata and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from stemsep_envs.environments.adopted import _packages_in
from stemsep_envs.environments.consistency import Installed, contradictions, installed_in, marker_environment


def dist(name: str, version: str = "1.0", *requires: str, python: str = "") -> Installed:
    return Installed(canonicalize_name(name), version, requires, python)


def wrong(*installed: Installed, excluded: tuple[str, ...] = (), python: str = "3.11.7") -> tuple[str, ...]:
    return contradictions(installed, implementation="cpython", python=python, excluded=excluded)


def test_what_fits_is_left_alone() -> None:
    assert (
        wrong(
            dist(
                "Song-Model", "1.0", "torch>=2.4", 'colorama; sys_platform == "nowhere"', 'extra-thing; extra == "dev"'
            ),
            dist("torch", "2.13.0+cpu", python=">=3.10"),
        )
        == ()
    )


@pytest.mark.parametrize(
    ("requires", "words"),
    [
        ("torch>=3", "song 1.0 needs torch>=3, and 2.13.0+cpu is installed"),
        ("scipy", "song 1.0 needs scipy, which is not installed"),
        ("sci py", "says what cannot be read"),
        ("torch<", "says what cannot be read"),
        ('torch; implementation_version ~= "x"', "says what cannot be read"),
    ],
)
def test_what_does_not_fit_is_said(requires: str, words: str) -> None:
    (found,) = wrong(dist("song", "1.0", requires), dist("torch", "2.13.0+cpu"))
    assert words in found


def test_pre_releases_and_local_versions_count_as_what_they_are() -> None:
    assert wrong(dist("song", "1.0", "torch>=2.4"), dist("torch", "2.5.0rc1")) == ()
    assert wrong(dist("song", "1.0", "torch==2.13.0"), dist("torch", "2.13.0+cu130")) == ()
    assert wrong(dist("song", "1.0", "torch"), dist("torch", "no version")) != ()


def test_the_python_counts_that_the_environment_is_for() -> None:
    assert wrong(dist("song", python=">=3.12")) == ("song 1.0 is for Python >=3.12, and this is 3.11.7",)
    assert wrong(dist("song", python=">=3.12"), python="3.12.0") == ()
    old = dist("song", "1.0", 'tomli; python_version < "3.11"')
    assert wrong(old) == ()
    assert wrong(old, python="3.9.18") != ()


def test_excluded_package_may_be_missing_but_not_wrong() -> None:
    song = dist("song", "1.0", "torchvision>=0.9")
    assert wrong(song, excluded=("torchvision",)) == ()
    assert wrong(song, excluded=("torchaudio",)) != ()
    assert wrong(song, dist("torchvision", "0.1"), excluded=("torchvision",)) != ()


def test_it_is_read_from_the_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, name, text in (
        (first, "Song_Model-1.0.dist-info", "Name: Song_Model\nVersion: 1.0\nRequires-Dist: tempo\n\nRequires-Dist: x"),
        (second, "song_model-2.0.dist-info", "Name: song-model\nVersion: 2.0\n"),
        (second, "nameless-1.dist-info", "Version: 1\n"),
        (second, "tempo-1.dist-info", "Name: tempo\nVersion: 1\nRequires-Python: >=3.8\n"),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "METADATA").write_text(text)
    (second / "planted.pth").write_text("import os; os._exit(9)\n")
    assert installed_in([first, second]) == (
        dist("song-model", "1.0", "tempo"),
        dist("tempo", "1", python=">=3.8"),
    )


@given(st.text(), st.text(), st.text())
def test_whatever_metadata_says_there_is_an_answer(version: str, requires: str, python: str) -> None:
    assert isinstance(wrong(dist("song", version, requires, python=python), dist("torch")), tuple)


def test_markers_are_evaluated_for_that_python() -> None:
    environment = marker_environment("pypy", "3.10.14")
    assert environment["platform_python_implementation"] == "PyPy"
    assert (environment["python_version"], environment["extra"]) == ("3.10", "")


@pytest.mark.parametrize(
    "text", [b"Name: song\nVersion: 1\nAuthor: J\xf6rg\n", b"Name: song\nVersion: 1\n\n\xff\xfe", b"\xff" * 100, b""]
)
def test_whatever_bytes_metadata_holds_it_is_read(tmp_path: Path, text: bytes) -> None:
    folder = tmp_path / "song-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_bytes(text)
    assert installed_in([tmp_path]) in {(dist("song", "1"),), ()}
    assert [package.name for package in _packages_in([tmp_path])] in (["song"], [])


def test_a_distribution_without_a_version_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "song-1.dist-info").mkdir()
    (tmp_path / "song-1.dist-info" / "METADATA").write_text("Name: song\n")
    assert list(_packages_in([tmp_path])) == []
