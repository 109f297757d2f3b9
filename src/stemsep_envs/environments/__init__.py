"""Environments: from requirements to a whole, healthy folder that every model with the same needs shares.

The way through, and the module of each step::

    demands ── merging.merge ── requirements
    what is here ── targets.choose_target ── target
    both ── plan.plan_environment ── plan: interpreter, lock and digest as far as they are known, and the state
    plan ── ensure.ensure_environment ── environment: used as it is, or built

Below these: `pythons` chooses the interpreter, `locking` finds and resolves locks, `torch_index` says where torch
comes from, `building` stages and publishes, `linking` and `health` are its two careful parts, `sources` builds
confined what comes as source, `store` knows what is in the home and who uses it, `uv` calls uv. Importing this package
imports none of them: start-up time is a contract.
"""
