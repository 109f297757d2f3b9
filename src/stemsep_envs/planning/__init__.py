"""From a model's id to a plan, with nothing touched: route, requirements, settings, files, sandbox.

Every reason against a model is collected on the way; begin reading at `preflight`.
"""
