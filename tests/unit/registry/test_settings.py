"""Settings: who wins, in which unit, and what is said about it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes import make_recipe

from stemsep_envs.documents.codes import CODES
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import UsageError
from stemsep_envs.registry.settings import Settings, resolve_settings, tier_for


def declared(kind: str, default: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "default": default, "description": "d", **more}


def recipe(overlap: str | None = "divisor", segment: str | None = "samples", **more: Any) -> RuntimeRecipe:
    """A runtime in the manner of MSST, with the units given."""
    value: dict[str, Any] = {
        "settings": {
            "num_overlap": declared("int" if overlap == "divisor" else "float", 2 if overlap == "divisor" else None),
            "chunk_size": declared("int" if segment == "samples" else "float", min=1),
            "batch_size": declared("int", 1, min=1, max=64),
            "tta": declared("bool", False),
        },
        "model_types": {
            "bs_roformer": {"settings": {"precision": declared("str", "float32", choices=["float32", "bf16"])}}
        },
        **more,
    }
    if overlap:
        value["overlap"] = {"setting": "num_overlap", "unit": overlap}
    if segment:
        value["segment"] = {"setting": "chunk_size", "unit": segment}
    return make_recipe(id="msst", **value)


def entry(meaning: str | None = "divisor", **fields: Any) -> ModelEntry:
    minimal: dict[str, Any] = {"id": "a-model", "name": "A", "architecture": "BS-Roformer", "links": {}}
    minimal["runtime"] = {"allowed": ["msst"], "model_type": "bs_roformer"}
    if meaning is not None:
        minimal["settings_semantics"] = {"overlap": {"meaning_by_runtime": {"msst": meaning}}}
    return ModelEntry.model_validate({**minimal, **fields})


def told(settings: Settings) -> dict[str, tuple[Any, str]]:
    assert {reason.code for reason in (*settings.errors, *settings.warnings)} <= CODES.keys()
    assert all(CODES[reason.code].severity == "warning" for reason in settings.warnings)
    assert all(CODES[reason.code].severity == "error" for reason in settings.errors)
    return {name: (setting.value, setting.source) for name, setting in settings.values.items()}


TIERS = [
    {"tier": "low_vram", "min_vram_gb": 4, "max_vram_gb": 5.99, "recommended_segment_size": 112455,
     "recommended_overlap": 2},
    {"tier": "mid_vram", "min_vram_gb": 6, "max_vram_gb": 9.99, "recommended_overlap": 8},
    {"tier": "high_vram", "min_vram_gb": 10},
    {"tier": "cpu_only", "max_vram_gb": 0, "recommended_segment_size": 112455},
]  # fmt: skip


def test_everything_starts_at_the_runtime_s_default() -> None:
    assert told(resolve_settings(entry(), recipe())) == {
        "num_overlap": (2, "runtime default"),
        "chunk_size": (None, "runtime default"),
        "batch_size": (1, "runtime default"),
        "tta": (False, "runtime default"),
        "precision": ("float32", "runtime default"),
    }


def test_the_stronger_source_wins_each_setting_for_itself() -> None:
    recommended = {"overlap": 4, "segment_size": 352800, "tta": True, "batch_size": 2, "bit_depth": 24}
    model = entry(recommended_settings=recommended, hardware_tiers=TIERS)
    settings = resolve_settings(model, recipe(), options={"overlap": 0.9}, assignments=["batch_size=8"], vram_gb=4.5)
    assert told(settings) == {
        "num_overlap": (10, "command line"),
        "chunk_size": (112455, "hardware_tiers[low_vram]"),
        "batch_size": (8, "command line"),
        "tta": (True, "model recommended_settings"),
        "precision": ("float32", "runtime default"),
    }
    assert settings.errors == settings.warnings == ()


@pytest.mark.parametrize(
    ("vram_gb", "tier"),
    [
        (0, "cpu_only"), (3.9, None), (4, "low_vram"), (5.99, "low_vram"), (5.995, "low_vram"), (6, "mid_vram"),
        (9.995, "mid_vram"), (80, "high_vram"),
    ],
)  # fmt: skip
def test_the_tier_of_a_device(vram_gb: float, tier: str | None) -> None:
    found = tier_for(entry(hardware_tiers=TIERS), vram_gb)
    assert (found[1].tier if found else None) == tier
    if found:
        assert TIERS[found[0]]["tier"] == tier


def test_a_tier_that_ends_below_the_device_is_not_applied() -> None:
    assert tier_for(entry(hardware_tiers=TIERS[:1]), 24) is None
    assert tier_for(entry(), 24) is None


@pytest.mark.parametrize(
    ("meaning", "stated", "unit", "expected"),
    [
        ("divisor", 4, "divisor", 4),
        ("divisor", 4, "ratio", 0.75),
        ("divisor", 4, "seconds", 6.0),
        ("ratio", 0.75, "divisor", 4),
        ("ratio_0_to_1", 0.5, "ratio", 0.5),
        ("chunk_overlap_divisor", 2, "ratio", 0.5),
        ("seconds", 2, "ratio", 0.25),
        ("seconds", 6, "divisor", 4),
        ("auto", 4, "divisor", 4),
        ("auto", 4, "ratio", 0.75),
        ("auto", 0.25, "ratio", 0.25),
        (None, 4, "divisor", 4),
        ("divisor_or_seconds", 4, "seconds", 4),
        ("divisor_or_seconds", 4, "divisor", 4),
    ],
)
def test_the_registry_s_overlap_in_the_runtime_s_unit(
    meaning: str | None, stated: float, unit: str, expected: float
) -> None:
    model = entry(meaning, recommended_settings={"overlap": stated, "segment_size": 352800})
    settings = resolve_settings(model, recipe(unit), sample_rate=44100)
    assert told(settings)["num_overlap"] == (expected, "model recommended_settings")
    assert settings.errors == settings.warnings == ()


def test_an_overlap_that_is_clamped_is_told() -> None:
    settings = resolve_settings(entry(), recipe(), options={"overlap": 0.0})
    assert told(settings)["num_overlap"] == (2, "command line")
    (warning,) = settings.warnings
    assert (warning.code, warning.path) == ("overlap_adjusted", "--overlap")
    assert "clamped to 2" in warning.message
    overridden = resolve_settings(entry(recommended_settings={"overlap": 100}), recipe(), options={"overlap": 0.75})
    assert overridden.warnings == ()  # what is not used is not worth a word


def test_unknown_meaning_warns_and_counts_as_the_runtimes() -> None:
    settings = resolve_settings(entry("percent", recommended_settings={"overlap": 4}), recipe())
    assert told(settings)["num_overlap"] == (4, "model recommended_settings")
    assert [(warning.code, warning.path) for warning in settings.warnings] == [
        ("meaning_unknown", "settings_semantics.overlap.meaning_by_runtime.msst")
    ]
    assert resolve_settings(entry("percent"), recipe()).warnings == ()


@pytest.mark.parametrize(
    ("unit", "seconds", "expected"), [("samples", 8, 352800), ("samples", 0.5, 22050), ("seconds", 8, 8)]
)
def test_the_user_s_segment_in_the_runtime_s_unit(unit: str, seconds: float, expected: float) -> None:
    settings = resolve_settings(entry(), recipe(segment=unit), options={"segment": seconds}, sample_rate=44100)
    assert told(settings)["chunk_size"] == (expected, "command line")


def test_settings_are_those_of_the_runtimes_model_type() -> None:
    own = {"type": "int", "default": 3, "description": "d"}
    runtime = recipe(model_types={"bs_roformer": {}, "other_word": {"settings": {"own": own}}})
    words = {"model_type": "bs_roformer", "model_types": {"msst": "other_word", "audio-separator": "roformer"}}
    model = entry(runtime={"allowed": ["msst", "audio-separator"], **words})
    assert resolve_settings(model, runtime).values["own"].value == 3


def test_runtime_settings_use_its_terms_and_override_tiers() -> None:
    tiers = [{"tier": "cpu_only", "max_vram_gb": 0, "recommended_overlap": 2}]
    own = {"msst": {"num_overlap": 7}, "audio-separator": {"stem_names": "other=instrumental"}}
    model = entry(recommended_settings={"overlap": 4}, hardware_tiers=tiers, runtime_settings=own)
    settings = resolve_settings(model, recipe(overlap="divisor"), vram_gb=0)
    assert told(settings)["num_overlap"] == (7, "model runtime_settings")
    asked = resolve_settings(model, recipe(overlap="divisor"), assignments=["num_overlap=3"])
    assert told(asked)["num_overlap"] == (3, "command line")
    wrong = entry(runtime_settings={"msst": {"num_overlap": "many", "waltz": 1}})
    settings = resolve_settings(wrong, recipe(overlap="divisor"))
    assert [(reason.code, reason.path) for reason in (*settings.errors, *settings.warnings)] == [
        ("setting_invalid", "runtime_settings.msst.num_overlap"),
        ("setting_ignored", "runtime_settings.msst.waltz"),
    ]


def test_seconds_use_the_model_types_sample_rate() -> None:
    runtime = recipe(model_types={"bs_roformer": {"sample_rate": 48000}})
    assert told(resolve_settings(entry(), runtime, options={"segment": 2}))["chunk_size"] == (96000, "command line")


def test_the_registry_s_segment_in_seconds() -> None:
    model = entry(recommended_settings={"segment_size": 352800})
    assert told(resolve_settings(model, recipe(segment="seconds"), sample_rate=44100))["chunk_size"][0] == 8.0


def test_impossible_recommendation_is_an_error_until_overridden() -> None:
    model = entry(recommended_settings={"segment_size": 352800, "batch_size": 1000, "overlap": 0.5})
    settings = resolve_settings(model, recipe(segment="seconds"))
    assert {(error.code, error.path) for error in settings.errors} == {
        ("segment_unusable", "recommended_settings.segment_size"),
        ("setting_invalid", "recommended_settings.batch_size"),
        ("overlap_unusable", "recommended_settings.overlap"),
    }
    fixed = resolve_settings(
        model,
        recipe(segment="seconds"),
        options={"overlap": 0.75, "segment": 8},
        assignments=["batch_size=4"],
        sample_rate=44100,
    )
    assert fixed.errors == ()


def test_recommendation_unknown_to_the_runtime_is_dropped() -> None:
    model = entry(recommended_settings={"shifts": 2, "dim_t": 801, "overlap": 4, "segment_size": 5})
    settings = resolve_settings(model, recipe(overlap=None, segment=None))
    assert {(warning.code, warning.path) for warning in settings.warnings} == {
        ("setting_ignored", f"recommended_settings.{name}") for name in ("shifts", "dim_t", "overlap", "segment_size")
    }
    assert settings.errors == ()


@pytest.mark.parametrize(
    ("options", "assignments", "code", "words"),
    [
        ({"shifts": 2}, [], "setting_unknown", ["--shifts: msst has no setting 'shifts'"]),
        ({}, ["wings=2"], "setting_unknown", ["--set wings: msst has no setting 'wings'"]),
        ({}, ["tta=maybe"], "setting_invalid", ["--set tta: tta must be true or false, not 'maybe'"]),
        ({}, ["batch_size=1.5"], "setting_invalid", ["batch_size must be a whole number, not '1.5'"]),
        ({}, ["batch_size=0"], "setting_invalid", ["batch_size must be at least 1, not 0"]),
        ({"batch_size": 65}, [], "setting_invalid", ["--batch-size: batch_size must be at most 64, not 65"]),
        ({"precision": "int4"}, [], "setting_invalid", ["must be one of float32, bf16, not int4"]),
        ({"overlap": 1.0}, [], "overlap_unusable", ["below 1, not 1"]),
        ({"overlap": math.nan}, [], "setting_invalid", ["must be a finite number"]),
        ({"batch_size": 10**400}, [], "setting_invalid", ["must be a finite number of sane size"]),
        ({"segment": 10**400}, [], "setting_invalid", ["must be a finite number of sane size"]),
        ({}, [f"batch_size={'9' * 5000}"], "setting_invalid", ["must be a whole number"]),
        ({"overlap": "half"}, [], "setting_invalid", ["must be a whole number, not 'half'"]),
        ({"segment": 8}, [], "segment_unusable", ["--segment: a segment in seconds becomes samples"]),
        ({}, ["novalue"], "setting_invalid", ["write NAME=VALUE"]),
        ({}, ["=3"], "setting_invalid", ["write NAME=VALUE"]),
        ({"batch_size": 2}, ["batch_size=3"], "setting_invalid", ["--batch-size sets batch_size already"]),
        ({"overlap": 0.5}, ["num_overlap=3"], "setting_invalid", ["--overlap sets num_overlap already"]),
        (
            {"shifts": 1},
            ["tta=x", "batch_size=-1"],
            "setting_invalid",
            ["--shifts: ", "--set tta: ", "--set batch_size: "],
        ),
    ],
)
def test_the_user_s_mistakes_are_all_named(
    options: dict[str, Any], assignments: list[str], code: str, words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_settings(entry(), recipe(), options=options, assignments=assignments)
    assert caught.value.code == code
    for part in words:
        assert part in caught.value.message
    if "NAME=VALUE" not in words[0]:
        assert "num_overlap, chunk_size, batch_size, tta, precision" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("tta=TRUE", "tta", True), ("tta=off", "tta", False), ("tta = 1", "tta", True),
        ("precision=bf16", "precision", "bf16"),
        ("num_overlap=7", "num_overlap", 7), ("chunk_size= 5 ", "chunk_size", 5),
    ],
)  # fmt: skip
def test_assignments_are_read_by_their_declared_type(assignment: str, name: str, value: Any) -> None:
    assert told(resolve_settings(entry(), recipe(), assignments=[assignment]))[name] == (value, "command line")


def test_a_segment_so_short_that_it_holds_no_sample() -> None:
    with pytest.raises(UsageError, match="holds no sample"):
        resolve_settings(entry(), recipe(), options={"segment": 1e-9}, sample_rate=44100)


def test_overlap_in_seconds_uses_the_resolved_segment() -> None:
    model = entry("divisor", recommended_settings={"overlap": 4, "segment_size": 441000})
    runtime = recipe("seconds")
    assert told(resolve_settings(model, runtime, sample_rate=44100))["num_overlap"][0] == 7.5
    shorter = resolve_settings(model, runtime, assignments=["chunk_size=44100"], sample_rate=44100)
    assert told(shorter)["num_overlap"][0] == 0.75


def test_units_are_the_declaration_s() -> None:
    runtime = recipe(settings={"window_seconds": declared("float", 0.093, unit="seconds")})
    (setting,) = [resolve_settings(entry(), runtime).values["window_seconds"]]
    assert (setting.value, setting.unit, setting.source) == (0.093, "seconds", "runtime default")


@given(
    st.dictionaries(
        st.sampled_from(["overlap", "segment", "batch_size", "tta", "precision", "wings"]),
        st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    ),
    st.lists(st.text(max_size=12), max_size=2),
    st.sampled_from(["divisor", "ratio", "seconds"]),
    st.sampled_from(["samples", "seconds"]),
)
def test_any_setting_is_resolved_in_bounds_or_refused(
    options: dict[str, Any], assignments: list[str], overlap: str, segment: str
) -> None:
    runtime = recipe(overlap, segment)
    try:
        settings = resolve_settings(
            entry(recommended_settings={"segment_size": 352800}),
            runtime,
            options=options,
            assignments=assignments,
            sample_rate=44100,
        )
    except UsageError:
        return
    for name, declaration in runtime.declared_settings("bs_roformer").items():
        value = settings.values[name].value
        assert value is None or declaration.problem_with(value) is None


def test_a_model_type_may_spell_overlap_and_segment_its_own_way() -> None:
    own = {
        "overlap": {"setting": "ratio", "unit": "ratio"},
        "segment": {"setting": "seconds", "unit": "seconds"},
        "settings": {"ratio": declared("float"), "seconds": declared("float")},
    }
    made = recipe(model_types={"bs_roformer": own, "others": {}, "whole": {"settings": {}}})
    settings = resolve_settings(entry("divisor", recommended_settings={"overlap": 4}), made, options={"segment": 3})
    assert settings.values["ratio"].value == 0.75
    assert settings.values["seconds"].value == 3
    assert settings.values["num_overlap"].value == 2, "the runtime's own is left alone"
    assert made.overlap_of("others") == made.overlap
    assert made.segment_of("others") == made.segment
    assert recipe(settings={}).overlap_of("bs_roformer") is None, "what is not declared is not spelled"
