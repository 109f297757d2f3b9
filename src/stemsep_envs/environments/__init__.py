"""Environments: from requirements to a whole, healthy folder that every model with the same needs shares.

The way through, and the module of each step::

    demands ── merging.merge ── requirements
    what is here ── targets.choose_target ── target
    both ── environment_plan.plan_environment ── plan: interpreter, lock and digest as far as known, and the state
    plan ── reuse_or_build.ensure_environment ── environment: used as it is, or built

Below these: `pythons` chooses the interpreter, `locking` finds locks and `resolving` makes them, `torch_index` says
where torch comes from, `building` stages and publishes, `linking` and `health` are its two careful parts, `sources`
builds confined what comes as source, `environment_store` knows what is in the home and who uses it, `uv` calls uv.
Importing this package imports none of them: start-up time is a contract.
"""
