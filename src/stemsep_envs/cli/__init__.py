"""The command line: parse, print, exit code; nothing else.

`entry` is what the console script calls; `ensure_cache` answers the commonest question without loading the rest; `app`
is the frame that every command runs in; `verb_group` the tree of commands, which is the files of `verbs`. `console`
prints; `progress` shows events.
"""
