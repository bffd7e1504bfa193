"""Chromium, as Debian packages it, driven by playwright; axe-core, which checks accessibility."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.regenerate import ROOT

AXE = "axe-core@4.14.1"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def binary() -> str | None:
    """Return the path of Chromium, where there is one."""
    return next((path for path in map(shutil.which, _NAMES) if path is not None), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium in the block; skip without one, or fail where it must be there."""
    path = binary()
    if path is None:
        reason = "Chromium is not installed: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and this run must not skip it (CI)")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # Its sandbox needs rights that a container has not; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def axe() -> Path:
    """Return the script of axe-core; the first call installs it, or skips where npm cannot."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: it fetches axe-core")
    folder = ROOT / ".cache" / "axe"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--fetch-retries", "0"]
        done = subprocess.run(
            [*install, "--prefix", str(folder), AXE], capture_output=True, text=True, check=False
        )
        if done.returncode and "CI" not in os.environ:
            pytest.skip(f"npm cannot install axe-core: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
    return script
