"""Preflight through the command line: every reason that a planted entry can give, and what overrules it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.integration.conftest import SHIPPED, Answer, Cli, files_below

from stemsep_envs.documents.codes import CODES
from stemsep_envs.documents.preflight import PreflightReport
from stemsep_envs.host.machine import this_machine
from stemsep_envs.planning import preflight as preflight_command
from stemsep_envs.planning.plan import PlanOptions
from stemsep_envs.planning.preflight import plan_model

pytestmark = pytest.mark.integration

Plant = Callable[..., Path]
Ask = Callable[..., Any]


@pytest.fixture
def ask(cli: Cli) -> Ask:
    """Ask about the planted model; the report is valid and its exit code says whether it can proceed."""

    def make(registry: Path, *arguments: str | Path) -> Any:
        done = cli("preflight", "planted", *arguments, "--registry", registry, "--json")
        report = done.document("preflight")
        assert done.code == (0 if report["can_proceed"] else 6)
        assert report["can_proceed"] == (not report["errors"])
        assert {finding["code"] for finding in (*report["errors"], *report["warnings"])} <= CODES.keys()
        return report

    return make


def codes(findings: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(finding["code"], finding["path"]) for finding in findings]


BLOCKED = [
    ({"catalog_status": "blocked"}, "model_blocked", "catalog_status"),
    ({"catalog_status": "online_only"}, "model_online_only", "catalog_status"),
    ({"runtime__allowed": ["nowhere"], "runtime__preferred": "nowhere"}, "runtime_unknown", "runtime.preferred"),
    ({"runtime__allowed": ["nowhere", "dsp"], "runtime__preferred": None}, "runtime_unknown", "runtime.allowed[0]"),
    ({"runtime__variant": "fno"}, "variant_unknown", "runtime.variant"),
    ({"runtime__model_type": None}, "model_type_missing", "runtime.model_type"),
    ({"runtime__model_type": "waltz"}, "model_type_unknown", "runtime.model_type"),
    ({"runtime__model_types": {"dsp": "waltz"}}, "model_type_unknown", "runtime.model_types.dsp"),
    ({"runtime_settings": {"dsp": {"window_seconds": 99}}}, "setting_invalid", "runtime_settings.dsp.window_seconds"),
    ({"links__checkpoint": "https://example.org/m.ckpt"}, "weights_unnamed", "artifacts.primary"),
    ({"links__checkpoint": "https://example.org"}, "weights_unnamed", "artifacts.primary"),
    ({"catalog_status": "manual_only"}, "weights_unnamed", "artifacts.primary"),
    ({"requirements__python": {"min": "3.99"}}, "python_unsatisfiable", "requirements.python.min"),
    ({"requirements__python": {"max": "2.7"}}, "python_unsatisfiable", "requirements.python.max"),
    ({"requirements__pip": {"packages": ["numpy==1.0"]}}, "packages_conflict", "requirements.pip.packages[0]"),
    (
        {"requirements__manual_steps": ["Write to the author."]},
        "manual_step_unconfirmed",
        "requirements.manual_steps[0]",
    ),
    ({"requirements__files": {"expects": ["a.py"], "provides": []}}, "file_missing", "requirements.files.expects[0]"),
    (
        {"artifacts": {"primary": {"kind": "checkpoint", "filename": "m.ckpt", "sha256": "a" * 64}}},
        "artifact_missing",
        "artifacts.primary",
    ),
    (
        {
            "recommended_settings__overlap": 40,
            "settings_semantics__overlap": {"meaning_by_runtime": {"dsp": "ratio"}},
        },
        "overlap_unusable",
        "recommended_settings.overlap",
    ),
    ({"recommended_settings__window_seconds": 99}, "setting_invalid", "recommended_settings.window_seconds"),
]


@pytest.mark.parametrize(("changes", "code", "path"), BLOCKED)
def test_it_blocks_and_names_the_field(ask: Ask, plant: Plant, changes: dict[str, Any], code: str, path: str) -> None:
    report = ask(plant(**changes))
    assert not report["can_proceed"]
    assert (code, path) in codes(report["errors"])
    assert all(error["message"] for error in report["errors"])


WARNED = [
    ({"catalog_status": "candidate"}, "not_verified", "catalog_status"),
    ({"recommended_settings__batch_size": 4}, "setting_ignored", "recommended_settings.batch_size"),
    (
        {
            "recommended_settings__overlap": 0.5,
            "settings_semantics__overlap": {"meaning_by_runtime": {"dsp": "moons"}},
        },
        "meaning_unknown",
        "settings_semantics.overlap.meaning_by_runtime.dsp",
    ),
    ({"compatibility__known_issues": ["It hums."]}, "known_issue", "compatibility.known_issues[0]"),
]


@pytest.mark.parametrize(("changes", "code", "path"), WARNED)
def test_it_warns_and_names_the_field(ask: Ask, plant: Plant, changes: dict[str, Any], code: str, path: str) -> None:
    report = ask(plant(**changes))
    assert report["can_proceed"]
    assert (code, path) in codes(report["warnings"])


def test_all_reasons_at_once(ask: Ask, plant: Plant, cli: Cli, song: Path) -> None:
    registry = plant(
        catalog_status="blocked",
        requirements__manual_steps=["One.", "Two."],
        requirements__files={"expects": ["a.py", "b.py"], "provides": ["b.py"]},
        capabilities__supports_stereo=False,
    )
    report = ask(registry, song)
    assert sorted(code for code, _ in codes(report["errors"])) == [
        "file_missing",
        "input_channels",
        "manual_step_unconfirmed",
        "manual_step_unconfirmed",
        "model_blocked",
    ]
    refused = cli("run", "planted", song, "-o", "out", "--registry", registry, "--json")
    findings = refused.error("blocked", 6)["findings"]
    assert [finding["code"] for finding in findings].count("manual_step_unconfirmed") == 2
    told = cli("preflight", "planted", "--registry", registry)
    assert told.code == 6
    assert "planted cannot run here" in told.out
    assert told.err.count("error: ") == 4
    assert not (cli.cwd / "out").exists()


def test_requirements_have_a_status_each(ask: Ask, plant: Plant) -> None:
    steps = {"requirements__manual_steps": ["Once."], "requirements__pip": {"packages": ["einops==0.8.1"]}}
    report = ask(plant(**steps, requirements__files={"expects": ["a.py"], "provides": ["a.py"]}))
    status = report["resolved"]["requirements_status"]
    assert status["python"]["status"] == "ok"
    assert status["torch"] is None
    packages = {requirement["name"]: requirement for requirement in status["packages"]}
    assert packages["einops==0.8.1"]["status"] == "will_install"
    assert packages["einops==0.8.1"]["origins"] == ["model planted: requirements.pip.packages[0]"]
    assert [(step["name"], step["status"]) for step in status["manual_steps"]] == [("Once.", "missing")]
    assert [(file["name"], file["status"]) for file in status["files"]] == [("a.py", "ok")]
    assert report["resolved"]["environment"]["state"] == "to_lock"
    impossible = ask(plant(requirements__python={"min": "3.99"}))["resolved"]
    assert impossible["environment"] == {"digest": None, "state": "impossible"}
    assert impossible["requirements_status"]["python"]["status"] == "unsatisfiable"


def test_the_environment_that_is_here(cli: Cli) -> None:
    report = cli("preflight", "dsp-hpss", "--json").document("preflight")
    resolved = report["resolved"]
    assert report["can_proceed"]
    assert resolved["environment"]["state"] == "ready"
    assert {requirement["status"] for requirement in resolved["requirements_status"]["packages"]} == {"ok"}
    assert (resolved["runtime"], resolved["runtime_reason"], resolved["device"]) == ("dsp", "runtime.preferred", "cpu")


def test_nothing_is_made_in_an_empty_home(cli: Cli, empty_home: Path, song: Path) -> None:
    done = cli("preflight", "dsp-hpss", song, "--json", STEMSEP_ENV_HOME=str(empty_home))
    report = done.document("preflight")
    assert report["resolved"]["environment"]["state"] == "to_build"
    assert report["input"]["channels"] == 2
    made = files_below(empty_home) if empty_home.exists() else []
    assert [name for name in made if not name.startswith(("cache/", "holds/"))] == []


def test_confirmed_manual_steps_are_recorded(cli: Cli, plant: Plant, song: Path, ask: Ask) -> None:
    registry = plant(requirements__manual_steps=["Write to the author."])
    confirmed = ask(registry, "--confirm-manual-steps")
    (step,) = confirmed["resolved"]["requirements_status"]["manual_steps"]
    assert (confirmed["can_proceed"], step["status"]) == (True, "ok")
    assert "--confirm-manual-steps" in step["reason"]
    run = ("run", "planted", song, "-o", "out", "--registry", registry, "--json")
    error = cli(*run).error("blocked", 6)
    assert "--confirm-manual-steps" in error["findings"][0]["hint"]
    record = cli(*run, "--confirm-manual-steps").document("run")
    assert (record["status"], record["confirmed_manual_steps"], record["overridden"]) == ("done", True, [])


def test_what_a_developer_overrules_is_recorded(cli: Cli, plant: Plant, song: Path, ask: Ask) -> None:
    registry = plant(catalog_status="blocked", requirements__manual_steps=["Write to the author."])
    report = ask(registry, "--enforce", "warn")
    overruled = [("model_blocked", "catalog_status"), ("manual_step_unconfirmed", "requirements.manual_steps[0]")]
    assert report["can_proceed"]
    assert codes(report["warnings"])[:2] == overruled
    run = ("run", "planted", song, "-o", "out", "--registry", registry, "--enforce", "warn", "--json")
    done = cli(*run)
    record = done.document("run")
    assert (done.code, record["enforcement"], codes(record["overridden"])) == (0, "warn", overruled)
    assert "manual_step_unconfirmed" in done.err


@pytest.mark.parametrize(
    "changes",
    [
        {"artifacts": {"primary": {"kind": "checkpoint", "filename": "m.ckpt", "sha256": "a" * 64}}},
        {"runtime__model_type": "waltz"},
        {"requirements__python": {"min": "3.99"}},
    ],
)
def test_what_cannot_run_anyway_is_not_overruled(ask: Ask, plant: Plant, changes: dict[str, Any]) -> None:
    assert not ask(plant(**changes), "--enforce", "warn")["can_proceed"]


def test_a_runtime_of_the_users(ask: Ask, plant: Plant) -> None:
    registry = plant(
        runtime__allowed=["nowhere", "dsp"], runtime__preferred="nowhere", runtime__blocking_reason="It needs dsp."
    )
    taken = ask(registry, "--runtime", "dsp")
    assert (taken["can_proceed"], taken["resolved"]["runtime_reason"]) == (True, "command line")
    refused = ask(registry, "--runtime", "elsewhere")
    assert ("runtime_not_allowed", "runtime.allowed") in codes(refused["errors"])
    assert "It needs dsp." in refused["errors"][0]["message"]
    assert refused["errors"][0]["hint"] == "allowed: nowhere, dsp"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("windows-x86_64-cpu", "target_not_here"),
        ("linux-x86_64-cu128", "target_not_supported"),
        ("cuda", "target_not_supported"),
        ("bogus", "target_not_supported"),
    ],
)
def test_a_target_that_is_not_to_be_had(ask: Ask, plant: Plant, target: str, code: str) -> None:
    assert code in [found for found, _ in codes(ask(plant(), "--target", target)["errors"])]


def test_a_phase_fix_reference(ask: Ask, plant: Plant, cli: Cli) -> None:
    valid = json.loads(plant(phase_fix={"is_valid_reference": True}).read_text())["models"][0]
    doubtful = {**valid, "id": "doubtful", "phase_fix": {"is_valid_reference": None}}
    registry = plant({**valid, "id": "reference"}, doubtful)
    assert ask(registry, "--phase-fix-reference", "reference")["can_proceed"]
    for name in ("planted", "doubtful"):
        refused = ask(registry, "--phase-fix-reference", name)
        assert codes(refused["errors"]) == [("phase_fix_reference_invalid", "phase_fix.is_valid_reference")]
    overruled = ask(registry, "--phase-fix-reference", "doubtful", "--enforce", "warn")
    assert overruled["can_proceed"]
    unknown = cli("preflight", "planted", "--registry", registry, "--phase-fix-reference", "refrence", "--json")
    assert unknown.error("unknown_model", 2)["hint"] == "did you mean reference?"


def test_an_input(cli: Cli, write: Callable[..., Path], song: Path) -> None:
    write("mono.wav", channels=1)
    write("many.wav", channels=7)
    write("song.mp3")
    (cli.cwd / "text.wav").write_text("no audio")

    def asked(model: str, name: str | Path) -> Any:
        return cli("preflight", model, name, "--json").document("preflight")

    fits = asked("dsp-centre-side", song)
    assert (fits["can_proceed"], fits["input"]["channels"], fits["input"]["sample_rate"]) == (True, 2, 44100)
    assert asked("dsp-hpss", "song.mp3")["input"]["channels"] == 2
    mono = asked("dsp-centre-side", "mono.wav")
    assert codes(mono["errors"]) == [("input_channels", "capabilities.supports_mono")]
    assert codes(asked("dsp-hpss", "many.wav")["errors"]) == [("input_channels", None)]
    assert ("input_unknown", None) in codes(asked("dsp-hpss", "text.wav")["warnings"])
    for missing in ("nowhere.wav", "."):
        assert codes(asked("dsp-hpss", missing)["errors"]) == [("input_missing", None)]


def test_settings_have_the_runtimes_units_and_a_source(ask: Ask, plant: Plant) -> None:
    divisor = {
        "recommended_settings__overlap": 4,
        "settings_semantics__overlap": {"meaning_by_runtime": {"dsp": "divisor"}},
    }
    resolved = ask(plant(**divisor), "--set", "mask_power=1.5")["resolved"]
    assert (resolved["settings"]["overlap"], resolved["settings_unit"]["overlap"]) == (0.75, "ratio")
    assert resolved["settings_source"]["overlap"] == "model recommended_settings"
    assert (resolved["settings"]["mask_power"], resolved["settings_source"]["mask_power"]) == (1.5, "command line")
    assert resolved["settings_source"]["window_seconds"] == "runtime default"
    mine = ask(plant(**divisor), "--overlap", "0.5")["resolved"]
    assert (mine["settings"]["overlap"], mine["settings_source"]["overlap"]) == (0.5, "command line")
    assert resolved["settings"].keys() == resolved["settings_source"].keys() == resolved["settings_unit"].keys()


def test_users_setting_replaces_an_impossible_recommendation(ask: Ask, plant: Plant) -> None:
    registry = plant(recommended_settings__window_seconds=99)
    assert not ask(registry)["can_proceed"]
    assert ask(registry, "--set", "window_seconds=0.1")["can_proceed"]


def test_a_model_of_doubtful_trust_is_confined_or_refused(ask: Ask, plant: Plant) -> None:
    sandbox = ask(plant(trust="unreviewed"))
    assert sandbox["resolved"]["sandbox"]["required_level"] == "landlock"
    if sandbox["can_proceed"]:
        assert sandbox["resolved"]["sandbox"]["level"] in {"namespaces", "landlock"}
    else:
        assert "--allow-level" in json.dumps(sandbox["errors"])
    lowered = ask(plant(trust="unreviewed"), "--sandbox", "hygiene", "--allow-level", "hygiene")
    assert lowered["can_proceed"]
    assert lowered["resolved"]["sandbox"]["level"] == "hygiene"
    assert "sandbox_lowered" in [code for code, _ in codes(lowered["warnings"])]


def told(answer: Answer) -> str:
    return answer.out + answer.err


def test_for_people_it_fits_80_columns(cli: Cli, song: Path) -> None:
    done = cli("preflight", "dsp-hpss", song)
    assert done.code == 0
    assert done.out.startswith("dsp-hpss can run here\n")
    assert "overlap = 0.75 ratio (model recommended_settings)" in told(done)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is an accelerator")
def test_target_not_running_here_is_refused_with_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, song: Path
) -> None:
    folder = tmp_path / "runtimes" / "torchy"
    folder.mkdir(parents=True)
    (folder / "adapter.py").touch()
    (folder / "runtime.toml").write_text(
        'schema_version = 1\nid = "torchy"\ntitle = "T"\ndescription = "T."\naccelerators = ["cpu", "cuda"]\n'
        'packages = []\ndecodes = ["wav"]\nencodes = ["wav"]\n[torch]\nmin = "2.3"\n[python]\nmin = "3.10"\n'
        '[health]\nimports = ["torch"]\n[model_types.plain]\n'
    )
    runtime = {"allowed": ["torchy"], "preferred": "torchy", "model_type": "plain"}
    entry = {"id": "a-model", "name": "M", "architecture": "Other", "links": {}, "stems": ["one"], "runtime": runtime}
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({**json.loads(SHIPPED.read_bytes()), "models": [entry]}))
    monkeypatch.setattr(preflight_command, "data_dir", lambda name: tmp_path / name)
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "home"))
    platform = this_machine().platform

    def asked(enforcement: Literal["strict", "warn"]) -> PreflightReport:
        options = PlanOptions(registry_path=registry, target=f"{platform}-cu128", enforcement=enforcement)
        return plan_model("a-model", options).report

    refused = asked("strict")
    (error,) = [error for error in refused.errors if error.code == "accelerator_missing"]
    assert "no NVIDIA driver answers" in error.message
    insisted = asked("warn")
    assert "accelerator_missing" in [warning.code for warning in insisted.warnings]
    assert "accelerator_missing" not in [error.code for error in insisted.errors]
