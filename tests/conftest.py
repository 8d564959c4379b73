"""What every test run says first."""

import attar


def pytest_report_header() -> str:
    config = attar.show_config("dicts")
    return f"attar {config['attar']}: {config['isa']}, {config['threads']} threads"
