"""Weights, configs and patch files: fetched, verified, and kept by hash in the home.

    artifacts/sha256/aa/<hash>     the files, read-only
    artifacts/index/<key>.json     what an address stands for: a hash, a size, and how they are known
    artifacts/stamps/<hash>        the file as it was when its hash was last taken; its time of change: last used
    artifacts/partial/             downloads that were begun, each with what tells its version
    artifacts/converted/           safetensors forms of checkpoints
    artifacts/uses/                which files live sessions use
    artifacts/damaged/             files that were not what their name says
    holds/artifact-<key>           the lock of whoever fetches or puts in a file

`wanted` says what a model's entry asks for, `index` and `blobs` what is known and here, `sources` how an address is
reached, `fetching` brings what is missing; `adding`, `tending` serve the commands.
"""
