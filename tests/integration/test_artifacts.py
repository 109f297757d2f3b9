"""Files of models, as a user meets them: planned, fetched, recorded, put in by hand, looked after."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.integration.conftest import Cli, Plant, valid
from tests.programs.file_server import Exchange, FileServer, answers, running

pytestmark = pytest.mark.integration

WEIGHTS = os.urandom(300_000)
SHA = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG = b"audio:\n  chunk_size: 8\n"
OFFER = Callable[..., str]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as made:
        yield made


@pytest.fixture
def user(cli: Cli, tmp_path: Path, dsp_home: Path) -> Cli:
    """The command line with a home of its own that has the shared home's environment, and no files of models."""
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.mkdir()
    for name in ("environments", "holds", "locks"):
        (home / name).symlink_to(dsp_home / name)
    return Cli(
        tmp_path, {**cli.environ, "STEMSEP_ENV_HOME": str(home), "STEMSEP_ENV_STALL_SECONDS": "120", "no_proxy": "*"}
    )


def home_of(user: Cli) -> Path:
    return Path(user.environ["STEMSEP_ENV_HOME"])


def artifact(url: str | None, filename: str = "model.onnx", **fields: Any) -> dict[str, Any]:
    return {"kind": "onnx", "filename": filename, "sha256": None, "size_bytes": None, "url": url, **fields}


def with_files(plant: Plant, **files: Any) -> str:
    return str(plant(artifacts={"primary": None, "config": None, "additional": [], **files}))


def statuses(user: Cli, registry: str, *options: str) -> dict[str, tuple[str, str | None]]:
    report = user("preflight", "planted", "--registry", registry, "--json", *options).document("preflight")
    return {item["name"]: (item["status"], item["trust"]) for item in report["resolved"]["artifacts"]}


def test_a_run_fetches_what_is_missing_and_records_it(user: Cli, server: FileServer, plant: Plant, song: Path) -> None:
    registry = with_files(
        plant,
        primary=artifact(server.serve("/w", WEIGHTS), sha256=SHA, size_bytes=len(WEIGHTS)),
        config=artifact(server.serve("/c", CONFIG), "config.yaml"),
    )
    arguments = ("run", "planted", "song.wav", "-o", "out", "--registry", registry, "--unknown-hash", "first-use")
    assert statuses(user, registry, "--unknown-hash", "first-use") == {
        "primary": ("will_fetch", "registry"),
        "config": ("will_fetch", None),
    }
    ran = user(*arguments, "--json", "--events", "jsonl")
    assert ran.code == 0, ran.err
    events = [valid(json.loads(line), "event") for line in ran.err.splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"][:1] == ["fetch"]
    told = [transfer for event in events if event["event"] == "fetch" for transfer in event["transfers"]]
    assert {transfer["filename"] for transfer in told} == {"model.onnx", "config.yaml"}
    record = ran.document("run")
    assert [(each["name"], each["sha256"], each["trust"], each["url"]) for each in record["artifacts"]] == [
        ("primary", SHA, "registry", server.url("/w")),
        ("config", hashlib.sha256(CONFIG).hexdigest(), "first-use", server.url("/c")),
    ]
    asked = len(server.asked)
    assert user(*arguments, "--json").track()["status"] == "skipped", "the first run knew its settings digest"
    for path in (home_of(user) / "artifacts" / "sha256").rglob("*"):
        if path.is_file():
            path.unlink()
    assert user(*arguments, "--json").track()["status"] == "skipped", "what is known need not be here for that"
    assert len(server.asked) == asked
    assert statuses(user, registry) == {"primary": ("will_fetch", "registry"), "config": ("will_fetch", "first-use")}


def test_a_changed_file_makes_another_request_of_it(user: Cli, server: FileServer, plant: Plant, song: Path) -> None:
    registry = with_files(plant, primary=artifact(server.serve("/w", WEIGHTS)))
    arguments = ("run", "planted", "song.wav", "-o", "out", "--registry", registry, "--unknown-hash", "first-use")
    assert user(*arguments).code == 0
    (user.cwd / "new.onnx").write_bytes(WEIGHTS[::-1])
    add = ("artifacts", "add", "--url", server.url("/w"), "new.onnx", "--registry", registry, "--json")
    user(*add).error("artifact_changed", 4)
    added = user(*add, "--replace").document("artifacts.add")
    assert (added["trust"], added["replaced_sha256"]) == ("added", SHA)
    assert user(*arguments, "--json").track()["error"]["code"] == "output_exists"


def test_unknown_hashes(user: Cli, server: FileServer, plant: Plant) -> None:
    registry = with_files(plant, primary=artifact(server.serve("/w", WEIGHTS)))
    body = user("ensure", "planted", "--registry", registry, "--json").error("blocked", 6)
    (finding,) = body["findings"]
    assert (finding["code"], finding["path"]) == ("artifact_unknown_hash", "artifacts.primary")
    assert "artifacts add --model planted --name primary FILE" in finding["hint"]
    assert "--unknown-hash first-use" in finding["hint"]
    report = user("preflight", "planted", "--registry", registry, "--json", STEMSEP_ENV_UNKNOWN_HASH="first-use")
    warnings = {warning["code"]: warning["path"] for warning in report.document("preflight")["warnings"]}
    assert warnings["artifact_first_use"] == "artifacts.primary"
    user("ensure", "planted", "--registry", registry, "--json", STEMSEP_ENV_UNKNOWN_HASH="often").error("usage", 2)
    https = with_files(plant, primary=artifact("https://localhost:1/x.ckpt"))
    assert statuses(user, https) == {"primary": ("will_fetch", None)}
    refused = user("ensure", "planted", "--registry", https, "--unknown-hash", "refuse", "--json").error("blocked", 6)
    assert [finding["code"] for finding in refused["findings"]] == ["artifact_unknown_hash"]
    assert server.asked == []


def test_an_authenticated_host_is_trusted_once(user: Cli, plant: Plant) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(user.cwd / "company.pem"))
    with running(context) as secure:
        registry = with_files(plant, primary=artifact(secure.serve("/w", WEIGHTS)))
        ensure = ("ensure", "planted", "--registry", registry, "--json")
        user(*ensure).error("download_untrusted", 5)
        company: dict[str, Any] = {"SSL_CERT_FILE": str(user.cwd / "company.pem")}
        assert "(artifact_first_use)" in user("preflight", "planted", "--registry", registry).err
        assert user(*ensure, **company).code == 0
        assert statuses(user, registry) == {"primary": ("ok", "first-use")}
        assert "(artifact_first_use)" not in user("preflight", "planted", "--registry", registry).err
        for path in (home_of(user) / "artifacts" / "sha256").rglob(SHA):
            path.unlink()
        secure.serve("/w", WEIGHTS[::-1])
        assert "artifacts add --url" in user(*ensure, **company).error("artifact_changed", 4)["hint"]


