"""From a plan to stems: inputs, names, sessions, the tracks of a run, publishing, records."""
