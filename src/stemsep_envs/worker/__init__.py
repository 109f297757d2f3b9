"""The process inside an environment, and our side of the conversation with it.

Host side: `session` (one worker from start to stop), `messages` (its lines, parsed as the hostile input they are),
`streams` and `log` (what it says and prints, bounded), `failures` (what its failures become), `naming` (where stems
will go, planned before anything runs) and `ingest` (taking finished stems from its scratch folder).

Inside the environment: `entry.py` and the folder ``inside``, which know nothing of this package and are never imported
by it.
"""
