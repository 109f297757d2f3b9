"""Every document this program reads or writes, as frozen pydantic models; no I/O.

``base`` parses (all problems at once, each with a dotted path), ``canonical`` digests, ``schemas`` lists the models
whose JSON Schemas are committed under ``schemas/``. The other modules hold one document each.

A document is declared in pydantic's words, which come from ``fields``: pydantic itself is loaded when a value is not
plainly right (``fast_path``), or a schema is asked for (``pydantic_models``). Take those words from ``fields``, never
from pydantic: a field that is declared with pydantic's own makes every command that reads it load all of pydantic.
"""
