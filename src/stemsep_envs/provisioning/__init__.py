"""A plan made real: files fetched, checkpoints converted, engine patched, environment built."""
