"""Measuring this package against what a user would run instead; what each row means is in docs/performance.md.

`main` chooses rows and prints them; `rows_*` say what is run; `measure` times it in alternating pairs; `place` makes a
clean installation and a home to measure in; `report` prints and stores. `direct.py` runs inside an environment: the
engine without anything of ours around it.
"""
