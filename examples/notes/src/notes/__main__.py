"""``python -m notes``: the server over standard input and output."""

from __future__ import annotations

from argparse import ArgumentParser


def main() -> None:
    """Serve until the client closes its end; exits with 2 if the environment names no release."""
    parser = ArgumentParser(
        prog="python -m notes", description="Serves notes over standard input and output."
    )
    parser.parse_args()
    try:
        from notes.server import server
    except ValueError as fault:
        parser.error(str(fault))
    server.run("stdio")


if __name__ == "__main__":
    main()