def test_a_session_keeps_its_files(user: Cli, server: FileServer, plant: Plant) -> None:
    registry = with_files(plant, primary=artifact(server.serve("/w", WEIGHTS), sha256=SHA))
    program = """
import subprocess, sys
from pathlib import Path
from stemsep_envs import open_session
from stemsep_envs.planning.plan import PlanOptions
with open_session("planted", options=PlanOptions(registry_path=Path(sys.argv[1]))):
    sys.exit(subprocess.run([*sys.argv[2:], "artifacts", "gc", "--max-age", "0", "--yes"]).returncode)
"""
    session = Cli(user.cwd, user.environ, (sys.executable, "-c", program, registry, *user.prefix))
    done = session()
    assert done.code == 0, done
    (path,) = (home_of(user) / "artifacts" / "sha256").rglob(SHA)
    assert path.is_file()
    assert user("artifacts", "gc", "--max-age", "0", "--yes").code == 0
    assert not path.exists()


def test_offline_says_all_that_is_missing(
    user: Cli, server: FileServer, plant: Plant, shipped_entry: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "near.onnx").write_bytes(WEIGHTS)
    other = {**shipped_entry, "id": "other", "artifacts": {"primary": artifact("hf://a/b@main/c.ckpt")}}
    registry = str(
        plant(
            other,
            artifacts={
                "primary": artifact(server.url("/w"), sha256=SHA),
                "config": artifact("s3://bucket/config.yaml", "config.yaml"),
                "additional": [artifact((tmp_path / "near.onnx").as_uri(), "near.onnx")],
            },
        )
    )
    body = user("ensure", "planted", "other", "--registry", registry, "--offline", "--json").error("blocked", 6)
    assert [(finding["code"], finding["path"]) for finding in body["findings"]] == [
        ("artifact_missing", "artifacts.primary"),
        ("artifact_missing", "artifacts.config"),
        ("artifact_missing", "artifacts.primary"),
    ]
    assert all("artifacts add --url" in finding["hint"] for finding in body["findings"])
    assert statuses(user, registry, "--offline")["additional[0]"] == ("will_fetch", None), "it is on this machine"


