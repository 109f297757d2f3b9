"""`doctor`: what this host offers, and what to do for more."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator

from stemsep_envs._version import __version__
from stemsep_envs.documents.doctor_report import AcceleratorFacts, DoctorReport
from stemsep_envs.documents.reports import Finding
from stemsep_envs.host.accelerators import detect, usable_accelerators
from stemsep_envs.host.machine import memory_bytes, this_machine
from stemsep_envs.host.paths import Home, data_dir, default_registry_path, find_home
from stemsep_envs.planning import host_facts
from stemsep_envs.planning.host_advice import advice_for
from stemsep_envs.registry.recipes import known_runtimes
from stemsep_envs.separation.scratch import abandoned


def examine_host() -> DoctorReport:
    """Look at this host; nothing is changed but caches.

    Raises:
        BlockedError: Nothing can run on this platform.
    """
    home = find_home()
    home_facts = host_facts.home_facts(home)  # first, since looking at the rest keeps what it finds there
    machine = this_machine()
    interpreters = host_facts.interpreter_facts(home)
    found = detect()
    usable = usable_accelerators(found, machine.platform)
    levels = host_facts.level_facts(home)
    return DoctorReport(
        version=__version__,
        python=platform.python_version(),
        platform=machine.platform,
        processor_count=os.cpu_count(),
        memory_bytes=memory_bytes(),
        home=home_facts,
        registry=str(default_registry_path()),
        registry_models=host_facts.model_count(),
        runtimes=known_runtimes(data_dir("runtimes")),
        accelerators=tuple(AcceleratorFacts(accelerator=item.accelerator, why=item.why) for item in usable),
        unusable=host_facts.unusable_accelerators(found, usable, machine.platform),
        targets=tuple(host_facts.runtime_targets(usable, machine.platform)),
        interpreters=interpreters,
        uv=host_facts.uv_version(),
        container_engine=shutil.which("docker") or shutil.which("podman"),
        sandbox=levels,
        advice=(*advice_for(home_facts, interpreters, levels), *_leftovers(home)),
    )


def _leftovers(home: Home) -> Iterator[Finding]:
    for path in abandoned(home):
        yield Finding(
            code="scratch_left",
            message=f"a session that was killed left {path}",
            hint="the next session removes it, and so does `stemsep-env env gc`",
        )
