"""attar beside its peers: the same work, the same threads, one process, checked equal first."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository. Everything that is kept, and every link, is relative to it."""
