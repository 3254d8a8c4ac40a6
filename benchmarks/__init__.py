"""How fast it is, measured side by side: ``python -m benchmarks --help``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Servers and ports are those of the tests.
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
