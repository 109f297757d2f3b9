"""Every command for programs: with --json there is one document on stdout, valid against its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import CHECKOUT, SHIPPED, Cli, schema

from stemsep_envs import __version__

pytestmark = pytest.mark.integration


def test_doctor(cli: Cli) -> None:
    report = cli("doctor", "--json").document("doctor")
    assert (report["version"], report["registry"]) == (__version__, str(SHIPPED))
    assert "dsp" in report["runtimes"]
    assert report["home"]["environments"] >= 1
    assert report["interpreters"]
    assert [level["level"] for level in report["sandbox"]][-1] == "hygiene"
    assert {accelerator["accelerator"] for accelerator in report["accelerators"]} >= {"cpu"}


def test_doctor_where_nothing_is(cli: Cli, empty_home: Path) -> None:
    nowhere: dict[str, Any] = {
        "STEMSEP_ENV_HOME": str(empty_home),
        "STEMSEP_ENV_REGISTRY": "/nowhere/models.json",
        "PATH": "/nowhere",
    }
    done = cli("doctor", "--json", **nowhere)
    report = done.document("doctor")
    assert (done.code, report["registry_models"], report["home"]["exists"]) == (0, None, False)
    assert "registry_missing" in [finding["code"] for finding in report["advice"]]
    told = cli("doctor", **nowhere)
    assert (told.code, "unset STEMSEP_ENV_REGISTRY" in told.err) == (0, True)


def test_ensure(cli: Cli) -> None:
    first = cli("ensure", "dsp-hpss", "dsp-centre-side", "dsp-hpss", "--json").document("ensure")
    assert [model["model_id"] for model in first["models"]] == ["dsp-hpss", "dsp-centre-side"]
    assert len({model["environment"] for model in first["models"]}) == 1
    assert all(model["reused"] for model in first["models"])
    assert Path(first["models"][0]["python"]).exists()
    remembered = cli("ensure", "dsp-hpss", "--json").document("ensure")
    assert remembered["models"] == first["models"][:1]


def test_environments(cli: Cli) -> None:
    ours = cli("ensure", "dsp-hpss", "--json").document("ensure")["models"][0]["environment"]
    there = {found["digest"]: found for found in cli("env", "list", "--json").document("env.list")["environments"]}
    listed = there[ours]  # other tests keep theirs in the same home
    assert listed["state"] == "whole"
    assert listed["built_for"]
    for name in (listed["digest"], listed["digest"][:8]):
        shown = cli("env", "show", name, "--json").document("env.show")
        assert shown["receipt"]["digest"] == listed["digest"]
    cli("env", "show", "0000000", "--json").error("unknown_environment", 2)
    told = cli("env", "list")
    assert listed["digest"][:12] in told.out
    assert listed["digest"] in cli("env", "show", listed["digest"][:8]).out


def test_an_empty_home_has_no_environments(cli: Cli, empty_home: Path) -> None:
    assert cli("env", "list", "--json", STEMSEP_ENV_HOME=str(empty_home)).document("env.list")["environments"] == []
    assert cli("env", "list", STEMSEP_ENV_HOME=str(empty_home)).code == 0
    assert not empty_home.exists()


def test_the_registry(cli: Cli) -> None:
    listed = cli("registry", "list", "--json").document("registry.list")
    assert {"dsp-hpss", "dsp-hpr", "dsp-centre-side"} <= {model["id"] for model in listed["models"]}
    assert listed["warnings"] == []
    centre = cli("registry", "list", "--json", "--stem", "centre").document("registry.list")
    assert [model["id"] for model in centre["models"]] == ["dsp-centre-side"]
    assert cli("registry", "list", "--json", "--runtime", "no").document("registry.list")["models"] == []
    shown = json.loads(cli("registry", "show", "dsp-hpss", "--json").out)
    assert shown in json.loads(SHIPPED.read_bytes())["models"]
    for arguments in ([], [SHIPPED], ["--registry", SHIPPED]):
        report = cli("registry", "validate", *arguments, "--json").document("registry.validate")
        assert (report["path"], report["warnings"]) == (str(SHIPPED), [])
        assert report["model_count"] == len(listed["models"])
    cli("registry", "show", "dsp-hps", "--json").error("unknown_model", 2)


def test_a_model_that_is_not_there_has_its_nearest_names(cli: Cli, song: Path) -> None:
    for command in (
        ["run", "dsp-hps", str(song), "-o", "out"],
        ["ensure", "dsp-hps"],
        ["preflight", "dsp-hps"],
        ["registry", "show", "dsp-hps"],
    ):
        error = cli(*command, "--json").error("unknown_model", 2)
        assert "dsp-hpss" in error["hint"]
        assert "dsp-hps'" in error["message"]
    assert "registry list" in cli("ensure", "zzz", "--json").error("unknown_model", 2)["hint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["no-such-command"],
        ["run"],
        ["run", "dsp-hpss"],
        ["ensure"],
        ["env"],
        ["env", "show"],
        ["registry", "no-such-command"],
        ["completion", "tcsh"],
        ["preflight", "dsp-hpss", "--enforce", "never"],
        ["run", "dsp-hpss", "-o", "out", "--start", "now"],
    ],
)
def test_wrong_usage_is_a_document_too(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments, "--json")
    assert done.code == 2
    if done.out:
        assert done.error("usage", 2)["hint"]
    else:  # a command that needs another one after it shows what there is
        assert "Usage: " in done.err


def test_words_for_people_go_to_stderr_beside_json(cli: Cli, song: Path) -> None:
    done = cli("run", "dsp-hpss", song, "-o", "out", "--json", "-v")
    done.document("run")
    assert "2 stems in" in done.err


PLANTED: dict[str, Callable[[dict[str, Any]], object]] = {
    "models[1].id": lambda entry: entry.update(id="Not An Id"),
    "models[1].runtime.allowed": lambda entry: entry["runtime"].update(allowed="dsp"),
    "models[1].requirements.python.min": lambda entry: entry["requirements"]["python"].update(min="three"),
    "models[1].stems[1]": lambda entry: entry.update(stems=["a", None]),
    "models[1].links": lambda entry: entry.update(links=5),
    "models[1].requirements.pip.packages[0]": lambda entry: entry["requirements"]["pip"].update(packages=["@@@"]),
    "models[1].phase_fix.is_valid_reference": lambda entry: entry["phase_fix"].update(is_valid_reference="maybe"),
    "models[1].vram_required": lambda entry: entry.update(vram_required=-1),
    "models[1].trust": lambda entry: entry.update(trust="blind"),
}


def test_all_mistakes_are_listed_and_the_good_model_works(cli: Cli, plant: Callable[..., Path], song: Path) -> None:
    other = json.loads(plant().read_text())["models"][0]
    for change in PLANTED.values():
        change(other)
    registry = plant(other, 7)
    body = cli("registry", "validate", registry, "--json").error("invalid_document", 2)
    assert {finding["path"] for finding in body["findings"]} == {*PLANTED, "models[2]"}
    told = cli("registry", "validate", registry)
    assert all(f"- {path}: " in told.err for path in PLANTED)
    record = cli("run", "planted", song, "-o", "out", "--registry", registry, "--json").document("run")
    assert (record["status"], record["model"]["id"]) == ("done", "planted")
    listed = cli("registry", "list", "--registry", registry, "--json").document("registry.list")
    assert [model["id"] for model in listed["models"]] == ["planted"]
    assert [finding["path"] for finding in listed["warnings"]] == ["models[1].id", "models[2].id"]


def test_a_wrong_entry_names_its_own_mistakes_only(cli: Cli, plant: Callable[..., Path]) -> None:
    registry = plant(5, stems=[1], requirements__python={"min": "three"})
    body = cli("preflight", "planted", "--registry", registry, "--json").error("invalid_document", 2)
    assert [finding["path"] for finding in body["findings"]] == [
        "models[0].stems[0]",
        "models[0].requirements.python.min",
    ]


def test_tomorrows_fields_are_kept_and_told(cli: Cli, plant: Callable[..., Path]) -> None:
    registry = plant(mood={"colour": "blue"}, runtime__engine_age=3)
    report = cli("registry", "validate", registry, "--json").document("registry.validate")
    assert {warning["path"] for warning in report["warnings"]} == {"models[0].mood", "models[0].runtime.engine_age"}
    shown = json.loads(cli("registry", "show", "planted", "--registry", registry).out)
    assert (shown["mood"], shown["runtime"]["engine_age"]) == ({"colour": "blue"}, 3)
    assert cli("preflight", "planted", "--registry", registry).code == 0


HOSTILE = {
    "empty": b"",
    "zeros": b"\0" * 100,
    "a list": b"[]",
    "cut short": SHIPPED.read_bytes()[:1000],
    "deep": b"[" * 100_000,
    "a key twice": b'{"version": "2.0", "version": "2.0", "models": []}',
    "a number without end": b'{"version": "2.0", "models": [], "x": ' + b"9" * 100_000 + b"}",
    "not a number": b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [], "x": NaN}',
    "latin-1": '{"version": "2.0", "models": [], "x": "é"}'.encode("latin-1"),
    "utf-16": '{"version": "2.0", "models": []}'.encode("utf-16"),
    "half a character": b'{"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [], "x": "\\ud800"}',
    "terminal codes": b'{"version": "\\u001b[31m\\u202e", "models": []}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_is_no_registry(cli: Cli, kind: str) -> None:
    (cli.cwd / "hostile.json").write_bytes(HOSTILE[kind])
    done = cli("registry", "validate", "hostile.json", "--json")
    assert done.error("invalid_document", 2)["findings"]
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err
    assert cli("preflight", "planted", "--registry", "hostile.json", "--json").code == 2


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_a_registry_that_cannot_be_read(cli: Cli, name: str) -> None:
    for arguments in (["validate", name], ["list", "--registry", name], ["show", "dsp-hpss", "--registry", name]):
        done = cli("registry", *arguments, "--json")
        assert done.document("error")["error"]["code"] in {"registry_missing", "registry_unreadable"}
        assert done.code == 2
    assert cli("ensure", "dsp-hpss", "--json", STEMSEP_ENV_REGISTRY=name).code == 2


def test_text_of_a_registry_cannot_steer_the_terminal(cli: Cli, plant: Callable[..., Path]) -> None:
    bad = "\x1b]0;owned\x07\x1b[2J\u202e evil\nsecond line"
    registry = plant(
        name=bad, architecture=bad, stems=[bad], compatibility__known_issues=[bad], requirements__manual_steps=[bad]
    )
    for arguments in (
        ["registry", "list"],
        ["registry", "show", "planted"],
        ["registry", "validate"],
        ["preflight", "planted"],
        ["ensure", "planted"],
    ):
        done = cli(*arguments, "--registry", registry)
        assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err), (arguments, done)


def test_every_published_schema_is_one(cli: Cli) -> None:
    for path in (CHECKOUT / "schemas").glob("*.schema.json"):
        assert schema(path.name.removesuffix(".schema.json"))["$schema"].endswith("2020-12/schema")


def test_lint(cli: Cli, tmp_path: Path) -> None:
    rules = cli("registry", "lint", "--rules", "--json").document("registry.lint.rules")["rules"]
    assert {rule["severity"] for rule in rules} == {"error", "warning", "info"}
    entry = {"id": "a-model", "name": "A", "architecture": "VR", "links": {}, "metrics": {"sdr": 0}}
    entry["runtime"] = {"allowed": ["nowhere"]}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [entry]}))
    done = cli("registry", "lint", str(path), "--fix", "--json")
    assert done.code == 2
    report = done.document("registry.lint")
    assert [finding["code"] for finding in report["fixed"]] == ["metric_zero"]
    told = cli("registry", "lint", str(path))
    assert told.code == 2
    assert "runtime_unreachable" in told.out
    cli("registry", "lint", str(path), "--output", "x", "--json").error("usage", 2)
