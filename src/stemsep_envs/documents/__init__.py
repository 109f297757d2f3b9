"""Every document this program reads or writes, as frozen pydantic models; no I/O.

``base`` parses (all problems at once, each with a dotted path), ``canonical`` digests, ``schemas`` lists the models
whose JSON Schemas are committed under ``schemas/``. The other modules hold one document each.
"""
