"""Variants of the msst engine: told from names alone, and no pairing that does not belong together passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.host.paths import data_dir
from stemsep_envs.registry.recipes import load_runtime
from stemsep_envs.registry.weights import variants_of

RECIPE = load_runtime(data_dir("runtimes"), "msst").recipe
STOCK = (
    "layers.0.0.layers.0.0.norm.gamma",
    "band_split.to_features.3.1.weight",
    "mask_estimators.0.to_freqs.0.0.0.weight",
    "mask_estimators.0.to_freqs.61.0.2.bias",
)
SEGMENTER = (
    "mask_estimators.0.segm.backbone.stem.dwconv.weight",
    "mask_estimators.0.segm.upsample_head.block1.conv.bn.weight",
)
SECOND = (*SEGMENTER, "mask_estimators.0.segm.upsample_head.block1.out_conv.blocks.0.tfc1.0.weight")
OPERATOR = (
    "mask_estimators.0.to_freqs.7.0.fno_blocks.convs.0.weight.tensor",
    "mask_estimators.0.to_freqs.7.0.lifting.fcs.0.weight",
)
NAMES = {
    None: STOCK,
    "hyperace_v1": (*STOCK, *SEGMENTER),
    "hyperace_v2": (*STOCK, *SECOND),
    "fno": (*STOCK[:2], *OPERATOR),
}


@pytest.fixture(scope="session")
def variants(module: Callable[[str], ModuleType]) -> Any:
    return module("variants")


@pytest.mark.parametrize("variant", NAMES)
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "state_dict.", "state_dict/model."])
def test_each_is_told_from_its_names(variants: Any, variant: str | None, prefix: str) -> None:
    assert variants.recognised(f"{prefix}{name}" for name in NAMES[variant]) == variant


@pytest.mark.parametrize(
    "name",
    [
        "mask_estimators.0.to_freqs.0.0._metadata",
        "mask_estimators.0.to_freqs.0._metadata.hidden_channels",
        "mask_estimators.1.to_freqs.12.fno_blocks.convs.0.bias",
    ],
)
def test_other_spellings_of_an_operator(variants: Any, name: str) -> None:
    assert variants.recognised([name]) == "fno"


@pytest.mark.parametrize(
    "name",
    [
        "segm.backbone.stem.weight",
        "other_mask_estimators.0.segm.x",
        "mask_estimators.x.segm.y",
        "mask_estimators.0.segment.x",
        "mask_estimators.0.to_freqs.0.fno_blocksx.y",
        "fno_blocks.convs.0.bias",
        "_metadata",
        "encoder.0._metadata",
    ],
)
def test_what_only_looks_like_it_is_none(variants: Any, name: str) -> None:
    assert variants.recognised([name]) is None


@given(
    variant=st.sampled_from(list(NAMES)),
    others=st.lists(st.from_regex(r"\A[a-z_]{1,8}(\.[a-z0-9_]{1,8}){0,5}\Z").filter(lambda name: "mask_" not in name)),
    data=st.data(),
)
def test_neither_order_nor_other_names_matter(variants: Any, variant: str | None, others: list[str], data: Any) -> None:
    names = data.draw(st.permutations([*NAMES[variant], *others]))
    assert variants.recognised(names) == variant
    variants.check_checkpoint(names, variant, "bs_roformer")


@given(st.lists(st.text(max_size=60), max_size=20))
def test_any_names_at_all_are_judged(variants: Any, names: list[str]) -> None:
    assert variants.recognised(names) in NAMES


@pytest.mark.parametrize(("found", "said"), [pair for pair in itertools.product(NAMES, NAMES) if pair[0] != pair[1]])
def test_every_wrong_pairing_is_refused(variants: Any, found: str | None, said: str | None) -> None:
    with pytest.raises(variants.VariantError) as caught:
        variants.check_checkpoint(NAMES[found], said, "bs_roformer")
    assert str(caught.value).startswith("this checkpoint is a")
    assert (said or "no variant") in str(caught.value)
    assert (f"runtime.variant of the registry entry to {found}" if found else "Take runtime.variant out") in (
        caught.value.hint
    )
    assert ("kind patch" in caught.value.hint) == str(found).startswith("hyperace")


@pytest.mark.parametrize("variant", NAMES)
def test_every_right_pairing_passes(variants: Any, variant: str | None) -> None:
    variants.check_checkpoint(NAMES[variant], variant, "bs_roformer")
    variants.check_module(NAMES[variant], variant)


def test_words_for_the_most_common_mistake(variants: Any) -> None:
    with pytest.raises(variants.VariantError) as caught:
        variants.check_checkpoint(NAMES["hyperace_v2"], "hyperace_v1", "bs_roformer")
    assert str(caught.value) == "this checkpoint is a HyperACE v2 model; the registry says hyperace_v1"


def test_a_variant_of_another_model_type(variants: Any) -> None:
    with pytest.raises(variants.VariantError, match="an FNO model, which is a bs_roformer; the registry says mel_band"):
        variants.check_checkpoint(NAMES["fno"], "fno", "mel_band_roformer")
    variants.check_checkpoint(NAMES[None], None, "mel_band_roformer")


def test_variants_that_are_not_known_here_are_not_judged(variants: Any) -> None:
    variants.check_checkpoint(NAMES["hyperace_v2"], "somebodys_own", "bs_roformer")
    variants.check_module(NAMES["hyperace_v2"], "somebodys_own")


@pytest.mark.parametrize("made", [None, "fno", "hyperace_v1"])
def test_the_module_file_of_another_model_is_refused(variants: Any, made: str | None) -> None:
    with pytest.raises(variants.VariantError, match="module file that came with this model makes a"):
        variants.check_module(NAMES[made], "hyperace_v2")
    variants.check_module(NAMES[made], None)


@given(names=st.sampled_from(list(NAMES)), rest=st.lists(st.sampled_from([*STOCK, *OPERATOR, *SECOND]), max_size=4))
def test_the_recipe_tells_them_as_the_adapter_does(variants: Any, names: str | None, rest: list[str]) -> None:
    mixed = [*NAMES[names], *rest]
    try:
        told = variants.recognised(mixed)
    except variants.VariantError:
        assert len(variants_of(mixed, RECIPE)) == 2
    else:
        assert variants_of(mixed, RECIPE) == ((told,) if told else ())


def test_marks_of_several_variants_are_no_variant(variants: Any) -> None:
    with pytest.raises(variants.VariantError, match="at once"):
        variants.recognised([*SECOND, *OPERATOR])


def test_only_arguments_of_operators_are_left_out(variants: Any) -> None:
    state = {"_metadata": {}, "a.b._metadata": {}, "_metadata.x": 1, "a._metadatas": 2, "weight": 3}
    kept, left_out = variants.weights_alone(state)
    assert kept == {"_metadata.x": 1, "a._metadatas": 2, "weight": 3}
    assert left_out == ["_metadata", "a.b._metadata"]
