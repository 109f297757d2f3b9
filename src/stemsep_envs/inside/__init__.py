"""What runs inside an environment, or confined: never on the host's side, which starts these files by their path.

It runs on Python 3.8 and later, imports nothing of the package that starts it, and is not imported by it. Programs:

    entry          the worker: serves one session over JSON-RPC (the library below)
    convert        converts a checkpoint in pickle form (`checkpoints`); the standard library alone
    build_backend  unpacks a source distribution and calls its build backend; the standard library alone
    probe          tries what a sandbox must prevent; the standard library alone

The library is the half of a worker that is the same in every environment: protocol, audio in and out, one track's way
through. It takes numpy and soundfile from the environment; `soxr` (resampling) and `av` (what libsndfile cannot read,
and AAC) are imported when a track needs them.

    request_loop   the session: requests in order, cancel at any time, gone when the host is
      inbox, messages, params     lines to requests, in a thread of its own; replies and notifications
      adapters     loads an adapter; the `context` that it is given
      capabilities what this environment has, for `initialize`
      separation   one track: input range → source → model → sinks → files
        audio_reading, audio_decoding     audio files as blocks of float32
        resampling, source                what the model reads
        stems, gain                       what it writes: peaks, one gain for all stems
        audio_encoding, wav, quantizing   formats, bit depths and dither
        output_files                      files that vanish unless they are finished
      checkpoints  pickles made into data, and data read as what the pickle would have been
    failures, memory

The adapter interface
---------------------

A runtime's `adapter.py`, or its folder `adapter/` with an `__init__.py`, is loaded by path. It imports its engine,
never this package; what it needs comes as arguments. It has two functions:

`describe() -> dict`
    `packages`: names of the distributions whose versions identify the engine. `devices`: what `load` accepts here,
    such as `["cpu", "cuda:0"]`. Other keys are the adapter's own.

`load(request, context) -> model`
    `request` is the `load` request as it came: `model` (`id`, `model_type`, `variant`, `architecture`), `artifacts`
    (by name: `path`, absolute; `filename`, which the engine knows it by; `kind`; `format`), `device`, `settings`
    (resolved values by name). Returns an object with

    `stems`        names, in the order of the outputs
    `sample_rate`  in hertz, or None: it works at the rate of its input
    `channels`     the channel counts that it accepts
    `settings`     the settings in effect, as JSON values
    `separate(source, sinks, context)`

`separate` reads `source` to its end and writes each of `sinks`:

    source.sample_rate, source.channels
    source.frames       how many there will be, or None while the file does not say; may shrink if it is cut short
    source.read(n)      float32 (frames, channels): n frames, fewer only at the end, then none
    source.read_all()   the rest in one array, for engines that need the whole track; memory then grows with it
    sinks[stem].write(block)   float32 (frames, channels) at the model's rate with the source's channels, any block size

Only the requested stems are in `sinks`; computing others is optional. Each must receive exactly as many frames as
were read. Samples may pass full scale, and must be finite.

`context` is the same in both calls:

    context.progress(done_frames, total_frames)   cheap; call it as often as is convenient
    context.check_cancelled()    raises when the host has cancelled; call it at least about once a second, let it pass
    context.log(level, message)  level: debug, info, warning or error
    context.read_checkpoint(artifact)   what torch.load would have given for the file of an artifact (one value of
                                 `request["artifacts"]`): containers, values and tensors as they were; whatever else
                                 was in it as `Inert` records with `name`, `args` and `state`. Nothing is unpickled.
                                 A file that is safetensors by origin gives its tensors by name. Tensors are mapped
                                 from the file: assign them (`load_state_dict(..., assign=True)`), or copy
    context.fail(kind, message, hint=None)   raises; for what the user can do something about. `kind` is one of
                                             `failures.KINDS`, usually `unsupported_setting` or `model_failed`

Any other exception is reported as `model_failed` with its traceback, `MemoryError` and torch's out-of-memory errors as
`out_of_memory`; the session goes on.
"""
