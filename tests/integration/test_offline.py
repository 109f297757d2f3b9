"""With a warmed home nothing needs a network: proven where there is none. All that is missing is said at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("builds")]

PROGRAM = Path(sysconfig.get_path("scripts")) / "stemsep-env"


def without_network() -> list[str]:
    """Return the command that runs another without any network, or nothing where that cannot be."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        return []
    for options in (["--net"], ["--net", "--map-root-user"]):
        done = subprocess.run([unshare, *options, "true"], capture_output=True, check=False)
        if done.returncode == 0:
            return [unshare, *options]
    return []


def call(*arguments: str, network: bool, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    prefix = [] if network else without_network()
    return subprocess.run(
        [*prefix, str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environ or {})},
        timeout=240,
    )


@pytest.mark.skipif(not without_network(), reason="this host has no network namespaces for us")
def test_a_warmed_home_does_everything_without_a_network(isolated: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", np.random.default_rng(2).normal(0, 0.1, (22050, 2)), 44100)
    warmed = call("ensure", "dsp-hpss", network=True)
    assert warmed.returncode == 0, warmed.stderr
    for offline in (["--offline"], []):  # also those who do not say it make no call
        for arguments in (
            ["ensure", "dsp-hpr", *offline],
            ["preflight", "dsp-centre-side", *offline],
            ["run", "dsp-hpss", str(tmp_path / "song.wav"), "-o", str(tmp_path / f"out{len(offline)}"), *offline],
            ["lock", "dsp-hpss", *offline],
            ["lock", "--all", "--check"],
            ["env", "list"],
            ["env", "verify"],
            ["doctor"],
        ):
            done = call(*arguments, network=False)
            assert done.returncode == 0, (arguments, done.stderr)
    shutil.rmtree(isolated / "environments")  # the package cache is enough to build again
    rebuilt = call("ensure", "dsp-hpss", "--offline", "--json", network=False)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert json.loads(rebuilt.stdout)["models"][0]["reused"] is False


@pytest.mark.skipif(not without_network(), reason="this host has no network namespaces for us")
def test_what_is_missing_is_said_at_once(isolated: Path, tmp_path: Path) -> None:
    nothing = {"UV_CACHE_DIR": str(tmp_path / "empty"), "UV_FIND_LINKS": ""}
    done = call("ensure", "dsp-hpss", "--offline", "--json", network=False, environ=nothing)
    assert done.returncode == 5, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "offline"
    for name in ("av", "cffi", "numpy", "pycparser", "soundfile", "soxr"):
        assert f"{name} " in error["output"]

    several = call("ensure", "dsp-hpss", "dsp-hpr", "--offline", "--json", network=False, environ=nothing)
    assert "2 of 2 environments are not available offline" in json.loads(several.stdout)["error"]["message"]

    unlocked = call("lock", "dsp-hpss", "--python", "3.10", "--upgrade", "--output", str(tmp_path / "out"), "--offline",
                    "--json", network=False, environ=nothing)  # fmt: skip
    assert unlocked.returncode == 5
    (answer,) = json.loads(unlocked.stdout)["locks"]
    assert [finding["code"] for finding in answer["findings"]] == ["offline"]
