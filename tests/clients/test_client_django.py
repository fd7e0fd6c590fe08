"""The Django storage and template tags: the tests of a real project against a running server, by Django's own
runner. They are in django_project/gallery/tests.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import generate_clients
from client_site import Site

PROJECT = Path(__file__).parent / "django_project"


def test_the_projects_tests_pass(site: Site) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(generate_clients.PYTHON.parent),
        "IMAGES_URL": site.address,
        "IMAGES_TOKEN": site.token,
        "IMAGES_SOURCE": site.source,
        "IMAGES_SIGNING_KEY": site.signing_key,
    }
    command = [sys.executable, "-W", "error", "manage.py", "test", "--no-input"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\nOK" in done.stderr
    assert "skipped" not in done.stderr
