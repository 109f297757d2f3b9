"""Patches: the four kinds, their chains, and every way they can fail, all told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine import EngineFile
from stemsep_envs.documents.engine_source import PatchStep
from stemsep_envs.environments.engines.patches import apply_patches
from stemsep_envs.errors import InvalidDocumentError, MismatchError

FILES = {
    "models/x.py": b"import a\nimport b\n",
    "crlf.txt": b"one\r\ntwo\r\n",
    "aaa": b"aaaa",
    "empty": b"",
    "bin": b"\0\xff",
}
LINKS = {"link.py": "models/x.py", "folder-link": "models"}
DIFF = b"--- a/models/x.py\n+++ b/models/x.py\n@@ -1,2 +1,2 @@\n-import a\n+import c\n import b\n"


def apply(
    steps: Sequence[PatchStep], supplied: Mapping[int, bytes] | None = None, files: Mapping[str, bytes] = FILES
) -> Mapping[str, bytes]:
    tree = {
        path: EngineFile(path=path, sha256=digest_of_bytes(content), size_bytes=len(content))
        for path, content in files.items()
    }
    tree |= {
        path: EngineFile(path=path, sha256=digest_of_bytes(target.encode()), size_bytes=len(target), link=target)
        for path, target in LINKS.items()
    }
    return apply_patches(steps, tree, lambda path: files[path], supplied or {}, title="the engine")


def step(kind: str, path: str, base: bytes | None = None, **fields: Any) -> PatchStep:
    base = FILES.get(path) if base is None and kind != "add" else base
    pinned = {"base_sha256": digest_of_bytes(base) if base is not None else "0" * 64} if kind != "add" else {}
    brought = {"source": "p", "source_sha256": "1" * 64} if kind != "substitute" else {}
    return PatchStep.model_validate({"kind": kind, "path": path, **pinned, **brought, **fields})


def substitute(path: str, find: str, replace: str, count: int = 1, base: bytes | None = None) -> PatchStep:
    return step("substitute", path, base, find=find, replace=replace, count=count)


def test_each_kind() -> None:
    steps = [
        step("replace", "bin"),
        step("add", "models/new dir/ü.py"),
        substitute("models/x.py", "import", "from", count=2),
        step("replace", "empty"),
    ]
    changed = apply(steps, {0: b"\1", 1: b"", 3: b"filled"})
    assert changed == {"bin": b"\1", "models/new dir/ü.py": b"", "models/x.py": b"from a\nfrom b\n", "empty": b"filled"}


def test_a_diff() -> None:
    assert apply([step("diff", "models/x.py")], {0: DIFF}) == {"models/x.py": b"import c\nimport b\n"}


def test_a_step_starts_from_what_the_one_before_left() -> None:
    middle = b"import a\nimport z\n"
    steps = [substitute("models/x.py", "b", "z"), substitute("models/x.py", "z", "y", base=middle)]
    assert apply(steps)["models/x.py"] == b"import a\nimport y\n"
    added = [step("add", "new"), substitute("new", "v1", "v2", base=b"v1")]
    assert apply(added, {0: b"v1"}) == {"new": b"v2"}


def taken(path: str, *spellings: str, replace: str, count: int = 1) -> list[PatchStep]:
    """Return the steps that put a file of the model in a place and correct it there."""
    whole = step("replace", path, source="artifact:patch", source_sha256="2" * 64)
    corrected = {"kind": "substitute", "path": path, "find": spellings, "replace": replace, "count": count}
    return [whole, PatchStep.model_validate(corrected)]


@pytest.mark.parametrize("spelling", ["from a import A", "from .a import A", "from m.a import A"])
def test_of_several_spellings_the_one_that_is_there_is_replaced(spelling: str) -> None:
    steps = taken(
        "models/x.py", "from a import A", "from .a import A", "from m.a import A", replace="from m.a import A"
    )
    brought = f"x = 1\n{spelling}\ny = 2\n".encode()
    assert apply(steps, {0: brought}) == {"models/x.py": b"x = 1\nfrom m.a import A\ny = 2\n"}


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        (b"import b\n", "none of the texts is there: 'from a', 'from .a'"),
        (b"from a\nfrom .a\n", "several of the texts are there, and one is meant"),
        (b"from a\nfrom a\n", "the text is there twice, not once"),
    ],
)
def test_model_file_that_does_not_fit_is_named_as_drift(brought: bytes, words: str) -> None:
    with pytest.raises(MismatchError) as caught:
        apply(taken("models/x.py", "from a", "from .a", replace="from m.a"), {0: brought})
    assert words in str(caught.value)
    assert digest_of_bytes(brought) in str(caught.value)


def test_a_step_without_a_base_never_starts_from_the_stock_file() -> None:
    baseless = PatchStep(kind="substitute", path="models/x.py", find="import a", replace="import c")
    with pytest.raises(ValueError, match="does not say what it starts from"):
        apply([baseless])


def test_a_step_after_one_that_failed_is_not_told_of() -> None:
    steps = [substitute("models/x.py", "b", "z", base=b"other"), substitute("models/x.py", "z", "y", base=b"third")]
    with pytest.raises(MismatchError) as caught:
        apply(steps)
    assert "patches[0]" in caught.value.message
    assert "patches[1]" not in caught.value.message


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (substitute("models/x.py", "a", "b", base=b"another"), "expected sha256 .* found "),
        (step("replace", "nowhere.py"), "there is no such file"),
        (step("replace", "Models/x.py"), "'models' is there and is written differently"),
        (step("replace", "models/X.py"), "'models/x.py' is there and is written differently"),
        (step("replace", "models"), "it is a folder, not a file"),
        (step("replace", "link.py"), "symbolic link"),
        (step("replace", "folder-link/x.py"), "'folder-link' is a symbolic link, not a folder"),
        (step("replace", "empty/x.py"), "'empty' is a file, not a folder"),
        (step("add", "models/x.py"), f"there already, with sha256 {digest_of_bytes(FILES['models/x.py'])}"),
        (step("add", "link.py"), "there already"),
        (step("add", "models"), "a folder of this name"),
        (step("add", "MODELS/new.py"), "ignore case"),
        (step("add", "models/X.PY"), "ignore case"),
        (step("add", "folder-link/new.py"), "'folder-link' is a symbolic link"),
        (step("add", "empty/new.py"), "'empty' is a file"),
    ],
)
def test_drift_is_a_mismatch(one: PatchStep, words: str) -> None:
    with pytest.raises(MismatchError, match=words) as caught:
        apply([one], {0: b"content"})
    assert caught.value.exit_code == 4
    assert caught.value.hint


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (substitute("models/x.py", "nothing", "b"), "nowhere, not once"),
        (substitute("models/x.py", "import", "b"), "twice, not once"),
        (substitute("models/x.py", "import", "b", count=3), "twice, not 3 times"),
        (substitute("aaa", "aa", "b", count=2), "overlaps itself"),
        (substitute("crlf.txt", "one\ntwo", "b"), "CRLF"),
        (step("diff", "bin"), "p: line 1"),
    ],
)
def test_step_not_fitting_its_base_is_an_invalid_document(one: PatchStep, words: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        apply([one], {0: b"garbage\n"})
    assert [problem.path for problem in caught.value.problems] == ["patches[0]"]
    assert words in caught.value.problems[0].message


def test_everything_is_told_at_once_and_drift_decides() -> None:
    steps = [step("replace", "nowhere"), substitute("models/x.py", "q", "r"), step("add", "aaa"), step("add", "fine")]
    with pytest.raises(MismatchError) as caught:
        apply(steps, {0: b"", 2: b"", 3: b""})
    message = caught.value.message
    assert [f"patches[{index}]" in message for index in range(4)] == [True, True, True, False]


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(["replace", "substitute", "diff"]))
def test_any_other_base_is_refused(base: bytes, other: bytes, kind: str) -> None:
    assume(base != other)
    fields = {"find": "a", "replace": "b"} if kind == "substitute" else {}
    with pytest.raises(MismatchError):
        apply([step(kind, "f", base, **fields)], {0: DIFF}, {"f": other})


@given(
    st.text(alphabet="abc\n", max_size=40),
    st.text(alphabet="abc\n", min_size=1, max_size=3),
    st.text(max_size=4),
    st.integers(1, 4),
)
def test_a_substitution_happens_exactly_as_often_as_said(text: str, find: str, replace: str, count: int) -> None:
    assume(find != replace)
    one = substitute("f", find, replace, count, base=text.encode())
    try:
        changed = apply([one], files={"f": text.encode()})["f"]
    except InvalidDocumentError:
        at = [index for index in range(len(text)) if text.startswith(find, index)]
        overlaps = any(later - earlier < len(find) for earlier, later in pairwise(at))
        assert len(at) != count or overlaps
    else:
        assert text.count(find) == count
        assert changed.decode() == text.replace(find, replace)
