"""Tab completion, as a shell asks for it."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from tests.integration.conftest import PROGRAM, Cli

pytestmark = pytest.mark.integration


def words(cli: Cli, line: str, **environ: Any) -> list[str]:
    """What bash would be offered at the end of a line."""
    parts = line.split(" ")
    done = cli(COMP_WORDS=line, COMP_CWORD=str(len(parts) - 1), _STEMSEP_ENV_COMPLETE="bash_complete", **environ)
    assert done.err == ""
    return [answer.partition(",")[2] for answer in done.out.splitlines() if answer]


def test_commands_options_models_and_choices(cli: Cli) -> None:
    assert {"run", "ensure", "preflight", "env", "registry", "doctor", "completion"} <= set(words(cli, "stemsep-env "))
    assert words(cli, "stemsep-env run dsp-") == ["dsp-hpss", "dsp-hpr", "dsp-centre-side"]
    assert words(cli, "stemsep-env preflight dsp-c") == ["dsp-centre-side"]
    assert words(cli, "stemsep-env ensure dsp-hpss dsp-hpr") == ["dsp-hpr"]
    assert words(cli, "stemsep-env registry show dsp-hpr") == ["dsp-hpr"]
    assert words(cli, "stemsep-env registry v") == ["validate"]
    assert "--existing" in words(cli, "stemsep-env run --ex")
    assert words(cli, "stemsep-env run --existing ") == ["skip", "error", "overwrite", "rename"]
    assert words(cli, "stemsep-env completion z") == ["zsh"]


def test_completion_asks_the_registry_in_use_or_is_silent(cli: Cli) -> None:
    assert words(cli, "stemsep-env run d", STEMSEP_ENV_REGISTRY="/nowhere.json") == []
    (cli.cwd / "broken.json").write_text("{")
    assert words(cli, "stemsep-env run d", STEMSEP_ENV_REGISTRY=str(cli.cwd / "broken.json")) == []
    assert words(cli, "stemsep-env run d", STEMSEP_ENV_HOME="not/absolute") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(cli: Cli, shell: str) -> None:
    done = cli("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_STEMSEP_ENV_COMPLETE={shell}_complete" in done.out
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=done.out.encode(), check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes(cli: Cli) -> None:
    script = """
eval "$(stemsep-env completion bash)"
complete -p stemsep-env >&2
COMP_WORDS=(stemsep-env run dsp-) COMP_CWORD=2
_stemsep_env_completion stemsep-env
printf '%s\\n' "${COMPREPLY[@]}"
"""
    environ = {**cli.environ, "PATH": f"{PROGRAM.parent}:{cli.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environ, cwd=cli.cwd, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["dsp-hpss", "dsp-hpr", "dsp-centre-side"]
