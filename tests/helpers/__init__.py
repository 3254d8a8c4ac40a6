"""What tests share. Fixtures are in ``conftest.py``."""
