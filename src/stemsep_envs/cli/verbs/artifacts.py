"""Put in, list and verify weights, configs and patch files."""
