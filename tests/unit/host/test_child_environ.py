"""What passes to child processes, by the table, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from stemsep_envs.environments.builders.with_pip import pip_environment
from stemsep_envs.environments.engines.git import git_environment
from stemsep_envs.environments.uv import uv_environment
from stemsep_envs.host.child_environ import TABLE, ChildProgram, passed_variables, private_variables
from stemsep_envs.host.paths import Home

PROGRAMS: tuple[ChildProgram, ...] = get_args(ChildProgram)

LEADS_ELSEWHERE = {
    **dict.fromkeys(("LD_PRELOAD", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "BASH_ENV"), "x"),
    **dict.fromkeys(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_TEMPLATE_DIR"), "x"),
    **dict.fromkeys(("UV_CONSTRAINT", "UV_OVERRIDE", "UV_RESOLUTION", "UV_LINK_MODE", "UV_PYTHON"), "x"),
    **dict.fromkeys(("PIP_TARGET", "PIP_CONSTRAINT", "PIP_REQUIRE_HASHES", "PIP_NO_DEPS", "PIP_USER"), "x"),
    **dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "STEMSEP_SECRET"), "x"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_leads_elsewhere_passes_to_nobody(program: ChildProgram) -> None:
    assert passed_variables(program, LEADS_ELSEWHERE) == {}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_row_passes_to_its_programs_alone(program: ChildProgram) -> None:
    for row in TABLE:
        environ = {name.replace("*", "_X"): "value" for name in row.names}
        assert row.reason
        assert passed_variables(program, environ) == (environ if program in row.programs else {})


def test_no_variable_stands_in_two_rows() -> None:
    names = [name for row in TABLE for name in row.names]
    assert len(names) == len(set(names))


def test_names_match_without_regard_to_case() -> None:
    assert passed_variables("git", {"https_proxy": "p", "git_dir": "x"}) == {"https_proxy": "p"}


def test_tools_reach_the_network_as_the_user_has_arranged(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://proxy", "SSL_CERT_FILE": "/company.pem", "HOME": "/home/me", **LEADS_ELSEWHERE}
    for passed in (
        uv_environment(environ),
        pip_environment(environ, Home(tmp_path)),
        git_environment(environ, offline=False),
    ):
        assert passed["HTTPS_PROXY"] == "http://proxy"
        assert passed["SSL_CERT_FILE"] == "/company.pem"
        assert not passed.keys() & LEADS_ELSEWHERE.keys()


def test_a_confined_program_sees_nothing_of_the_users(tmp_path: Path) -> None:
    environ = {name.replace("*", "_X"): "theirs" for row in TABLE for name in row.names if name != "SYSTEMROOT"}
    private = private_variables(environ, home=tmp_path, temporary=tmp_path / "tmp", path="/bin")
    assert "theirs" not in private.values()
    assert private["HOME"] == private["USERPROFILE"] == str(tmp_path)
    assert private["TMPDIR"] == private["TEMP"] == private["TMP"] == str(tmp_path / "tmp")
