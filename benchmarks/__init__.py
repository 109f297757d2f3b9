"""Measuring this package against what a user would run instead.

What each row means is in docs/reference/performance.md.

`main` chooses rows and prints them; `rows_*` say what is run; `measure` times it in alternating pairs; `place` makes a
clean installation and a home to measure in; `report` prints and stores. `direct.py` runs inside an environment: the
engine without anything of ours around it.
"""
