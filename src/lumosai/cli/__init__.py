"""The command line, `lumosai …`. Each command has its own file and imports what it needs when it runs."""

from __future__ import annotations


def main() -> None:
    """The program: reads `sys.argv`, runs a command, and leaves with its exit code."""
    from lumosai.cli.root import program

    program()