def test_a_machine_without_internet_is_seeded(user: Cli, server: FileServer, plant: Plant, song: Path) -> None:
    registry = with_files(
        plant,
        primary=artifact(server.url("/w"), sha256=SHA, size_bytes=len(WEIGHTS)),
        config=artifact(None, "config.yaml"),
    )
    (user.cwd / "w").write_bytes(WEIGHTS)
    (user.cwd / "c").write_bytes(CONFIG)
    (user.cwd / "wrong").write_bytes(WEIGHTS[:-1])
    (user.cwd / "page").write_bytes(b"<!doctype html><html>Sign in</html>")
    add = ("artifacts", "add", "--registry", registry, "--json")
    user(*add, "--url", server.url("/w"), "wrong").error("artifact_mismatch", 4)
    user(*add, "--model", "planted", "page").error("not_the_file", 2)
    user(*add, "--model", "planted", "--name", "nothing", "w").error("artifact_unknown", 2)
    for unreadable in ("gone", ".", "/dev/zero"):
        user(*add, "--model", "planted", unreadable).error("usage", 2)
    user(*add, "w").error("usage", 2)
    user(*add, "--url", "https://huggingface.co/a/b/blob/main/x", "w").error("usage", 2)
    added = user(*add, "--url", server.url("/w"), "w").document("artifacts.add")
    assert (added["sha256"], added["trust"], added["used_by"]) == (
        SHA,
        "registry",
        [{"model_id": "planted", "name": "primary", "filename": "model.onnx"}],
    )
    added = user(*add, "--model", "planted", "--name", "config", "c").document("artifacts.add")
    assert added["trust"] == "added"
    assert statuses(user, registry) == {"primary": ("ok", "registry"), "config": ("ok", "added")}
    assert user("run", "planted", "song.wav", "-o", "out", "--registry", registry, "--offline").code == 0
    assert server.asked == []


def test_files_are_listed_verified_and_collected(user: Cli, server: FileServer, plant: Plant) -> None:
    registry = with_files(
        plant,
        primary=artifact(server.serve("/w", WEIGHTS), sha256=SHA),
        config=artifact(server.serve("/c", CONFIG), "config.yaml"),
    )
    ensure = ("ensure", "planted", "--registry", registry, "--unknown-hash", "first-use")
    assert user(*ensure).code == 0
    listing = user("artifacts", "list", "--registry", registry, "--json").document("artifacts.list")
    by_name = {item["used_by"][0]["name"]: item for item in listing["artifacts"]}
    assert by_name["primary"]["sha256"] == SHA
    assert by_name["config"]["origins"][0]["trust"] == "first-use"
    assert all(item["state"] == "here" and item["last_used"] for item in by_name.values())
    assert listing["total_bytes"] == len(WEIGHTS) + len(CONFIG)
    shown = user("artifacts", "list", "--registry", registry)
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert "config.yaml of planted" in shown.out

    assert user("artifacts", "verify", "--json").document("artifacts.verify")["ok"]
    path = Path(by_name["primary"]["path"])
    path.chmod(0o644)
    path.write_bytes(WEIGHTS[:-1] + b"\0")
    verified = user("artifacts", "verify", SHA[:8], "--json")
    assert verified.code == 4
    (damaged,) = verified.document("artifacts.verify")["artifacts"]
    assert Path(damaged["set_aside"]).is_file()
    user("artifacts", "verify", "0" * 8, "--json").error("artifact_unknown", 2)
    assert statuses(user, registry)["primary"] == ("will_fetch", "registry")
    assert user(*ensure).code == 0
    assert user("artifacts", "verify").code == 0

    empty = str(plant(name="empty.json"))
    would = user("artifacts", "gc", "--unused", "--dry-run", "--registry", empty, "--json").document("artifacts.gc")
    assert sorted(item["kind"] for item in would["removed"]) == ["artifact", "artifact", "damaged"]
    assert path.is_file()
    kept = user("artifacts", "gc", "--registry", empty, "--json").document("artifacts.gc")
    assert [item["kind"] for item in kept["removed"]] == ["damaged"]
    freed = user("artifacts", "gc", "--unused", "--yes", "--registry", empty, "--json").document("artifacts.gc")
    assert (freed["freed_bytes"], freed["remaining_bytes"]) == (len(WEIGHTS) + len(CONFIG), 0)
    listing = user("artifacts", "list", "--registry", registry, "--json").document("artifacts.list")
    assert {item["state"] for item in listing["artifacts"]} == {"gone"}


