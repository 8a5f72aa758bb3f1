"""Photographs the dashboard of a running server: the program itself makes the picture of its documentation.

python scripts/dashboard_picture.py http://127.0.0.1:9090 docs/images/dashboard.png
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1280, 900


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """The system's Chromium, without a window and with a profile of its own."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


def photograph(browser: Browser, admin: str, target: Path) -> None:
    """Write the whole page, as it is once it is live, as PNG."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
    page.goto(f"{admin}/dashboard")
    page.wait_for_selector("#live:has-text('live')")
    page.screenshot(path=target, full_page=True)
    page.close()


if __name__ == "__main__":
    with chromium("/usr/bin/chromium") as running:
        photograph(running, sys.argv[1], Path(sys.argv[2]))
