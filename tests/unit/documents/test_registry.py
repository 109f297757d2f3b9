"""The registry document: what it takes, keeps, warns about and refuses, each at its dotted path."""

from __future__ import annotations

import copy
import gc
import json
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsep_envs.documents.base import plain
from stemsep_envs.documents.registry import (
    ModelEntry,
    Registry,
    parse_entry,
    parse_registry,
    registry_warnings,
)
from stemsep_envs.errors import InvalidDocumentError

MINIMAL: dict[str, Any] = {
    "id": "some-model",
    "name": "Some model",
    "architecture": "Mel-Roformer",
    "links": {},
    "runtime": {"allowed": ["msst"]},
}

FULL: dict[str, Any] = {
    **MINIMAL,
    "type": "Roformer - Vocals",
    "description": "Vocals",
    "tags": ["vocals"],
    "stems": ["vocals", "instrumental"],
    "links": {"checkpoint": "https://example.org/a.ckpt", "config": None, "homepage": "https://example.org"},
    "homepage": None,
    "trust": "reviewed",
    "papers": [
        {"title": "A", "authors": ["B"], "year": 2024, "venue": "C", "url": "https://example.org/p", "doi": "1/2"}
    ],
    "artifacts": {
        "primary": {
            "kind": "checkpoint",
            "filename": "a.ckpt",
            "sha256": "0" * 64,
            "size": 5,
            "size_bytes": 5,
            "url": "hf://org/repo/a.ckpt",
            "mirrors": ["s3://bucket/a.ckpt", "local://models/a", "file:///srv/a.ckpt"],
        },
        "config": None,
        "additional": [{"kind": "aux", "filename": "b.txt", "sha256": None}],
    },
    "metrics": {"sdr": 12, "fullness": 1.5, "bleedless": None, "aura_stft": None, "aura_mrstft": None, "log_wmse": -3},
    "sdr": 0.0,
    "fullness": None,
    "bleedless": 9,
    "card_metrics": {
        "kind": "status",
        "primary_target": "vocals",
        "labels": ["A", "B", "C"],
        "values": ["Pending", 1.5, None],
        "source": "guide",
        "evidence_url": None,
        "evidence_note": "n",
        "last_verified": "2026-03-04",
    },
    "catalog_status": "manual_only",
    "metrics_status": "missing_evidence",
    "metrics_evidence": [{"source": "s", "url": None, "note": "n", "verified_at": "2026-03-04"}],
    "guide_rank": 1,
    "guide_notes": ["n"],
    "guide_revision": "2026-03-14",
    "vram_required": 6.0,
    "recommended_settings": {
        "segment_size": 352800, "batch_size": None, "tta": False, "overlap": 4, "shifts": 1, "bit_depth": None,
        "chunk_words": "engine's own",
    },
    "settings_semantics": {
        "overlap": {"meaning_by_runtime": {"msst": "divisor", "audio-separator": "auto"}, "notes": "n"}
    },
    "runtime_settings": {"msst": {"normalize": True}},
    "hardware_tiers": [
        {"tier": "low_vram", "min_vram_gb": 4, "max_vram_gb": 5.99, "recommended_segment_size": 112455,
         "recommended_overlap": 2, "notes": "n"},
    ],
    "status": {"readiness": "manual", "simple_allowed": False, "blocking_reason": None, "curated": True,
               "support_tier": "curated"},
    "runtime": {
        "allowed": ["msst", "stemsep-legacy"], "preferred": "msst", "blocking_reason": "r", "variant": "hyperace_v2",
        "engine": "msst_builtin", "model_type": "bs_roformer", "devices": ["cuda"], "install_mode": "manual",
        "model_types": {"stemsep-legacy": "roformer"}, "preferred_reason": "r",
        "install_burden": "low", "requires_manual_assets": True, "required_files": ["a.ckpt"], "hosts": ["msst"],
        "required": ["torch"], "fallbacks": ["cpu"], "checkpoint_ref": "a", "config_ref": "b",
        "requires_custom_repo_file": ["bs_roformer.py"], "requires_patch": True, "patch_profile": "hyperace_v2",
    },
    "install": {"mode": "manual", "notes": ["n"]},
    "download": {
        "strategy": "direct", "mode": "m", "install_mode": "i", "family": "f", "artifact_count": 1,
        "downloadable_artifact_count": 0, "manual_instructions": ["x"],
        "sources": [{"url": "https://example.org/a", "role": "config", "channel": "mirror", "priority": 1,
                     "auth": "none", "verified": True, "host": "h", "manual": False}],
        "artifacts": [{"kind": "config", "filename": "a.yaml", "relative_path": "msst/x/a.yaml", "required": True,
                       "manual": False, "source": None, "sources": [], "sha256": None, "size_bytes": None}],
    },
    "availability": {"class": "direct", "reason": None},
    "compatibility": {"uvr_compatible": None, "audio_separator_compatible": False, "msst_compatible": True,
                      "known_issues": ["i"]},
    "requirements": {
        "python": {"min": "3.10", "max": None},
        "torch": {"min": "2.1", "max": "2.6", "cuda": ["cu121"], "rocm": []},
        "pip": {"packages": ["neuraloperator==1.0.2; python_version >= '3.9'"]},
        "files": {"expects": ["models/bs_roformer/bs_roformer.py"], "provides": []},
        "manual_steps": ["Get the file."],
    },
    "phase_fix": {
        "is_valid_reference": True, "recommended_params": {"lowHz": 500, "highHz": 5000, "highFreqWeight": 2},
        "recommended_usage": ["u"], "reference_model_id": "some-model", "references": {"vocals": ["some-model"]},
    },
    "capabilities": {"stems": ["vocals"], "roles": ["separation"], "supports_mono": None, "supports_stereo": True},
    "quality_profile": {"target_roles": ["vocals"], "quality_tier": "ultra", "deterministic_priority": 1},
    "quality_role": ["primary"],
    "quality_axes": {"fullness": 7, "specialization": "clean"},
    "best_for": ["b"],
    "artifacts_risk": ["a"],
    "content_fit": ["c"],
    "vram_profile": "high_vram",
    "chunk_overlap_policy": {"default_segment_size": 352800, "default_overlap": 4, "notes": ["n"]},
    "operating_profiles": {"balanced": {"segment_size": 352800, "overlap": 4, "shifts": 1, "notes": ["n"]}},
    "workflow_groups": ["g"],
    "workflow_roles": ["r"],
    "stability_notes": ["s"],
    "inferred": {"stems": "instruments of the config"},
    "notes": {"migration": {"from": "legacy", "legacy_fields_present": ["id"]},
              "strict_spec": {"routing_default": "d", "blocked_reason": "b"}},
}  # fmt: skip


