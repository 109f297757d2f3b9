"""List, show, check and correct the models."""
