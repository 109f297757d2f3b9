"""Finding defects in registry files, ours or anybody's: what is valid by the schema and wrong all the same.

`subject` is what rules look at, `files`, `running` and `catalogue` hold the rules, `rules` the table of them, `linting`
applies them, and `fixing` changes what can be changed safely.
"""
