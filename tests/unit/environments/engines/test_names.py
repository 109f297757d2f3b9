"""Names that clash on some file system, and links that lead out."""

from __future__ import annotations

import os
import posixpath
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.engine import EngineFile
from stemsep_envs.environments.engines.names import Names, link_problem


def tree(links: dict[str, str], plain: tuple[str, ...] = ()) -> dict[str, EngineFile]:
    files = {path: EngineFile(path=path, sha256="0" * 64, size_bytes=0) for path in plain}
    return files | {path: EngineFile(path=path, sha256="0" * 64, size_bytes=0, link=to) for path, to in links.items()}


def test_names_are_taken_once_with_the_folders_above_them() -> None:
    names = Names()
    assert names.claim("a/b/c") is None
    assert names.claim("a/b/d") is None
    assert names.claim("a/b/c") == "a file of this name is there already"
    assert names.claim("a/b") == "a folder of this name is there already"
    assert names.claim("a/b/c/d") == "'a/b/c' is a file, not a folder"
    assert names.claim("l", "link") is None
    assert names.claim("l/x") == "'l' is a symbolic link, not a folder"


@pytest.mark.parametrize("other", ["A/b/x", "a/B/x", "a/b/C", "a/b/C/x", "a/b/A\u030a", "a/b/\u212b", "a/b/c\u200d"])
def test_names_that_differ_in_case_or_form_clash(other: str) -> None:
    names = Names()
    for name in ("a/b/c", "a/b/å"):
        assert names.claim(name) is None
    assert "are one on file systems that ignore case or form" in (names.claim(other) or "")


def test_a_refused_name_takes_none_of_its_folders() -> None:
    names = Names()
    assert names.claim("x/y") is None
    assert names.claim("x/y/z/w") is not None
    assert names.claim("x/Z") is None


@pytest.mark.parametrize(
    ("links", "at"),
    [
        ({"l": "/etc/passwd"}, "l"),
        ({"l": ".."}, "l"),
        ({"a/l": "../../x"}, "a/l"),
        ({"a/l": "b/../../../x"}, "a/l"),
        ({"l": "c:/x"}, "l"),
        ({"l": "a\\..\\x"}, "l"),
        ({"l": ""}, "l"),
        ({"a/up": "..", "l": "a/up/../x"}, "l"),
        ({"a/b/up": "../..", "l": "a/b/up/../x"}, "l"),
        ({"out": "/etc", "l": "out/passwd"}, "l"),
        ({"l": "l"}, "l"),
        ({"l": "m", "m": "l"}, "l"),
        ({"l": "m/x", "m": "l/y"}, "l"),
    ],
)
def test_links_that_lead_out_or_nowhere_at_all(links: dict[str, str], at: str) -> None:
    assert link_problem(at, tree(links)) is not None


@pytest.mark.parametrize(
    ("links", "at"),
    [
        ({"l": "x"}, "l"),
        ({"l": "./x"}, "l"),
        ({"a/l": "../x"}, "a/l"),
        ({"a/l": "../a/../x"}, "a/l"),
        ({"l": "m", "m": "a", "n": "l/b"}, "n"),
        ({"l": "not/there"}, "l"),
    ],
)
def test_links_that_stay_inside(links: dict[str, str], at: str) -> None:
    assert link_problem(at, tree(links, ("x", "a/b"))) is None


parts = st.sampled_from(["a", "b", "c", "..", "."])
link_trees = st.dictionaries(
    st.sampled_from(["a/l", "b/c/l", "a/m", "n", "b/o"]),
    st.lists(parts | st.sampled_from(["l", "m", "n", "o"]), min_size=1, max_size=5).map("/".join),
    max_size=5,
)


@pytest.mark.skipif(sys.platform == "win32", reason="links as POSIX has them")
@given(link_trees)
def test_accepted_links_lead_inside_when_followed(links: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(os.path.realpath(made)) / "root"
        for folder in ("a", "b/c"):
            (root / folder).mkdir(parents=True)
        accepted = {path: to for path, to in links.items() if link_problem(path, tree(links)) is None}
        for path, to in links.items():
            (root / path).symlink_to(to)
        for path in accepted:
            real = os.path.realpath(root / path)
            assert posixpath.commonpath([real, str(root)]) == str(root)
