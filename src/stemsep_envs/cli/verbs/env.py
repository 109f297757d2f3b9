"""List, show and tend built environments."""
