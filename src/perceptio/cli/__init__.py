"""The command `perceptio`: parse, call, print."""

from __future__ import annotations


def main() -> None:
    """Run the command line; errors of the user end in one sentence and a non-zero exit."""
    from perceptio.cli.app import app
    from perceptio.cli.errors import end_cleanly_on_sigterm, reporting, tolerate_any_text

    tolerate_any_text()
    end_cleanly_on_sigterm()
    with reporting():
        app(prog_name="perceptio")
