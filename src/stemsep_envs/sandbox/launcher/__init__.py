"""The program that stands between the host and a worker: it confines the worker, then watches over it until its end.

It runs as ``python -I -S …/launcher/__main__.py``, with an empty environment and nothing but the standard library (kept
to the parts that import fast: a user waits for it). Its command line is the whole description of the confinement,
made by the pure functions of the levels; it decides nothing itself.

Its exit status is the worker's, or it dies by the signal that the worker died by. A few statuses are its own; a worker
that ends with one of those is told of as one that ended with 1.
"""

DISK_FULL = 120
"""The disk that the worker writes to is almost full, whoever filled it; the worker was killed."""

SETUP_FAILED = 121
"""The confinement could not be put in place; the worker was not started."""

TOO_MUCH_OUTPUT = 122
"""The worker wrote more than it may into its folder and was killed."""

HOST_GONE = 123
"""The process that started the launcher ended; the worker was killed."""

LAUNCHER_FAILED = 124
"""The launcher met with something that should not happen; the worker was killed."""

OWN_STATUSES = (DISK_FULL, SETUP_FAILED, TOO_MUCH_OUTPUT, HOST_GONE, LAUNCHER_FAILED)
