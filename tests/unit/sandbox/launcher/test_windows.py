"""What can be said of Windows without one: the limits of a job."""

from __future__ import annotations

from stemsep_envs.sandbox.launcher.windows import limits_for


def test_a_job_ends_with_its_launcher_and_has_its_limits() -> None:
    limits = limits_for(1000, 7)
    assert limits.basic.limit_flags == 0x2000 | 0x200 | 0x8
    assert (limits.job_memory, limits.basic.active_processes) == (1000, 8)
    assert limits_for(0, 0).basic.limit_flags == 0x2000
