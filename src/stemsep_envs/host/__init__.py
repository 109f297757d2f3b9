"""The only code that touches the machine: processes, files, locks, interpreters, accelerators."""
