"""One file a verb: its options, and how its result is printed.

A new verb is a file here, with its line of help as the first of its docstring and a click command called ``command``,
and a file of the same name in `stemsep_envs.commands` that does it. See `stemsep_envs.cli.verb_table` for the names.
"""
