"""What confines a worker.

`policy` says what a worker may do, as data; a `Level` turns that into a command line. `levels` is the table of levels,
strongest first, and chooses the one a run uses. What a level really holds is measured by probing, per axis, never
inferred from its name.
"""