def test_what_a_host_answers_is_said(user: Cli, server: FileServer, plant: Plant) -> None:
    def ensure(file: dict[str, Any]) -> Any:
        return user("ensure", "planted", "--registry", with_files(plant, primary=file), "--json")

    body = ensure(artifact(server.url("/gone"), sha256=SHA)).error("download_missing", 5)
    assert "404" in body["message"]
    mirrors = [server.on("/a", answers(403)), server.on("/b", answers(200, b"<html>", Content_Type="text/html"))]
    body = ensure(artifact(server.url("/gone"), sha256=SHA, mirrors=mirrors)).error("download_failed", 5)
    assert [line.split()[0] for line in body["output"].splitlines()] == [server.url("/gone"), *mirrors]
    ensure(artifact(server.serve("/w", WEIGHTS), sha256="0" * 64)).error("artifact_mismatch", 4)
    page = artifact("https://huggingface.co/a/b/blob/main/c.ckpt")
    (finding,) = ensure(page).error("blocked", 6)["findings"]
    assert finding["code"] == "artifact_is_page"
    (finding,) = ensure(artifact(None)).error("blocked", 6)["findings"]
    assert finding["code"] == "artifact_missing"
    slow = artifact(server.on("/slow", Exchange.stall), sha256=SHA)
    registry = with_files(plant, primary=slow)
    limits: dict[str, Any] = {"STEMSEP_ENV_STALL_SECONDS": "0.3", "STEMSEP_ENV_FETCH_ATTEMPTS": "1"}
    user("ensure", "planted", "--registry", registry, "--json", **limits).error("download_stalled", 7)


def test_nothing_is_fetched_for_what_cannot_be_resolved(user: Cli, server: FileServer, plant: Plant) -> None:
    files = {"primary": artifact(server.serve("/w", WEIGHTS), sha256=SHA)}
    registry = str(plant(artifacts=files, requirements__pip__packages=["no-such-package-here==1.0"]))
    done = user("ensure", "planted", "--registry", registry, "--json", UV_NO_INDEX="1", UV_FIND_LINKS="")
    assert done.code == 5, done
    assert server.asked == []


def test_a_wrong_size_in_the_registry_is_said_to_be_that(user: Cli, server: FileServer, plant: Plant) -> None:
    file = artifact(server.serve("/w", WEIGHTS), sha256=SHA, size_bytes=len(WEIGHTS) + 1)
    registry = with_files(plant, primary=file)
    body = user("ensure", "planted", "--registry", registry, "--json").error("artifact_metadata_conflict", 4)
    assert "right file by its sha256" in body["message"]
    (finding,) = user("ensure", "planted", "--registry", registry, "--json").error("blocked", 6)["findings"]
    assert finding["code"] == "artifact_metadata_conflict"
    assert user("ensure", "planted", "--registry", registry, "--enforce", "warn").code == 0
    assert len(server.asked) == 1


def test_an_interrupted_download_is_continued(user: Cli, server: FileServer, plant: Plant) -> None:
    url = server.serve("/w", WEIGHTS, stop_after=100_000, then="stall")
    registry = with_files(plant, primary=artifact(url, sha256=SHA))
    started = user.start("ensure", "planted", "--registry", registry)
    parts = home_of(user) / "artifacts" / "partial"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(path.stat().st_size == 100_000 for path in parts.glob("*.part")):
            break
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert b"Traceback" not in err
    assert user("ensure", "planted", "--registry", registry).code == 0
    assert [asked.first_byte for asked in server.asked] == [None, 100_000]
    assert list(parts.iterdir()) == []


def test_a_remembered_answer_rests_on_the_files(user: Cli, server: FileServer, plant: Plant) -> None:
    registry = with_files(plant, primary=artifact(server.serve("/w", WEIGHTS), sha256=SHA))
    variables: dict[str, Any] = {"STEMSEP_ENV_REGISTRY": registry}
    assert user("ensure", "planted", **variables).code == 0
    time.sleep(2.1)  # what changed just now is not remembered
    assert user("ensure", "planted", **variables).code == 0
    memory = home_of(user) / "cache" / "ensure" / "planted"
    assert memory.is_file()
    (path,) = (path for path in (home_of(user) / "artifacts" / "sha256").rglob("*") if path.is_file())
    path.unlink()
    asked = len(server.asked)
    assert user("ensure", "planted", **variables).code == 0
    assert len(server.asked) == asked + 1
