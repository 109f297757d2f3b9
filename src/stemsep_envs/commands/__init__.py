"""One function a verb; composes the parts below.

The way through: `plan` (preflight: the whole answer, before anything is done) -> `ensure` (environment, artifacts) ->
`session` (a loaded model) -> `run` (tracks, by `jobs`) -> `records` (what exactly happened). `api` is for Python.
"""
