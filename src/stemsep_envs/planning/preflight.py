"""Preflight: the whole answer to "will this model run here, how, and if not why", before anything is done.

`plan_model` resolves a model as far as it can and collects every reason against it; what comes out is the report for
people and programs and, when the model may run, the `Plan` that `ensure` and `run` carry out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.environments.environment_plan import EnvironmentPlan, plan_environment
from stemsep_envs.environments.environment_question import question_of
from stemsep_envs.errors import Reason
from stemsep_envs.host.accelerators import detect, memory_gb
from stemsep_envs.host.paths import Home, data_dir, default_registry_path, find_home, is_shipped
from stemsep_envs.planning import checks
from stemsep_envs.planning.confinement import choose_confinement
from stemsep_envs.planning.judgement import FileAnswers, answer_files, judge, refusal
from stemsep_envs.planning.plan import Plan, PlanOptions, Preflight, ResolvedModel
from stemsep_envs.planning.requirements import device_reasons, requirements_of
from stemsep_envs.planning.target_choice import choose_model_target
from stemsep_envs.registry.catalogue import catalogue_at
from stemsep_envs.registry.recipes import known_runtimes, load_runtime
from stemsep_envs.registry.routing import check_recipe, choose_runtime
from stemsep_envs.registry.settings import resolve_settings

AskResolver = Callable[[EnvironmentPlan, Home, bool], tuple[EnvironmentPlan, tuple[Reason, ...]]]
"""Gives an environment's plan a lock where it has none, or says why there is none; told the home, and whether the
network is forbidden. It is not known here what resolves."""


def plan_model(
    model_id: str, options: PlanOptions, *, input_path: Path | None = None, resolve: AskResolver | None = None
) -> Preflight:
    """Resolve a model for this machine without building, fetching or starting anything.

    Args:
        model_id: The registry's id.
        options: What the user says.
        input_path: An audio file whose header is checked against the model.
        resolve: Asked where no lock is there yet, for who wants to be certain.

    Raises:
        UsageError: Unknown model (with the nearest names), a target that is none, settings the model does not have.
        InvalidDocumentError: The registry entry or the runtime's recipe is wrong.
        MismatchError: A lock that ships with the runtime was changed.
    """
    home = find_home()
    catalogue = catalogue_at(options.registry_path)
    entry = catalogue.get(model_id)
    runtimes_dir = data_dir("runtimes")
    known = known_runtimes(runtimes_dir)
    route = choose_runtime(entry, options.runtime, known)
    reasons = [*route.reasons, *checks.weights_reasons(entry)]
    if options.phase_fix_reference is not None:
        reasons += checks.phase_fix_reasons(catalogue.get(options.phase_fix_reference))
    if route.runtime is None or route.runtime not in known:
        return refusal(model_id, reasons)
    runtime = load_runtime(runtimes_dir, route.runtime)
    unfit = check_recipe(entry, runtime.recipe) or device_reasons(entry, runtime.recipe)
    if unfit:
        return refusal(model_id, [*reasons, *unfit])
    requirements = requirements_of(entry, runtime.recipe)
    accelerators = detect(runtime.recipe.accelerators)
    chosen = choose_model_target(options.target, requirements, accelerators)
    if chosen.target is None:
        return refusal(model_id, [*reasons, *chosen.reasons])
    model = ResolvedModel(
        home=home,
        options=options,
        entry=entry,
        entry_sha256=digest_of(entry.model_dump(mode="json", exclude_unset=True)),
        runtime=runtime,
        runtime_reason=route.chosen_by,
        model_type=entry.runtime.model_type_on(runtime.recipe.id) or "",  # `check_recipe` refuses one without
        requirements=requirements,
        target=chosen.target,
        target_reason=chosen.why,
        settings=resolve_settings(
            entry,
            runtime.recipe,
            options=options.options,
            assignments=options.assignments,
            vram_gb=memory_gb(chosen.target.accelerator, accelerators),
        ),
        sandbox=choose_confinement(
            entry,
            runtime.recipe,
            home=home,
            trusted_registry=options.registry_path is None and is_shipped(default_registry_path()),
            gpu=not chosen.target.family.is_processor,
            asked=options.sandbox_level,
            allowed=options.allow_level,
        ),
        manual_steps=checks.manual_steps(entry, runtime.recipe, confirmed=options.confirm_manual_steps),
        input=checks.input_answer(entry, runtime.recipe, input_path),
        reasons=(*reasons, *chosen.reasons),
    )
    files = answer_files(model)
    environment = plan_for(model, files, anew=resolve is not None)
    if resolve is None:
        return judge(model, files, environment)
    environment, doubts = resolve(environment, home, options.offline)
    return judge(model, files, environment, doubts)


def plan_again(plan: Plan) -> Preflight:
    """Plan a model once more when files of it have come since: only what depends on them is found anew."""
    files = answer_files(plan.model)
    same_engine = (files.engine and files.engine.digest) == (plan.engine and plan.engine.digest)
    environment = plan.environment if same_engine else plan_for(plan.model, files)
    return judge(plan.model, files, environment)


def plan_for(model: ResolvedModel, files: FileAnswers, *, anew: bool = False) -> EnvironmentPlan:
    """Return the environment that serves a model, as far as it is known what its engine is."""
    engine = files.engine
    question = question_of(
        model.runtime.recipe,
        model.requirements,
        model.target,
        locks_dir=model.runtime.locks_dir,
        engine_digest=engine.digest if engine else None,
        engine_known=engine is None or engine.digest is not None,
        builder=model.options.builder,
    )
    return plan_environment(question, home=model.home, anew=anew)
