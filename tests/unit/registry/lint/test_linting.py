"""Every rule finds what it is for, in an entry that is otherwise without fault, and what is safe is put right."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.recipes import make_recipe

from stemsep_envs.documents.registry import parse_registry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import InvalidDocumentError
from stemsep_envs.registry.lint.linting import Linted, fix, lint
from stemsep_envs.registry.lint.rules import RULES, rules_page

COMMIT = "0" * 40
HUB = f"https://huggingface.co/someone/vocals/resolve/{COMMIT}"
SOUND: dict[str, Any] = {
    "id": "someone-vocals",
    "name": "Someone's Vocals",
    "architecture": "BS-Roformer",
    "stems": ["vocals", "instrumental"],
    "links": {"checkpoint": f"{HUB}/vocals.ckpt", "config": f"{HUB}/vocals.yaml"},
    "artifacts": {
        "primary": {"kind": "checkpoint", "filename": "vocals.ckpt", "sha256": "1" * 64, "size": 1},
        "config": {"kind": "config", "filename": "vocals.yaml", "sha256": "2" * 64, "size": 1},
    },
    "metrics": {"sdr": 10.5},
    "catalog_status": "candidate",
    "recommended_settings": {"overlap": 4},
    "settings_semantics": {"overlap": {"meaning_by_runtime": {"engine": "divisor"}}},
    "hardware_tiers": [
        {"tier": "cpu_only", "max_vram_gb": 0},
        {"tier": "low_vram", "min_vram_gb": 4, "max_vram_gb": 5.99, "recommended_overlap": 2},
        {"tier": "mid_vram", "min_vram_gb": 6},
    ],
    "status": {"readiness": "experimental"},
    "runtime": {"allowed": ["engine"], "preferred": "engine", "model_type": "bs_roformer"},
    "requirements": {"python": {"min": "3.10"}},
}


def recipe(name: str = "engine", **changes: Any) -> RuntimeRecipe:
    value: dict[str, Any] = {
        "torch": {"min": "2.4"},
        "model_types": {"bs_roformer": {}, "mel_band_roformer": {}, "fixed": {"stems": ["vocals"]}},
        "overlap": {"setting": "overlap", "unit": "divisor"},
        "settings": {"overlap": {"type": "int", "description": "d"}},
        "variants": {
            "brought": {
                "description": "d",
                "packages": ["helper==1.0.2"],
                "patches": [{"kind": "add", "path": "models/bs_roformer/x.py", "source": "artifact:patch"}],
            }
        },
    }  # fmt: skip
    return make_recipe(id=name, **{**value, **changes})


RECIPES = {"engine": recipe(), "msst": recipe("msst")}


def registry(*models: Mapping[str, Any]) -> str:
    document = {"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": list(models)}
    return json.dumps(document, indent=2)


def changed(entry: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return an entry with the values at ``a__b__0`` changed; the value ``...`` takes the member away."""
    document = copy.deepcopy(dict(entry or SOUND))
    for path, value in changes.items():
        *folders, last = path.split("__")
        place: Any = document
        for folder in folders:
            place = place[int(folder)] if isinstance(place, list) else place.setdefault(folder, {})
        if value is ...:
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return document


def linted(*models: Mapping[str, Any]) -> Linted:
    return lint(registry(*models), RECIPES, origin="r.json")


def found(*models: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(finding.code, finding.path.partition(".")[2]) for finding in linted(*models).findings}


def test_a_sound_entry_has_no_defects() -> None:
    assert linted(SOUND).findings == ()


VARIED = changed(
    runtime__variant="brought",
    requirements__pip={"packages": ["helper==1.0.2"]},
    artifacts__additional=[{"kind": "patch", "filename": "x.py", "sha256": "3" * 64, "size": 1, "url": f"{HUB}/x.py"}],
)
OTHER = changed(
    id="someone-other",
    name="Someone's other",
    links={"checkpoint": f"{HUB}/other.ckpt", "config": f"{HUB}/other.yaml"},
    artifacts={
        "primary": {"kind": "checkpoint", "filename": "other.ckpt", "sha256": "4" * 64, "size": 1},
        "config": {"kind": "config", "filename": "other.yaml", "sha256": "5" * 64, "size": 1},
    },
    metrics={"sdr": 11.5},
)
MAIN = "https://huggingface.co/someone/vocals/resolve/main"
BLOB = "https://huggingface.co/someone/vocals/blob/main"


def test_a_sound_variant_and_a_sound_pair_have_no_defects() -> None:
    assert linted(VARIED).findings == linted(SOUND, OTHER).findings == ()


