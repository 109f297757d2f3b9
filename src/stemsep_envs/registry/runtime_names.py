"""Names of runtimes that a registry uses and that have no recipe here: misspelt, or not of this version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.errors import Reason
from stemsep_envs.registry.catalogue import nearest


def unknown_runtimes(models: Iterable[ModelEntry], known_runtimes: Collection[str]) -> Iterator[Reason]:
    """Find the runtimes that entries may run on and that have no recipe here.

    Args:
        models: All entries, in the order of the registry.
        known_runtimes: Ids of the runtimes that have a recipe here.

    Yields:
        A reason for each name with its dotted path in the registry, and one more for an entry that cannot run at all
        because none of its runtimes is here.
    """
    here = f"runtimes here: {', '.join(sorted(known_runtimes)) or 'none'}"
    for index, entry in enumerate(models):
        allowed, preferred = entry.runtime.allowed, entry.runtime.preferred
        named = [(f"allowed[{place}]", name) for place, name in enumerate(allowed)]
        named += [("preferred", preferred)] if preferred is not None else []
        for field, name in named:
            if name not in known_runtimes:
                near = nearest(name, tuple(sorted(known_runtimes)))
                hint = f"did you mean {' or '.join(near)}?" if near else here
                words = f"there is no recipe for the runtime {name} here"
                yield Reason("runtime_unknown", words, hint=hint, path=f"models[{index}].runtime.{field}")
        if allowed and not set(allowed) & set(known_runtimes):
            words = f"{entry.id} cannot run here: none of the runtimes that it allows has a recipe"
            yield Reason("runtime_unknown", words, hint=here, path=f"models[{index}].runtime.allowed")
