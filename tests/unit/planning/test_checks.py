"""The single questions of preflight that no shipped runtime raises: variants that do steps, files by hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stemsep_envs.artifacts.blobs import blob_path
from stemsep_envs.documents.base import validate
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.environments.environment_question import question_of
from stemsep_envs.environments.merging import merge, model_demand
from stemsep_envs.environments.pythons import PythonChoice
from stemsep_envs.errors import Reason
from stemsep_envs.host.paths import Home, data_dir
from stemsep_envs.planning import checks
from stemsep_envs.planning.artifact_status import ArtifactAnswers, answer_artifacts
from stemsep_envs.registry.catalogue import files_dir
from stemsep_envs.registry.recipes import load_runtime

Entry = Callable[..., ModelEntry]

STEPS = ["Replace the attention file.", "Write to the author."]


def with_variant(recipe: RuntimeRecipe) -> RuntimeRecipe:
    document = {
        **recipe.model_dump(mode="json", exclude_unset=True),
        "variants": {"own": {"description": "Its own files.", "performs": STEPS[:1]}},
    }
    return validate(document, RuntimeRecipe, origin="a recipe")


def test_steps_done_by_patches_are_not_asked_for(entry: Entry, recipe: RuntimeRecipe) -> None:
    model = entry(requirements__manual_steps=STEPS, runtime__variant="own")
    answers = checks.manual_steps(model, with_variant(recipe), confirmed=False)
    assert [status.status for status in answers.statuses] == ["ok", "missing"]
    assert "patches of variant own" in answers.statuses[0].reason
    assert [reason.path for reason in answers.reasons] == ["requirements.manual_steps[1]"]
    confirmed = checks.manual_steps(model, with_variant(recipe), confirmed=True)
    assert [status.reason for status in confirmed.statuses][1] == "confirmed with --confirm-manual-steps"
    assert confirmed.reasons == ()


def test_artifacts_are_here_by_hash_and_size(entry: Entry, tmp_path: Path) -> None:
    home, weights = Home(tmp_path), b"weights"
    digest = hashlib.sha256(weights).hexdigest()
    primary = {"kind": "checkpoint", "filename": "m.ckpt", "sha256": digest, "size_bytes": len(weights)}
    config = {"kind": "config", "filename": "c.yaml", "sha256": None}
    model = entry(artifacts={"primary": primary, "config": config, "additional": []})
    missing = answer_artifacts(model, home, files_below=None)
    assert [status.status for status in missing.statuses] == ["missing", "missing"]
    assert [reason.path for reason in missing.reasons] == ["artifacts.primary", "artifacts.config"]
    assert "no address" in missing.reasons[1].message
    blob_path(home, digest).parent.mkdir(parents=True)
    blob_path(home, digest).write_bytes(weights[:-1])
    assert answer_artifacts(model, home, files_below=None).statuses[0].status == "missing", "a part of it is not it"
    blob_path(home, digest).write_bytes(weights)
    here = answer_artifacts(model, home, files_below=None)
    assert [status.status for status in here.statuses] == ["ok", "missing"]
    assert [(record.name, record.sha256, path) for record, path in here.found] == [
        ("primary", digest, blob_path(home, digest))
    ]


@pytest.mark.parametrize(
    ("capabilities", "channels", "path"),
    [
        ({"supports_mono": True, "supports_stereo": True}, 1, "fits"),
        ({"supports_mono": None, "supports_stereo": None}, 1, "fits"),
        ({"supports_mono": False}, 1, "capabilities.supports_mono"),
        ({"supports_mono": False}, 2, "fits"),
        ({"supports_stereo": False}, 2, "capabilities.supports_stereo"),
        ({}, 6, None),
    ],
)
def test_channels(
    entry: Entry, recipe: RuntimeRecipe, capabilities: dict[str, bool | None], channels: int, path: str | None
) -> None:
    reasons = checks.channel_reasons(entry(capabilities=capabilities), recipe, channels)
    assert [reason.path for reason in reasons] == ([] if path == "fits" else [path])
    assert all(reason.code == "input_channels" for reason in reasons)


def test_what_may_be_overruled_is_a_judgement(entry: Entry) -> None:
    codes = json.loads(json.dumps(sorted(checks.OVERRIDABLE)))
    assert "artifact_missing" not in codes
    assert "python_unsatisfiable" not in codes
    assert "sandbox_level_missing" not in codes


def test_the_words_of_the_registry_against_a_model(entry: Entry) -> None:
    model = entry(compatibility__known_issues=["It hums.", "It clicks."], catalog_status="manual_only")
    warnings = list(checks.entry_warnings(model))
    assert [(warning.code, warning.path) for warning in warnings] == [
        ("known_issue", "compatibility.known_issues[0]"),
        ("known_issue", "compatibility.known_issues[1]"),
        ("not_verified", "catalog_status"),
    ]


def test_a_shipped_recipe_loads() -> None:
    assert load_runtime(data_dir("runtimes"), "dsp").recipe.id == "dsp"


@pytest.mark.parametrize("how", ["outside", "dots", "link", "archive"])
def test_a_registry_cannot_name_any_file_of_this_machine(entry: Entry, tmp_path: Path, how: str) -> None:
    home, secret, folder = Home(tmp_path / "home"), tmp_path / "secret", tmp_path / "registry"
    secret.write_bytes(b"a private key")
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "own").write_bytes(b"weights")
    (folder / "link").symlink_to(secret)
    url = {"dots": f"{folder.as_uri()}/../secret", "link": (folder / "link").as_uri()}.get(how, secret.as_uri())
    file = {"kind": "checkpoint", "filename": "m.ckpt", "url": url, **({"member": "m"} if how == "archive" else {})}

    def answer(file: Mapping[str, object], below: Path | None = folder) -> ArtifactAnswers:
        model = entry(artifacts={"primary": file})
        return answer_artifacts(model, home, files_below=below, policy="first-use")

    refused = answer(file)
    assert [(reason.code, reason.path) for reason in refused.reasons] == [("artifact_outside", "artifacts.primary")]
    assert "artifacts add --model dsp-hpss --name primary FILE" in (refused.reasons[0].hint or "")
    assert refused.to_fetch == ()
    assert len(answer({**file, "sha256": hashlib.sha256(b"a private key").hexdigest()}).to_fetch) == 1
    assert len(answer(file, below=None).to_fetch) == 1
    assert len(answer({**file, "url": (folder / "weights" / "own").as_uri()}).to_fetch) == 1
    (fetched,) = answer({**file, "mirrors": ["https://example.org/m.ckpt"]}).to_fetch
    assert [address.scheme for address in fetched.addresses] == ["https"]


def test_only_the_shipped_registry_may_name_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMSEP_ENV_REGISTRY", raising=False)
    assert files_dir(None) is None
    assert files_dir(tmp_path / "models.json") == tmp_path
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(tmp_path / "models.json"))
    assert files_dir(None) == tmp_path


def test_a_file_put_in_by_hand_must_have_its_hash(entry: Entry, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    primary = {"kind": "checkpoint", "filename": "m.safetensors", "sha256": digest, "size_bytes": 7}
    place = blob_path(Home(tmp_path), digest)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"strange")  # of the right size
    answers = answer_artifacts(entry(artifacts={"primary": primary}), Home(tmp_path), files_below=None)
    assert [status.status for status in answers.statuses] == ["missing"]
    assert answers.found == ()


@pytest.mark.parametrize(
    ("reason", "status", "torch"),
    [
        (Reason("packages_conflict", "said in any words", about=("numpy",)), "unsatisfiable", "will_install"),
        (Reason("torch_unsatisfiable", "no version of numpy", about=("torch",)), "will_install", "unsatisfiable"),
        (Reason("unsatisfiable", "nothing meets numpy", about=("torch",)), "will_install", "unsatisfiable"),
        (Reason("unsatisfiable", "a resolver that names nobody"), "unsatisfiable", "unsatisfiable"),
        (Reason("libc_not_supported", "the system is too old for numpy"), "will_install", "will_install"),
    ],
)
def test_statuses_follow_what_a_reason_is_about_not_its_words(
    reason: Reason, status: str, torch: str, recipe: RuntimeRecipe, tmp_path: Path
) -> None:
    wanted = merge(recipe, [model_demand("m", torch=("2.4", None), packages=["NumPy<2"])])
    question = question_of(recipe, wanted, parse_target("linux-x86_64-cpu"), locks_dir=tmp_path)
    plan = EnvironmentPlan(question, PythonChoice("3.12", None, "here"), None, None, None, "impossible", (reason,))
    found = checks.torch_status(plan)
    assert found is not None
    assert [item.status for item in (*checks.package_statuses(plan), found)] == [status, torch]
