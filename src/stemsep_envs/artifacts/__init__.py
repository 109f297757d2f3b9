"""Weights, configs and patch files: found by hash in the home."""
