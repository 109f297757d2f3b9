"""Paths inside a tree: what is accepted stays inside everywhere, and what is one file somewhere is known to be."""

from __future__ import annotations

import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.safe_paths import collision_key, path_problem, portability_problem

tricky = st.sampled_from(
    ["..", ".", "", "a", "A", ".git", ".GIT", "git~1", "a.", "a ", "a:b", "C:", "\\", "\0", "é", "~"]
)
paths = st.lists(tricky | st.text(max_size=6), max_size=5).map("/".join) | st.text(max_size=30)


@given(paths)
def test_accepted_path_stays_inside_on_every_system(path: str) -> None:
    if path_problem(path) is not None:
        return
    for flavour in (posixpath, ntpath):
        assert not flavour.isabs(path)
        assert not flavour.splitdrive(path)[0]
        inside = flavour.normpath(flavour.join("/root/tree", path)).replace("\\", "/")
        assert inside == f"/root/tree/{path}"
    assert path.encode().decode() == path
    assert ".git" not in [part.casefold() for part in path.split("/")]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "empty"),
        ("/etc/passwd", "relative"),
        ("../x", "'..'"),
        ("a/../../x", "'..'"),
        ("a/./x", "'.'"),
        ("a//x", "empty part"),
        ("a/", "empty part"),
        ("a\\..\\x", "backslash"),
        ("c:/x", "colon"),
        ("x.py:stream", "colon"),
        ("x.py.", "leaves off"),
        ("models /x", "leaves off"),
        ("a\nb", "control"),
        ("a\0b", "control"),
        ("a\udce9", "Unicode"),
        (".git/hooks/post-checkout", "git's own"),
        ("sub/.GIT/config", "git's own"),
        ("sub/.g\u200cit/config", "git's own"),
        ("GIT~1/config", "git's own"),
        ("x" * 256, "255 bytes"),
        ("/".join(["x" * 200] * 6), "1024 bytes"),
    ],
)
def test_what_is_refused(path: str, words: str) -> None:
    problem = path_problem(path)
    assert problem is not None
    assert words in problem


@pytest.mark.parametrize(
    "path", ["a", "models/bs_roformer/bs_roformer.py", ".gitignore", ".github/x", "a b/ü.py", "git/x", "…/x", "git~x"]
)
def test_what_is_accepted(path: str) -> None:
    assert path_problem(path) is None
    assert portability_problem(path) is None


@pytest.mark.parametrize("path", ["aux.py", "a/CON", "models/Nul.txt", "com1", "what?.py", "a<b", 'a"b', "a|b", "a*"])
def test_what_windows_cannot_hold(path: str) -> None:
    assert path_problem(path) is None
    assert portability_problem(path) is not None


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20))
def test_case_and_form_do_not_tell_names_apart(name: str) -> None:
    key = collision_key(name)
    for form in ("NFC", "NFD"):
        assert collision_key(unicodedata.normalize(form, name)) == key
    assert collision_key(name.casefold()) == key


def test_other_names_are_told_apart() -> None:
    assert collision_key("models/a") != collision_key("models/b")
    assert collision_key("Ü/x") == collision_key("u\u0308/X")
