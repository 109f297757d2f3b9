"""The host's side of the conversation with a worker, the process inside an environment.

`connection` has a worker from start to stop, `deadlines` says how long it may take, `messages` parses its lines as the
hostile input they are, `reply_queue` and `log` bound what it sends and prints, `failures` makes one error of however it
fails, and `ingest` takes finished stems from its scratch folder. The worker's own side is the package ``inside``.
"""
