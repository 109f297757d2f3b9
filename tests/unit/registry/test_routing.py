"""Routing: the registry's rules, the user's choice, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes import make_recipe

from stemsep_envs.documents.codes import CODES
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.registry.routing import Route, check_recipe, choose_runtime

HERE = ("dsp", "msst")


def entry(**fields: Any) -> ModelEntry:
    minimal = {"id": "a-model", "name": "A", "architecture": "VR", "links": {"homepage": "https://example.org"}}
    return ModelEntry.model_validate({**minimal, "runtime": {"allowed": ["msst", "dsp"]}, **fields})


def codes(route: Route) -> list[tuple[str, str | None]]:
    assert all(reason.code in CODES for reason in route.reasons)
    return [(reason.code, reason.path) for reason in route.reasons]


@pytest.mark.parametrize(
    ("runtime", "requested", "expected", "chosen_by"),
    [
        ({"allowed": ["msst", "dsp"], "preferred": "dsp"}, None, "dsp", "runtime.preferred"),
        ({"allowed": ["msst", "dsp"]}, None, "msst", "runtime.allowed[0]"),
        ({"allowed": ["msst", "dsp"], "preferred": None}, None, "msst", "runtime.allowed[0]"),
        ({"allowed": ["msst", "dsp"], "preferred": "dsp"}, "msst", "msst", "command line"),
    ],
)
def test_the_rules(runtime: dict[str, Any], requested: str | None, expected: str, chosen_by: str) -> None:
    assert choose_runtime(entry(runtime=runtime), requested, HERE) == Route(expected, chosen_by, ())


def test_runtime_not_allowed_is_refused_with_the_reason() -> None:
    model = entry(runtime={"allowed": ["msst"], "blocking_reason": "Roformer models are MSST-only."})
    route = choose_runtime(model, "dsp", HERE)
    assert route.runtime == "dsp"
    assert codes(route) == [("runtime_not_allowed", "runtime.allowed")]
    assert "Roformer models are MSST-only." in route.reasons[0].message
    assert route.reasons[0].hint == "allowed: msst"


def test_missing_preferred_runtime_is_not_replaced() -> None:
    model = entry(runtime={"allowed": ["stemsep-legacy", "msst"], "preferred": "stemsep-legacy"})
    route = choose_runtime(model, None, HERE)
    assert route.runtime == "stemsep-legacy"
    assert codes(route) == [("runtime_unknown", "runtime.preferred")]
    assert route.reasons[0].hint == "allowed and here: msst; name one with --runtime"
    assert choose_runtime(model, "msst", HERE).reasons == ()


def test_a_runtime_that_nobody_knows_is_refused_on_both_counts() -> None:
    assert codes(choose_runtime(entry(), "nonsense", HERE)) == [
        ("runtime_not_allowed", "runtime.allowed"),
        ("runtime_unknown", None),
    ]


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"catalog_status": "blocked", "status": {"blocking_reason": "withdrawn"}}, "catalog_status", "withdrawn"),
        ({"status": {"readiness": "blocked"}}, "status.readiness", "the registry gives no reason"),
        (
            {"catalog_status": "blocked", "notes": {"strict_spec": {"blocked_reason": "wrong weights"}}},
            "catalog_status",
            "wrong weights",
        ),
        (
            {"catalog_status": "blocked", "runtime": {"allowed": [], "blocking_reason": "no engine"}},
            "catalog_status",
            "no engine",
        ),
    ],
)
def test_a_blocked_model(fields: dict[str, Any], path: str, words: str) -> None:
    route = choose_runtime(entry(**fields), None, HERE)
    assert codes(route) == [("model_blocked", path)]
    assert words in route.reasons[0].message


def test_a_model_that_exists_online_only() -> None:
    route = choose_runtime(entry(catalog_status="online_only"), None, HERE)
    assert codes(route) == [("model_online_only", "catalog_status")]
    assert route.reasons[0].hint == "https://example.org"


NAMES = st.sampled_from(["dsp", "msst", "stemsep-legacy", "audio-separator"])


@given(st.lists(NAMES, unique=True, min_size=1), st.none() | NAMES, st.sets(NAMES), st.data())
def test_routing_follows_the_registry_whatever_it_says(
    allowed: list[str], requested: str | None, here: set[str], data: st.DataObject
) -> None:
    preferred = data.draw(st.none() | st.sampled_from(allowed))
    # Ids that name other runtimes must not matter.
    model = entry(id=f"{data.draw(NAMES)}-model", runtime={"allowed": allowed, "preferred": preferred})
    route = choose_runtime(model, requested, here)
    assert route.runtime == (requested or preferred or allowed[0])
    found = {reason.code for reason in route.reasons}
    assert ("runtime_not_allowed" in found) == (route.runtime not in allowed)
    assert ("runtime_unknown" in found) == (route.runtime not in here)


RECIPE = make_recipe(id="msst", model_types={"bs_roformer": {}}, variants={"hyperace_v2": {"description": "d"}})


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ({"model_type": "bs_roformer"}, []),
        ({"model_type": "bs_roformer", "variant": "hyperace_v2"}, []),
        ({"model_type": "bs_roformer", "variant": "fno"}, [("variant_unknown", "runtime.variant")]),
        ({}, [("model_type_missing", "runtime.model_type")]),
        (
            {"model_type": "apollo", "variant": "x"},
            [("variant_unknown", "runtime.variant"), ("model_type_unknown", "runtime.model_type")],
        ),
        ({"model_type": "demucs", "model_types": {"msst": "bs_roformer"}}, []),
        ({"model_type": "bs_roformer", "model_types": {"audio-separator": "roformer"}}, []),
        (
            {"model_type": "bs_roformer", "model_types": {"msst": "roformer"}},
            [("model_type_unknown", "runtime.model_types.msst")],
        ),
    ],
)
def test_what_a_recipe_must_have(runtime: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    reasons = check_recipe(entry(runtime={"allowed": ["msst"], **runtime}), RECIPE)
    assert [(reason.code, reason.path) for reason in reasons] == expected
    assert all(reason.code in CODES and reason.hint for reason in reasons)