ONE = [
    ("page_link", {"links__checkpoint": "https://huggingface.co/someone/vocals"}, "links.checkpoint"),
    ("page_link", {"links__config": "https://example.org"}, "links.config"),
    ("page_link", {"artifacts__primary__url": f"{BLOB}/vocals.ckpt"}, "artifacts.primary.url"),
    ("link_unusable", {"artifacts__primary__mirrors": ["ftp://h/vocals.ckpt"]}, "artifacts.primary.mirrors[0]"),
    ("link_insecure", {"artifacts__primary__mirrors": ["http://h/vocals.ckpt"]}, "artifacts.primary.mirrors[0]"),
    ("filename_differs", {"artifacts__primary__filename": "else.ckpt"}, "artifacts.primary.filename"),
    ("filename_differs", {"artifacts__config__filename": "Vocals.yaml"}, "artifacts.config.filename"),
    ("artifact_unnamed", {"artifacts__config": None}, "links.config"),
    ("artifact_unnamed", {"artifacts": {}}, "links.checkpoint"),
    ("address_missing", {"links": {}}, "artifacts.primary"),
    ("weights_unnamed", {"links": {}, "artifacts": {}}, "artifacts.primary"),
    ("hash_unknown", {"artifacts__primary__sha256": None}, "artifacts.primary.sha256"),
    ("size_unknown", {"artifacts__primary__size": None}, "artifacts.primary.size"),
    ("revision_unpinned", {"links__checkpoint": f"{MAIN}/vocals.ckpt"}, "links.checkpoint"),
    (
        "revision_unpinned",
        {"artifacts__config__url": "https://raw.githubusercontent.com/a/b/main/vocals.yaml"},
        "artifacts.config.url",
    ),
    (
        "hash_contradicts_name",
        {"artifacts__primary": {"kind": "checkpoint", "filename": "955717e8-8726e21a.th", "sha256": "0" * 64, "size": 1,
                                "url": "https://example.org/955717e8-8726e21a.th"}},
        "artifacts.primary.sha256",
    ),
    ("homepage_elsewhere", {"links__homepage": "https://huggingface.co/someone/else"}, "links.homepage"),
    ("homepage_elsewhere", {"homepage": "https://github.com/someone/else"}, "homepage"),
    ("architecture_unlike_file", {"architecture": "SCNet", "runtime__model_type": "fixed", "stems": ["vocals"],
                                  "links__config": f"{HUB}/config_bs_roformer.yaml",
                                  "artifacts__config__filename": "config_bs_roformer.yaml"}, "architecture"),
    ("runtime_unreachable", {"runtime__allowed": ["gone"], "runtime__preferred": "gone"}, "runtime.preferred"),
    ("runtime_unreachable", {"runtime__allowed": ["gone"], "runtime__preferred": None}, "runtime.allowed[0]"),
    ("runtime_unknown", {"runtime__allowed": ["engine", "gone"]}, "runtime.allowed[1]"),
    ("preference_missing", {"runtime__allowed": ["engine", "msst"], "runtime__preferred": None}, "runtime.preferred"),
    ("model_type_missing", {"runtime__model_type": None}, "runtime.model_type"),
    ("model_type_unknown", {"runtime__model_type": "waltz"}, "runtime.model_type"),
    ("model_type_unknown", {"runtime__model_types": {"engine": "waltz"}}, "runtime.model_types.engine"),
    ("model_type_unused", {"runtime__model_types": {"msst": "bs_roformer"}}, "runtime.model_types.msst"),
    ("variant_unknown", {"runtime__variant": "waltz"}, "runtime.variant"),
    ("package_unpinned", {"requirements__pip": {"packages": ["einops>=0.8"]}}, "requirements.pip.packages[0]"),
    ("requirements_empty", {"requirements": {}}, "requirements"),
    ("overlap_impossible", {"recommended_settings__overlap": 0.5}, "recommended_settings.overlap"),
    ("overlap_impossible", {"hardware_tiers__1__recommended_overlap": 0}, "hardware_tiers[1].recommended_overlap"),
    (
        "overlap_impossible",
        {"settings_semantics__overlap__meaning_by_runtime": {"engine": "ratio"}},
        "recommended_settings.overlap",
    ),
    ("overlap_clamped", {"recommended_settings__overlap": 90}, "recommended_settings.overlap"),
    (
        "overlap_unstated",
        {"settings_semantics": {}},
        "settings_semantics.overlap.meaning_by_runtime.engine",
    ),
    ("tiers_overlap", {"hardware_tiers__1__max_vram_gb": 7}, "hardware_tiers[2].min_vram_gb"),
    ("tiers_overlap", {"hardware_tiers__1__max_vram_gb": None}, "hardware_tiers[2].min_vram_gb"),
    ("tiers_gap", {"hardware_tiers__2__min_vram_gb": 8}, "hardware_tiers[2].min_vram_gb"),
    ("stems_missing", {"stems": []}, "stems"),
    ("stems_contradict", {"capabilities": {"stems": ["drums"]}}, "capabilities.stems"),
    ("stems_contradict", {"runtime__model_type": "fixed"}, "stems"),
    ("stem_count", {"name": "Someone's 4-stem Vocals"}, "stems"),
    ("phase_reference_unknown", {"phase_fix": {"reference_model_id": "nobody"}}, "phase_fix.reference_model_id"),
    (
        "phase_reference_unflagged",
        {"phase_fix": {"references": {"vocals": ["someone-vocals"]}}},
        "phase_fix.references.vocals[0]",
    ),
    ("id_unlike_name", {"id": "xyz"}, "id"),
    ("metric_zero", {"metrics__sdr": 0.0}, "metrics.sdr"),
    ("metric_zero", {"fullness": 0}, "fullness"),
    ("reason_missing", {"catalog_status": "blocked", "status": {}}, "status.blocking_reason"),
    ("status_contradicts", {"catalog_status": "verified"}, "status.readiness"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "changes", "path"), ONE)