def registry(*entries: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {"version": "2.0", "generated_at": "2026-03-06T17:24:56.280484Z", "models": list(entries), **top}


def changed(path: str, value: Any, base: dict[str, Any] = FULL) -> dict[str, Any]:
    """Return a copy of an entry with the value at a dotted path replaced; a field that is missing is made."""
    entry = copy.deepcopy(base)
    parts = [int(part) if part.isdigit() else part for part in path.replace("[", ".").replace("]", "").split(".")]
    place: Any = entry
    for part in parts[:-1]:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if isinstance(place, list) and parts[-1] == len(place):
        place.append(value)
    else:
        place[parts[-1]] = value
    return entry


def problems(value: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_registry(json.dumps(value), origin="r.json")
    return [(problem.path, problem.message) for problem in caught.value.problems]


def warnings(value: Any) -> list[tuple[str, str]]:
    parsed = parse_registry(json.dumps(value), origin="r.json")
    return [(problem.path, problem.message) for problem in registry_warnings(parsed)]


def test_entry_with_every_field_round_trips_without_warning() -> None:
    value = registry(FULL, source={"tool": "t", "repo": "r", "commit": None, "notes": ""}, guide_revision=None)
    parsed = parse_registry(json.dumps(value), origin="r.json")
    assert json.dumps(plain(parsed), sort_keys=True) == json.dumps(value, sort_keys=True)
    assert list(registry_warnings(parsed)) == []
    known = {field.alias or name for name, field in ModelEntry.model_fields.items()}
    assert known == set(FULL), "the full entry of this test must hold every field"


def test_the_least_entry() -> None:
    entry = parse_registry(json.dumps(registry(MINIMAL)), origin="r.json").models[0]
    assert entry.trust == "unreviewed"
    assert not entry.blocked
    assert entry.requirements.python.min is None
    assert plain(entry) == MINIMAL


def test_unknown_fields_are_kept_everywhere_and_reported() -> None:
    value = registry(
        changed("runtime.tomorrow", {"a": [None, 1]}, changed("artifacts.additional[0].licence", "MIT")), later=None
    )
    parsed = parse_registry(json.dumps(value), origin="r.json")
    assert plain(parsed) == value
    assert [problem.path for problem in registry_warnings(parsed)] == [
        "later",
        "models[0].artifacts.additional[0].licence",
        "models[0].runtime.tomorrow",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("architecture", "NextFormer"),
        ("catalog_status", "graduated"),
        ("metrics_status", "disputed"),
        ("status.readiness", "polished"),
        ("status.support_tier", "gold"),
        ("stems[2]", "theremin"),
        ("capabilities.roles[1]", "mixing"),
        ("artifacts.primary.kind", "gguf"),
        ("hardware_tiers[0].tier", "npu"),
        ("settings_semantics.overlap.meaning_by_runtime.msst", "percent"),
        ("availability.class", "torrent"),
        ("download.strategy", "torrent"),
        ("links.checkpoint", "ipfs://bafy/a.ckpt"),
        ("artifacts.primary.mirrors[0]", "magnet://x/y"),
    ],
)
def test_words_of_tomorrow_are_kept_with_a_warning(path: str, value: str) -> None:
    document = registry(changed(path, value))
    assert [where for where, _ in warnings(document)] == [f"models[0].{path}"]
    assert plain(parse_registry(json.dumps(document), origin="x")) == document


def test_phase_references_that_cannot_serve_are_warned_about() -> None:
    plain_one = {**MINIMAL, "id": "unflagged"}
    value = registry(changed("phase_fix.references", {"vocals": ["nowhere", "unflagged"]}), plain_one)
    assert warnings(value) == [
        ("models[0].phase_fix.references.vocals[0]", "'nowhere' is not in this registry"),
        ("models[0].phase_fix.references.vocals[1]", "'unflagged' is not marked as a valid phase-fix reference"),
    ]


MISTAKES: list[tuple[str, Any, str]] = [
    ("id", "Upper", "must match ^[a-z0-9]"),
    ("id", "x", "must match"),
    ("id", "a" * 129, "must match"),
    ("id", "../etc", "must match"),
    ("id", 3, "must be text, not a number"),
    ("name", "", "must not be empty"),
    ("name", None, "must be text, not null"),
    ("architecture", [], "must be text, not a list"),
    ("description", 3, "must be text, not a number"),
    ("tags", "vocals", "must be a list, not text"),
    ("tags[0]", 1, "must be text, not a number"),
    ("tags[0]", "", "must not be empty"),
    ("stems", None, "must be a list, not null"),
    ("stems[1]", "Vocals", "'Vocals' stands at [0] already"),
    ("stems[0]", "a/b", "must match"),
    ("links", [], "must be an object, not a list"),
    ("links.checkpoint", "see the guide", "is not a URL such as"),
    ("links.checkpoint", "", "is not a URL such as"),
    ("links.checkpoint", "example.org/a.ckpt", "is not a URL such as"),
    ("links.checkpoint", "https:///a.ckpt", "names no host"),
    ("links.checkpoint", "https://user@:80/a.ckpt", "names no host"),
    ("links.config", "https://exa mple.org/a", "is not a URL such as"),
    ("links.config", "file://", "names no file"),
    ("links.homepage", 7, "must be text, not a number"),
    ("homepage", "www.example.org", "is not a URL such as"),
    ("trust", "fully", "must be 'reviewed' or 'unreviewed', not \"fully\""),
    ("papers[0].title", None, "must be text, not null"),
    ("papers[0].year", "2024", "must be a whole number, not text"),
    ("artifacts.primary.filename", "../a.ckpt", "must be a plain file name"),
    ("artifacts.primary.filename", "dir/a.ckpt", "must be a plain file name"),
    ("artifacts.primary.filename", "dir\\a.ckpt", "must be a plain file name"),
    ("artifacts.primary.filename", "C:a.ckpt", "must be a plain file name"),
    ("artifacts.primary.filename", "a\u0000.ckpt", "must be a plain file name"),
    ("artifacts.primary.filename", "..", "must be a file name"),
    ("artifacts.primary.filename", "", "must be a file name"),
    ("artifacts.primary.filename", "NUL.ckpt", "is reserved on Windows"),
    ("artifacts.primary.filename", "a.ckpt ", "must not begin with a space or end"),
    ("artifacts.primary.filename", "a" * 256, "must be at most 255 bytes long"),
    ("artifacts.primary.filename", None, "must be text, not null"),
    ("artifacts.primary.sha256", "A" * 64, "must match ^[0-9a-f]{64}$"),
    ("artifacts.primary.sha256", "0" * 63, "must match"),
    ("artifacts.primary.size", -1, "must be greater than or equal to 0"),
    ("artifacts.primary.size", 1.5, "must be a whole number, not a number"),
    ("artifacts.primary.size", True, "must be a whole number, not true or false"),
    ("artifacts.primary.size_bytes", 6, "is 6, but size is 5"),
    ("artifacts.primary.url", "nowhere", "is not a URL such as"),
    ("artifacts.primary.mirrors[1]", "nowhere", "is not a URL such as"),
    ("artifacts.additional[0].filename", "A.CKPT", "'A.CKPT' is the file name of artifacts.primary too"),
    ("metrics.sdr", "12", "must be a number, not text"),
    ("metrics.sdr", True, "must be a number, not true or false"),
    ("sdr", [], "must be a number, not a list"),
    ("card_metrics.values[1]", {}, "must be a single value"),
    ("card_metrics.last_verified", "March", "must match"),
    ("catalog_status", 1, "must be text, not a number"),
    ("metrics_evidence", {}, "must be a list, not an object"),
    ("metrics_evidence[0].note", "", "must not be empty"),
    ("guide_rank", 0, "must be greater than or equal to 1"),
    ("vram_required", -1, "must be at least 0, not -1"),
    ("vram_required", "6 GB", "must be a number, not text"),
    ("recommended_settings.overlap", "4", "must be a number, not text"),
    ("recommended_settings.segment_size", 0, "must be greater than or equal to 1"),
    ("recommended_settings.tta", "yes", "must be true or false, not text"),
    ("recommended_settings.own", {"a": 1}, "must be a single value"),
    ("settings_semantics.overlap.meaning_by_runtime", [], "must be an object, not a list"),
    ("settings_semantics.overlap.meaning_by_runtime.msst", 3, "must be text, not a number"),
    ("hardware_tiers[0].max_vram_gb", 2, "2 is below min_vram_gb 4"),
    ("hardware_tiers[0].recommended_segment_size", 0, "must be greater than or equal to 1"),
    ("status.simple_allowed", 1, "must be true or false, not a number"),
    ("runtime.allowed", [], "must name a runtime, as the model is not blocked"),
    ("runtime.allowed", "msst", "must be a list, not text"),
    ("runtime.allowed[0]", 3, "must be text, not a number"),
    ("runtime.allowed[1]", "../x", "must match"),
    ("runtime.allowed[1]", "msst", "'msst' stands at [0] already"),
    ("runtime.preferred", "dsp", "'dsp' is not in allowed (msst, stemsep-legacy)"),
    ("runtime.required_files[0]", "../a", "must be a path below its folder"),
    ("runtime.requires_patch", "no", "must be true or false, not text"),
    ("install.notes[0]", None, "must be text, not null"),
    ("download.artifacts[0].relative_path", "/etc/passwd", "must be a path below its folder"),
    ("download.artifacts[0].filename", "a/b", "must be a plain file name"),
    ("download.sources[0].url", None, "must be text, not null"),
    ("availability.class", None, "must be text, not null"),
    ("compatibility.known_issues[0]", 1, "must be text, not a number"),
    ("requirements.python.min", "three", "is not a version (PEP 440)"),
    ("requirements.python.min", 3.1, "must be text, not a number"),
    ("requirements.python.max", "3.9", "3.9 is below min 3.10"),
    ("requirements.torch.max", "2.0.1", "2.0.1 is below min 2.1"),
    ("requirements.torch.cuda", "cu121", "must be a list, not text"),
    ("requirements.pip.packages[0]", "-r other.txt", "is not a package requirement (PEP 508)"),
    ("requirements.pip.packages[0]", "numpy=1.2", "is not a package requirement (PEP 508)"),
    ("requirements.files.expects[0]", "models/../../x", "must be a path below its folder"),
    ("requirements.manual_steps[0]", "", "must not be empty"),
    ("phase_fix.is_valid_reference", "true", "must be true or false, not text"),
    ("phase_fix.recommended_params.highHz", 100, "100 is below lowHz 500"),
    ("phase_fix.reference_model_id", "No Such", "must match"),
    ("phase_fix.references.vocals[0]", "UP", "must match"),
    ("capabilities.stems", ["a", "a"], "stands at [0] already"),
    ("capabilities", {"supports_mono": False, "supports_stereo": False}, "neither mono nor stereo is supported"),
    ("quality_role", 3, "must be text or a list of texts"),
    ("quality_axes.fullness", [], "must be a single value"),
    ("operating_profiles.balanced.overlap", "x", "must be a number, not text"),
    ("notes.migration.from", 3, "must be text, not a number"),
]


@pytest.mark.parametrize(
    ("path", "value", "words"), MISTAKES, ids=[f"{path}={value!r:.20}" for path, value, _ in MISTAKES]
)
def test_a_mistake_is_reported_where_it_is(path: str, value: Any, words: str) -> None:
    (found,) = problems(registry(MINIMAL | {"id": "first"}, changed(path, value)))
    where, message = found
    if path in {"capabilities", "stems[1]", "runtime.allowed", "capabilities.stems"}:
        assert where.startswith(f"models[1].{path}")
    else:
        assert where == f"models[1].{path}"
    assert words in message


def test_all_mistakes_of_a_document_are_reported_at_once() -> None:
    """Every mistake above, each in an entry of its own, beside two ids that clash and a bad top level."""
    entries = [changed(path, value) for path, value, _ in MISTAKES]
    for index, entry in enumerate(entries):
        if isinstance(entry["id"], str) and entry["id"] == FULL["id"]:
            entry["id"] = f"entry-{index}"
    entries.append({**MINIMAL, "id": "entry-50"})
    found = problems(registry(*entries, generated_at="yesterday", version="3.0"))
    paths = [path for path, _ in found]
    assert paths[:2] == ["version", "generated_at"]
    for index in range(len(MISTAKES)):
        assert any(path.startswith(f"models[{index}].") for path in paths), MISTAKES[index]
    assert found[-1] == (f"models[{len(MISTAKES)}].id", "'entry-50' is the id of models[50] too")


def test_several_mistakes_of_one_entry_are_all_reported() -> None:
    entry = changed("id", "Bad Id")
    for path, value in [
        ("runtime.preferred", "dsp"),
        ("requirements.python.min", "x"),
        ("artifacts.primary.sha256", "x"),
        ("artifacts.primary.filename", "a/b"),
        ("phase_fix.recommended_params.highHz", 1),
    ]:
        entry = changed(path, value, entry)
    del entry["architecture"], entry["links"]
    assert [path.removeprefix("models[0].") for path, _ in problems(registry(entry))] == [
        "id",
        "architecture",
        "links",
        "artifacts.primary.filename",
        "artifacts.primary.sha256",
        "runtime.preferred",
        "requirements.python.min",
        "phase_fix.recommended_params.highHz",
    ]


@pytest.mark.parametrize("field", ["id", "name", "architecture", "links", "runtime"])
def test_required_fields(field: str) -> None:
    entry = {name: value for name, value in MINIMAL.items() if name != field}
    assert problems(registry(entry)) == [(f"models[0].{field}", "required, but missing")]


@pytest.mark.parametrize("field", ["version", "generated_at", "models"])
def test_required_fields_at_the_top(field: str) -> None:
    value = {name: part for name, part in registry(MINIMAL).items() if name != field}
    assert problems(value) == [(field, "required, but missing")]


@pytest.mark.parametrize(
    ("entry", "blocked"),
    [
        ({"runtime": {"allowed": [], "preferred": "msst"}, "catalog_status": "blocked"}, True),
        ({"runtime": {"allowed": []}, "status": {"readiness": "blocked"}}, True),
        ({"runtime": {"allowed": []}, "catalog_status": "online_only"}, False),
        ({"runtime": {"allowed": ["msst"], "blocking_reason": "others refused"}}, False),
        ({"catalog_status": "manual_only"}, False),
    ],
)
def test_only_a_model_that_is_not_run_may_have_no_runtime(entry: dict[str, Any], blocked: bool) -> None:
    assert parse_registry(json.dumps(registry({**MINIMAL, **entry})), origin="r").models[0].blocked is blocked


def test_id_used_three_times_is_reported_twice() -> None:
    other = {**MINIMAL, "id": "other"}
    assert problems(registry(MINIMAL, other, MINIMAL, MINIMAL)) == [
        ("models[2].id", "'some-model' is the id of models[0] too"),
        ("models[3].id", "'some-model' is the id of models[0] too"),
    ]


@pytest.mark.parametrize("value", [[], 3, None, {"models": {}}, {"models": [[], 3, None]}, {"models": [{"id": []}]}])
def test_another_shape_is_refused(value: Any) -> None:
    assert problems(value)


@pytest.mark.parametrize("maximum", ["3.12", "3.12.7", "3.13"])
def test_a_highest_version_admits_its_patch_releases(maximum: str) -> None:
    value = registry({**MINIMAL, "requirements": {"python": {"min": "3.12.7", "max": maximum}}})
    assert parse_registry(json.dumps(value), origin="r").models[0].requirements.python.max == maximum


def test_later_versions_2_of_the_format_are_read() -> None:
    assert parse_registry(json.dumps(registry(MINIMAL, version="2.7")), origin="r").version == "2.7"
    (found,) = problems(registry(MINIMAL, version="3.0"))
    assert found == ("version", "'3.0' cannot be read: this program reads registries of version 2.x")


def test_the_size_of_an_artifact_under_either_name() -> None:
    for sizes in ({"size": 5}, {"size_bytes": 5}, {"size": None, "size_bytes": 5}, {"size": 5, "size_bytes": 5}):
        artifacts = {"primary": {"kind": "checkpoint", "filename": "a", **sizes}}
        entry = parse_registry(json.dumps(registry({**MINIMAL, "artifacts": artifacts})), origin="r").models[0]
        assert entry.artifacts.primary is not None
        assert entry.artifacts.primary.expected_bytes == 5


def test_artifacts_are_told_with_their_paths() -> None:
    entry = ModelEntry.model_validate(changed("artifacts.config", {"kind": "config", "filename": "c.yaml"}))
    assert [(path, artifact.filename) for path, artifact in entry.artifacts.each()] == [
        ("primary", "a.ckpt"),
        ("config", "c.yaml"),
        ("additional[0]", "b.txt"),
    ]


def test_one_entry_is_parsed_alone_with_paths_of_the_whole() -> None:
    text = json.dumps(changed("runtime.preferred", "dsp")).encode()
    with pytest.raises(InvalidDocumentError) as caught:
        parse_entry(text, origin="r.json", path="models[7]")
    assert [problem.path for problem in caught.value.problems] == ["models[7].runtime.preferred"]
    with pytest.raises(InvalidDocumentError) as caught:
        parse_entry(b"[]", origin="r.json", path="models[7]")
    assert [problem.path for problem in caught.value.problems] == ["models[7]"]
    with pytest.raises(InvalidDocumentError) as caught:
        parse_entry(b'{"id": "a", "id": "b"}', origin="r.json", path="models[7]")
    assert [problem.path for problem in caught.value.problems] == ["models[7].id"]


def test_schema_describes_every_field_as_the_parser_does() -> None:
    schema = Registry.model_json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(registry(FULL, MINIMAL))
    for name, definition in schema["$defs"].items():
        assert definition.get("description"), name
        for field, described in definition["properties"].items():
            # A field whose description is its section's own is written as a bare reference.
            assert described.get("description") or "$ref" in described, f"{name}.{field}"
            assert definition.get("additionalProperties") is not False
    assert not validator.is_valid(registry(changed("runtime.allowed", "msst")))
    assert validator.is_valid(registry(changed("architecture", "NextFormer")))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["..", "a/b"])


