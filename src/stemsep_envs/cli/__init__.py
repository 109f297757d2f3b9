"""The command line: parse, print, exit code; nothing else.

`entry` is what the console script calls; `remembered` answers the commonest question without loading the rest; `app` is
the tree of commands; `console` prints; `progress` shows events. The other modules hold the verbs.
"""