def test_one_defect(code: str, changes: dict[str, Any], path: str) -> None:
    assert (code, path) in found(changed(**changes))


ON_MSST = {"runtime": {"allowed": ["msst"], "preferred": "msst", "model_type": "bs_roformer"}}


@pytest.mark.parametrize(
    ("code", "entry", "path"),
    [
        ("variant_without_patch", changed(VARIED, artifacts__additional=[]), "artifacts.additional"),
        (
            "variant_unpinned",
            changed(VARIED, requirements__pip={"packages": ["Helper"]}),
            "requirements.pip.packages[0]",
        ),
        (
            "variant_requirement_missing",
            changed(VARIED, requirements__pip={"packages": []}),
            "requirements.pip.packages",
        ),
        ("variant_of_another_kind", changed(VARIED, runtime__model_type="mel_band_roformer"), "runtime.variant"),
        (
            "variant_of_another_kind",
            changed(VARIED, runtime__model_type=None, architecture="Mel-Roformer"),
            "runtime.variant",
        ),
        ("architecture_contradicts", changed(**ON_MSST, architecture="Mel-Roformer"), "architecture"),
        ("architecture_contradicts", changed(architecture="Mel-Roformer"), "architecture"),
    ],
)
def test_one_defect_of_a_variant_or_kind(code: str, entry: dict[str, Any], path: str) -> None:
    assert (code, path) in found(entry)


def test_defects_between_entries() -> None:
    taken = changed(OTHER, artifacts__primary__filename="vocals.ckpt")
    assert ("cross_wired", "artifacts.primary.filename") in found(SOUND, taken)
    same = changed(OTHER, links__checkpoint=f"{HUB}/vocals.ckpt", artifacts__primary__filename="vocals.ckpt")
    assert found(SOUND, same) >= {
        ("checkpoint_shared", "artifacts.primary"),
        ("address_disagrees", "artifacts.primary.sha256"),
    }
    cased = changed(OTHER, links__config=f"{HUB}/sub/VOCALS.yaml", artifacts__config__filename="VOCALS.yaml")
    assert ("name_shared", "artifacts.config.filename") in found(SOUND, cased)
    assert ("name_repeated", "name") in found(SOUND, changed(OTHER, name="someone's  vocals"))
    metrics = {"sdr": 10.5, "fullness": 20.0, "bleedless": 30.0}
    assert ("metrics_repeated", "metrics") in found(changed(metrics=metrics), changed(OTHER, metrics=metrics))


def test_install_paths_colliding_without_case_are_found() -> None:
    def download(name: str, source: str) -> dict[str, Any]:
        artifact = {"kind": "config", "filename": "config.yaml", "relative_path": name, "source": source}
        return {"artifacts": [artifact]}

    first = changed(download=download("msst/config.yaml", f"{HUB}/a"))
    second = changed(OTHER, download=download("MSST/Config.yaml", f"{HUB}/b"))
    assert ("path_collision", "download.artifacts[0].relative_path") in found(first, second)
    same = changed(OTHER, download=download("msst/config.yaml", f"{HUB}/a"))
    assert ("path_collision", "download.artifacts[0].relative_path") in found(first, same)


def test_a_kind_is_added_where_every_silent_runtime_has_it() -> None:
    silent = {"allowed": ["engine", "msst"], "preferred": "engine", "model_type": None}
    text = registry(changed(runtime=silent))
    fixed = json.loads(fix(text, RECIPES, origin="r", rules=["model_type_missing"]).text)
    assert fixed["models"][0]["runtime"]["model_type"] == "bs_roformer"
    without = {**RECIPES, "msst": recipe("msst", model_types={"fixed": {}})}
    (finding,) = lint(text, without, origin="r", rules=["model_type_missing"]).findings
    assert not finding.fixable


