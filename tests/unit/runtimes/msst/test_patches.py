"""The patch sets of the msst recipe: what they change in a module file, and that they are pinned to one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine import EngineFile
from stemsep_envs.documents.engine_source import PatchStep
from stemsep_envs.documents.runtime import Variant
from stemsep_envs.environments.engines.patches import apply_patches
from stemsep_envs.environments.engines.unified_diff import DiffError, apply_diff
from stemsep_envs.errors import MismatchError
from stemsep_envs.host.paths import data_dir
from stemsep_envs.registry.recipes import load_runtime

RUNTIME = load_runtime(data_dir("runtimes"), "msst")
MODULE = "models/bs_roformer/bs_roformer.py"
STOCK = b"class BSRoformer: pass\n"
ATTEND = "from models.bs_roformer.attend import Attend"
HYPERACE = ["hyperace_v1", "hyperace_v2"]

PUBLISHED = """from torch import nn

{imported}
try:
    from models.bs_roformer.attend_sage import Attend as AttendSage
except:
    pass
import torchaudio
"""
"""The imports of the published files, as far as they matter."""


def variant(name: str) -> Variant:
    return RUNTIME.recipe.variants[name]


def spellings() -> Iterator[str]:
    for step in variant("hyperace_v1").patches:
        yield from step.spellings


def apply(steps: tuple[PatchStep, ...], brought: bytes) -> bytes:
    """Apply a variant's steps to a stock file of ours."""
    stock = digest_of_bytes(STOCK)
    pinned = [step.model_copy(update={"base_sha256": stock}) if step.base_sha256 else step for step in steps]
    files = {MODULE: EngineFile(path=MODULE, sha256=stock, size_bytes=len(STOCK))}
    return apply_patches(pinned, files, lambda _: STOCK, {0: brought}, title="msst")[MODULE]


@pytest.mark.parametrize("name", HYPERACE)
@pytest.mark.parametrize("imported", [*spellings()])
def test_authors_file_replaces_and_imports_from_the_engine(name: str, imported: str) -> None:
    patched = apply(variant(name).patches, PUBLISHED.format(imported=imported).encode())
    assert patched == PUBLISHED.format(imported=ATTEND).encode(), "nothing else is changed"


@pytest.mark.parametrize("imported", ["from models.attend import Attend", f"{ATTEND}\n{ATTEND}", "import attend", ""])
def test_another_file_is_refused(imported: str) -> None:
    with pytest.raises(MismatchError) as caught:
        apply(variant("hyperace_v2").patches, PUBLISHED.format(imported=imported).encode())
    assert caught.value.code == "patch_mismatch"


def test_variants_start_from_one_file_of_the_pinned_commit() -> None:
    bases = {(step.path, step.base_sha256) for one in RUNTIME.recipe.variants.values() for step in one.patches[:1]}
    assert [path for path, _ in bases] == [MODULE]


def test_our_patch_is_pinned_and_fits_nothing_else() -> None:
    (step,) = variant("fno").patches
    diff = (RUNTIME.dir / (step.source or "")).read_bytes()
    assert hashlib.sha256(diff).hexdigest() == step.source_sha256
    with pytest.raises(DiffError):
        apply_diff(STOCK, diff, MODULE)


@pytest.mark.parametrize("name", HYPERACE)
def test_hyperace_brings_its_file_in_the_stock_environment(name: str) -> None:
    assert variant(name).patches[0].artifact == "patch"
    assert variant(name).patches[0].source_sha256 is None
    assert (variant(name).packages, variant(name).torch) == ((), None)
