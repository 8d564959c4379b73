"""What every test run says first."""

import pytest

import attar
from tests.browser import chromium, explore  # noqa: F401  fixtures


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
