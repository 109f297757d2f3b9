"""`env adopt`: use an interpreter that is there in place of building an environment."""

from __future__ import annotations

from stemsep_envs.documents.adopt_report import AdoptReport
from stemsep_envs.environments.adopting import adopt
from stemsep_envs.environments.environment_store import environment_dir
from stemsep_envs.host.paths import find_home
from stemsep_envs.provisioning.adoption import AdoptOptions, plan_adoption


def adopt_interpreter(options: AdoptOptions) -> AdoptReport:
    """Check an interpreter against what a model needs, and use it from now on.

    Raises:
        BlockedError: It does not meet the requirements; carries every reason.
        BuildError: A module does not import.
        UsageError: It does not answer; an unknown model or target.
    """
    home = find_home()
    receipt = adopt(plan_adoption(options, home=home), home=home)
    return AdoptReport(model_id=options.model_id, dir=str(environment_dir(home, receipt.digest)), receipt=receipt)
