"""What every test run says first, and in which order it runs what."""

import os
import zlib

import pytest

import attar
from tests.browser import chromium, explore  # noqa: F401  fixtures

# Two files at a time: the longest first, so that none of them is alone at the end.
LONGEST = ("test_isas", "test_batch_kills", "test_gradients", "test_repair", "test_batch_ray")


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))
    # The same tests once more, on another instruction set or with sanitizers: a part of them, by a
    # hash, since every n-th in a row may have one dtype. ATTAR_EVERY=1 is all of them.
    every = int(os.environ.get("ATTAR_EVERY", "1"))
    items[:] = [item for item in items if zlib.crc32(item.name.encode()) % every == 0]


def pytest_report_header() -> str:
    config = attar.show_config("dicts")
    return f"attar {config['attar']}: {config['isa']}, {config['threads']} threads"


@pytest.fixture
def shell(capsys):
    """Call a command as from a shell; what it prints never shows Python's own traces."""

    from attar import cli

    def call(*arguments):
        status = cli.main([*arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return call
