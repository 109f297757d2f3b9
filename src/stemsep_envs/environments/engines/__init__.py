"""Engines: source trees of a commit or an archive, with a variant's patches; named by content, read-only, shared.

The way through, and the module of each step::

    source and patches ── documents.engine.engine_inputs ── inputs; their digest is the engine's name
    commit ── commits (over git, git_objects) ──┐
    archive ── archives ────────────────────────┴─ members ── writing.write_members ── tree
    tree, patches, files they bring (supplied) ── patches.apply_patches (over unified_diff) ── changed files
    changed tree ── writing.seal ── read-only ── receipt ── published

`ensure` is the whole of it, under a lock; `store` knows what is in the home and compares it with what was built;
`names` judges names and links. Importing this package imports none of them: start-up time is a contract.
"""
