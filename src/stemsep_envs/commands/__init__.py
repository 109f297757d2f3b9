"""One file a verb, named after it, and the Python interface; a verb composes what is below and is short.

`env_list` is ``stemsep-env env list``, `registry_lint` is ``stemsep-env registry lint``, and so on; `api` is for
Python. What verbs share is below: `planning` (what a model needs, host facts, lock requests), `provisioning` (locks,
files, environments made), `separation` (sessions and runs), and the parts. No verb imports another.
"""