def test_every_rule_has_a_test_here() -> None:
    text = Path(__file__).read_text("utf-8")
    assert [code for code in RULES if text.count(f'"{code}"') == 0] == []


def test_invalid_entries_are_findings_beside_the_others() -> None:
    result = linted(changed(name=3, id="broken"), {"id": 5}, "text", changed(stems=[]), SOUND)  # type: ignore[arg-type]
    told = [(finding.code, finding.severity, finding.model_id, finding.path) for finding in result.findings]
    assert ("invalid", "error", "broken", "models[0].name") in told
    assert ("invalid", "error", None, "models[1].id") in told
    assert ("invalid", "error", None, "models[2]") in told
    assert ("stems_missing", "warning", "someone-vocals", "models[3].stems") in told
    assert ("invalid", "error", "someone-vocals", "models[4].id") in told  # the id of models[3]
    assert told == sorted(told, key=lambda item: ("error", "warning", "info").index(item[1]))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": {}}', '{"models": [], "version": "3.0"}', "\x00"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocumentError):
        lint(text, RECIPES, origin="r.json")


@pytest.mark.parametrize(
    "stop",
    [{"catalog_status": "blocked"}, {"catalog_status": "online_only"}, {"status": {"readiness": "blocked"}}],
)
def test_what_nothing_runs_has_no_errors(stop: dict[str, Any]) -> None:
    page: dict[str, Any] = {"links__checkpoint": "https://example.org"}
    (harmless,) = [finding for finding in linted(changed(**page, **stop)).findings if finding.code == "page_link"]
    (grave,) = [finding for finding in linted(changed(**page)).findings if finding.code == "page_link"]
    assert (harmless.severity, grave.severity) == ("warning", "error")


def test_only_the_rules_that_are_asked_for() -> None:
    text = registry(changed(stems=[], metrics__sdr=0.0))
    result = lint(text, RECIPES, origin="r", rules=["stems_missing"])
    assert [finding.code for finding in result.findings] == ["stems_missing"]
    assert result.edits == ()


def test_what_is_safe_is_put_right_and_no_byte_besides() -> None:
    crooked = changed(
        VARIED,
        artifacts__primary__filename="Vocals-old.ckpt",
        artifacts__config=None,
        links__checkpoint="https://huggingface.co/someone/vocals/blob/main/vocals.ckpt",
        artifacts__additional__0__url="http://huggingface.co/someone/vocals/resolve/main/x.py",
        requirements__pip={"packages": ["helper"]},
        metrics__sdr=0.0,
        runtime={
            "allowed": ["msst"], "variant": "brought", "model_type": None,
            "required_files": ["Vocals-old.ckpt", "x.py"],
        },
    )  # fmt: skip
    text = registry(crooked, SOUND | {"id": "other"})
    result = fix(text, RECIPES, origin="r")
    assert {finding.code for finding in result.fixed} == {
        "page_link", "link_insecure", "filename_differs", "artifact_unnamed", "variant_unpinned", "metric_zero",
        "model_type_missing",
    }  # fmt: skip
    entry = json.loads(result.text)["models"][0]
    assert entry["artifacts"]["primary"]["filename"] == "vocals.ckpt"
    assert entry["artifacts"]["config"]["filename"] == "vocals.yaml"
    assert entry["links"]["checkpoint"] == "https://huggingface.co/someone/vocals/resolve/main/vocals.ckpt"
    assert entry["artifacts"]["additional"][0]["url"].startswith("https://")
    assert entry["requirements"]["pip"]["packages"] == ["helper==1.0.2"]
    assert entry["metrics"]["sdr"] is None
    assert entry["runtime"]["required_files"] == ["vocals.ckpt", "x.py"]
    assert entry["runtime"]["model_type"] == "bs_roformer"
    assert [finding for finding in result.left.findings if finding.severity == "error"] == []
    assert fix(result.text, RECIPES, origin="r").text == result.text
    assert json.loads(result.text)["models"][1] == json.loads(text)["models"][1]
    parse_registry(result.text, origin="r")
    kept = [line for line in result.text.splitlines() if line not in text.splitlines()]
    assert len(kept) < 20


def test_a_name_that_another_artifact_has_is_not_given() -> None:
    crooked = changed(artifacts__primary__filename="else.ckpt", artifacts__config__filename="VOCALS.ckpt")
    finding = next(finding for finding in linted(crooked).findings if finding.path.endswith("primary.filename"))
    assert not finding.fixable


def test_hosts_that_may_know_no_https_are_not_asked_by_it() -> None:
    crooked = changed(artifacts__primary__mirrors=["http://example.org/vocals.ckpt"])
    assert fix(registry(crooked), RECIPES, origin="r").text == registry(crooked)


def test_the_page_of_rules_names_each() -> None:
    page = rules_page()
    assert all(f"| `{code}` | {rule.severity} |" in page for code, rule in RULES.items())
