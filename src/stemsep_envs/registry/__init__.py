"""The catalogue of models and the runtimes that can execute them.

`catalogue` finds entries, `recipes` finds runtimes, `routing` chooses a runtime for an entry, `settings` resolves how
it runs.
"""
