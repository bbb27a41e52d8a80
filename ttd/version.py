"""The version of ttd.

Imports nothing.
"""

VERSION = "0.1.0"
"""As in pyproject.toml; to ask ``importlib.metadata`` takes 30 ms."""
