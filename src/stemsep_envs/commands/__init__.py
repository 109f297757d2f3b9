"""One function a verb; composes the parts below.

The way through: `preflight` (the whole answer, as a `plan`) -> `ensure` (environment, artifacts) ->
`session` (a loaded model) -> `run` (tracks, by `jobs`) -> `records` (what exactly happened). `api` is for Python.
"""
