"""What a recipe says of its engine, the inputs that name one, and the receipt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes import recipe_document

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.engine import EngineReceipt, engine_inputs
from stemsep_envs.documents.engine_source import (
    ArchiveSource,
    GitSource,
    PatchStep,
    artifacts_of,
    is_pinned,
    with_hashes,
)
from stemsep_envs.documents.runtime import RuntimeRecipe, Variant
from stemsep_envs.errors import InvalidDocumentError

COMMIT = "c" * 40
A, B, C = "a" * 64, "b" * 64, "c" * 64

GIT = GitSource(repository="https://example.org/engine", commit=COMMIT)
ARCHIVE = ArchiveSource(archive="https://example.org/engine.tar.gz", sha256=A, root="engine-1")
REPLACE: dict[str, Any] = {
    "kind": "replace",
    "path": "m/x.py",
    "base_sha256": A,
    "source": "p/x.py",
    "source_sha256": B,
}
ADD: dict[str, Any] = {"kind": "add", "path": "m/new.py", "source": "artifact:new", "source_sha256": B}
SUBSTITUTE: dict[str, Any] = {"kind": "substitute", "path": "m/y.py", "base_sha256": A, "find": "old", "replace": "new"}
DIFF: dict[str, Any] = {**REPLACE, "kind": "diff", "path": "m/z.py"}


def step(fields: dict[str, Any], **changes: Any) -> PatchStep:
    return PatchStep.model_validate({**fields, **changes})


def problems(model: Any, document: dict[str, Any]) -> set[str]:
    with pytest.raises(InvalidDocumentError) as caught:
        validate(document, model, origin="it")
    return {problem.path for problem in caught.value.problems}


@pytest.mark.parametrize(
    "fields",
    [
        REPLACE,
        ADD,
        SUBSTITUTE,
        DIFF,
        {**SUBSTITUTE, "count": 3, "replace": ""},
        {**SUBSTITUTE, "find": ["old", "elder", "new"]},
        {**ADD, "source_sha256": None},
        {**REPLACE, "source": "artifact:patch", "source_sha256": None},
        {**DIFF, "source": "artifact:patch", "source_sha256": None},
    ],
)
def test_steps_that_say_what_their_kind_needs(fields: dict[str, Any]) -> None:
    assert validate(fields, PatchStep, origin="it").kind == fields["kind"]


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        ({"kind": "replace", "path": "x"}, {"base_sha256", "source", "source_sha256"}),
        ({"kind": "add", "path": "x"}, {"source", "source_sha256"}),
        ({"kind": "substitute", "path": "x"}, {"find", "replace"}),
        ({**REPLACE, "source_sha256": None}, {"source_sha256"}),
        ({**ADD, "source": "p/new.py", "source_sha256": None}, {"source_sha256"}),
        ({**SUBSTITUTE, "find": []}, {"find"}),
        ({**SUBSTITUTE, "find": ["old"]}, {"find"}),
        ({**SUBSTITUTE, "find": ["old", ""]}, {"find"}),
        ({**SUBSTITUTE, "find": ["old", "older"]}, {"find[0]"}),
        ({**SUBSTITUTE, "find": ["same", "same"]}, {"find[0]", "find[1]"}),
        ({"kind": "diff", "path": "x"}, {"base_sha256", "source", "source_sha256"}),
        ({**ADD, "base_sha256": A}, {"base_sha256"}),
        ({**REPLACE, "find": "a", "replace": "b", "count": 2}, {"find", "replace", "count"}),
        ({**SUBSTITUTE, "source": "x", "source_sha256": A}, {"source", "source_sha256"}),
        ({**SUBSTITUTE, "find": ""}, {"find"}),
        ({**SUBSTITUTE, "replace": "old"}, {"replace"}),
        ({**SUBSTITUTE, "count": 0}, {"count"}),
        ({**REPLACE, "source_sha256": A}, {"source_sha256"}),
        ({**REPLACE, "path": "../x", "source_sha256": None}, {"path", "source_sha256"}),
        ({**REPLACE, "path": "aux.py"}, {"path"}),
        ({**REPLACE, "path": "a/.Git/x"}, {"path"}),
        ({**REPLACE, "source": "../secret"}, {"source"}),
        ({**REPLACE, "source": "/etc/passwd"}, {"source"}),
        ({**REPLACE, "source": "artifact:../x"}, {"source"}),
        ({**REPLACE, "source": "artifact:"}, {"source"}),
        ({**REPLACE, "kind": "move"}, {"kind"}),
        ({**REPLACE, "base_sha256": "A" * 64}, {"base_sha256"}),
    ],
)
def test_mistakes_in_a_step_are_told_at_their_fields(document: dict[str, Any], paths: set[str]) -> None:
    assert problems(PatchStep, document) == paths


@pytest.mark.parametrize(
    "repository",
    [
        "http://example.org/x",
        "git://example.org/x",
        "ext::sh -c id",
        "example.org:x.git",
        "/srv/x.git",
        "--upload-pack=id",
        "ssh://-oProxyCommand=id/x",
        "https://user:secret@example.org/x",
        "https://token@example.org/x",
        "ssh://git:secret@example.org/x",
        "https://example.org/a b",
        "https://example.org/x\n",
        "",
    ],
)
def test_addresses_that_are_refused(repository: str) -> None:
    assert problems(GitSource, {"repository": repository, "commit": COMMIT}) == {"repository"}


@pytest.mark.parametrize("repository", ["https://h/x.git", "ssh://git@h/x", "file:///srv/a%20b"])
def test_addresses_that_are_accepted(repository: str) -> None:
    assert validate({"repository": repository, "commit": COMMIT}, GitSource, origin="it").package_dir == "."


@pytest.mark.parametrize("commit", ["main", "c" * 39, "C" * 40, "c" * 64, "--all"])
def test_only_a_whole_commit_is_a_pin(commit: str) -> None:
    assert problems(GitSource, {"repository": "https://h/x", "commit": commit}) == {"commit"}


@pytest.mark.parametrize("archive", ["http://h/x.zip", "../x.zip", "artifact:", "/x.zip", "https://u:p@h/x"])
def test_archives_that_are_refused(archive: str) -> None:
    assert problems(ArchiveSource, {"archive": archive, "sha256": A}) == {"archive"}


def test_problems_are_those_of_the_source_that_was_meant() -> None:
    document = recipe_document()
    git = validate({**document, "engine": GIT.model_dump()}, RuntimeRecipe, origin="it")
    assert git.engine == GIT
    archive = validate({**document, "engine": ARCHIVE.model_dump()}, RuntimeRecipe, origin="it")
    assert archive.engine == ARCHIVE
    assert problems(RuntimeRecipe, {**document, "engine": {"commit": "x"}}) == {"engine.repository", "engine.commit"}
    assert problems(RuntimeRecipe, {**document, "engine": {"archive": "x.zip"}}) == {"engine.sha256"}
    assert problems(RuntimeRecipe, {**document, "engine": 3}) == {"engine"}
    variants = {"v": {"description": "x", "patches": [ADD, {**ADD, "source": None}]}}
    assert problems(RuntimeRecipe, {**document, "variants": variants}) == {"variants.v.patches[1].source"}


def test_the_digest_is_of_what_goes_in_and_of_nothing_else() -> None:
    digest = engine_inputs(GIT, [step(REPLACE)]).digest
    mirror = GIT.model_copy(update={"repository": "https://elsewhere.example/fork", "package_dir": "m"})
    assert engine_inputs(mirror, [step(REPLACE, source="artifact:other-name")]).digest == digest
    other = GIT.model_copy(update={"commit": "d" * 40})
    different = [
        engine_inputs(GIT, []),
        engine_inputs(other, [step(REPLACE)]),
        engine_inputs(GIT, [step(REPLACE, path="m/other.py")]),
        engine_inputs(GIT, [step(REPLACE, base_sha256=C)]),
        engine_inputs(GIT, [step(REPLACE, source_sha256=C)]),
        engine_inputs(GIT, [step(DIFF, path="m/x.py")]),
        engine_inputs(GIT, [step(SUBSTITUTE)]),
        engine_inputs(GIT, [step(SUBSTITUTE, count=2)]),
        engine_inputs(GIT, [step(SUBSTITUTE, find="older")]),
        engine_inputs(GIT, [step(SUBSTITUTE, replace="newer")]),
        engine_inputs(ARCHIVE, [step(REPLACE)]),
        engine_inputs(ARCHIVE.model_copy(update={"root": "."}), [step(REPLACE)]),
        engine_inputs(ARCHIVE.model_copy(update={"sha256": B}), [step(REPLACE)]),
    ]
    assert len({digest, *(inputs.digest for inputs in different)}) == len(different) + 1


@given(st.permutations([step(REPLACE), step(ADD), step(SUBSTITUTE), step(DIFF)]))
def test_the_order_of_steps_on_different_files_does_not_matter(steps: list[PatchStep]) -> None:
    assert engine_inputs(GIT, steps) == engine_inputs(GIT, [step(REPLACE), step(ADD), step(SUBSTITUTE), step(DIFF)])


def test_the_order_of_steps_on_one_file_matters() -> None:
    first, second = step(SUBSTITUTE), step(SUBSTITUTE, find="new", replace="newer", base_sha256=B)
    assert engine_inputs(GIT, [first, second]).digest != engine_inputs(GIT, [second, first]).digest


def test_the_digest_does_not_change_from_release_to_release() -> None:
    # Changing this orphans every engine that users have: raise LAYOUT when it is meant.
    pinned = "855123f49f051d45a9e95b4ceb1c757be50a278d6c09d6199a4e12a9b7ad1e0a"
    assert engine_inputs(GIT, [step(SUBSTITUTE)]).digest == pinned


TAKEN: dict[str, Any] = {**REPLACE, "source": "artifact:patch", "source_sha256": None}
CORRECTED: dict[str, Any] = {**SUBSTITUTE, "path": TAKEN["path"], "base_sha256": None}


def test_a_file_that_the_model_brings_is_pinned_by_its_entry() -> None:
    steps = (step(TAKEN), step(CORRECTED), step(ADD, source="artifact:config", source_sha256=None), step(DIFF))
    assert artifacts_of(GIT, steps) == ("patch", "config")
    assert not is_pinned(steps)
    with pytest.raises(ValueError, match="has no name"):
        engine_inputs(GIT, steps)
    partly = with_hashes(steps, {"patch": B, "other": C})
    assert [taken.source_sha256 for taken in partly] == [B, None, None, B]
    assert not is_pinned(partly)
    digests = {engine_inputs(GIT, with_hashes(steps, {"patch": one, "config": C})).digest for one in (A, B, C)}
    assert len(digests) == 3
    stated = engine_inputs(GIT, [step(TAKEN, source_sha256=B)])
    assert engine_inputs(GIT, with_hashes([step(TAKEN)], {"patch": B})) == stated
    assert with_hashes([step(ADD)], {"new": C}) == (step(ADD),), "what the recipe states is not replaced"


@pytest.mark.parametrize(
    ("steps", "paths"),
    [
        ([TAKEN, CORRECTED], set()),
        ([TAKEN, CORRECTED, CORRECTED], set()),
        ([{**ADD, "source_sha256": None}, {**CORRECTED, "path": ADD["path"]}], set()),
        ([{**TAKEN, "source_sha256": B}, CORRECTED], {"patches[1].base_sha256"}),
        ([CORRECTED, TAKEN], {"patches[0].base_sha256"}),
        ([TAKEN, {**CORRECTED, "path": "m/y.py"}], {"patches[1].base_sha256"}),
        ([TAKEN, {**CORRECTED, "base_sha256": C}, CORRECTED], {"patches[2].base_sha256"}),
        ([TAKEN, {**DIFF, "path": TAKEN["path"]}, CORRECTED], {"patches[2].base_sha256"}),
    ],
)
def test_substitute_without_base_only_in_the_models_files(steps: list[dict[str, Any]], paths: set[str]) -> None:
    document = {"description": "a variant", "patches": steps}
    if paths:
        assert problems(Variant, document) == paths
    else:
        assert len(validate(document, Variant, origin="it").patches) == len(steps)


def test_a_receipt_for_other_inputs_is_refused() -> None:
    inputs = engine_inputs(GIT, [])
    fields: dict[str, Any] = {
        "digest": inputs.digest,
        "inputs": inputs.model_dump(),
        "origin": GIT.repository,
        "tree": A,
        "files": 1,
        "bytes": 2,
        "created_at": "2026-01-01T00:00:00+00:00",
        "created_by": "stemsep-envs 0",
    }
    assert validate(fields, EngineReceipt, origin="it").inputs == inputs
    assert problems(EngineReceipt, {**fields, "digest": B}) == {""}
