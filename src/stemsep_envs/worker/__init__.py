"""The process inside an environment, and our side of the conversation with it.

Host side: `session` (one worker from start to stop), `messages` (its lines, parsed as the hostile input they are), `log`
(what it prints), `naming` (where stems will go, planned before anything runs) and `ingest` (taking finished stems from
its scratch folder).

Inside the environment: `entry.py` and the folder ``inside``, which know nothing of this package and are never imported
by it.
"""