@settings(max_examples=300)
@given(
    st.sampled_from(places(FULL)[1:]),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
)
def test_any_value_is_read_or_refused_at_its_field(path: tuple[Any, ...], value: Any) -> None:
    entry = copy.deepcopy(FULL)
    place = entry
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    try:
        parsed = parse_registry(json.dumps(registry(entry)), origin="r")
    except InvalidDocumentError as error:
        found = error.problems
    else:
        found = tuple(registry_warnings(parsed))
        assert json.dumps(plain(parsed), sort_keys=True) == json.dumps(registry(entry), sort_keys=True)
    for problem in found:
        assert problem.path.startswith(f"models[0].{path[0]}") or path[0] in {"id", "catalog_status", "status"}
        str(problem).encode()


@given(st.data())
def test_a_file_cut_or_overwritten_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    text = json.dumps(registry(FULL)).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 50)))
    with suppress(InvalidDocumentError):
        parse_registry(text[:start] + data.draw(st.binary(max_size=8)) + text[end:], origin="r")


def test_reading_a_registry_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    parse_registry(json.dumps(registry(FULL)), origin="r")
    with pytest.raises(InvalidDocumentError):
        parse_registry("[", origin="r")
    assert gc.isenabled()
    gc.disable()
    try:
        parse_registry(json.dumps(registry(FULL)), origin="r")
        assert not gc.isenabled()
    finally:
        gc.enable()
