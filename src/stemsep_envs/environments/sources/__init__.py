"""Building from source what a runtime lists by name, confined.

Neither uv nor pip ever builds anything: they would run code of the distribution's, and of whatever it builds with, as
the user. Here a source distribution is found where the indexes have it (`finding`), fetched as data and held to its
hash (`fetching`), unpacked and built by its own backend in a sandbox without a network (`backend`, and `inside`, the
program that runs there), in an environment of its build requirements that is itself locked (`workshop`), and its wheel
is taken by descriptor and installed like any other, by hash (`building`). What it declares, which a resolver must know,
is found out in the same way (`declaring`); `declared` reads both kinds of text.
"""
