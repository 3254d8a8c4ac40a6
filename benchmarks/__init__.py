"""How fast it is, measured side by side: ``python -m benchmarks --help``."""
