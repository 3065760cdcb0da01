"""Run the tests of Label Studio against a real one, in an environment of its own.

It takes a gigabyte and some minutes. Where it cannot be installed the tests are left out, aloud.
LABEL_STUDIO_VENV names an environment that has it already.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENV = Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".label-studio"))
VERSION = "label-studio==1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"  # as in tests/studio.py
WAIT = 600  # seconds; the first start of a new folder makes its tables


def install():
    """Have Label Studio, or say that it cannot be had."""
    if (VENV / "bin" / "label-studio").exists():
        return True
    commands = (
        [sys.executable, "-m", "venv", str(VENV)],
        [str(VENV / "bin" / "pip"), "install", "--quiet", VERSION],
    )
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            print(f"\n*** LEFT OUT: {VERSION} cannot be installed; nothing was tested. ***\n")
            return False
    return True


def wait_for(server, url):
    """Wait until the server answers."""
    for _ in range(WAIT):
        if server.poll() is not None:
            sys.exit(f"Label Studio has ended with {server.returncode}.")
        try:
            with urllib.request.urlopen(f"{url}/api/version/", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    sys.exit(f"Label Studio does not answer after {WAIT} seconds.")


def main():
    """Start a server with an empty folder, and run the tests on it."""
    if not install():
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        started = [str(VENV / "bin" / "label-studio"), "start", "--no-browser"]
        started += ["--internal-host", "127.0.0.1", "-p", str(port), "--data-dir", folder]
        started += ["--username", "ann@example.com", "--password", "secret-pass-1"]
        started += ["--user-token", TOKEN, "--enable-legacy-api-token", "--log-level", "ERROR"]
        quiet = {"LATEST_VERSION_CHECK": "false", "COLLECT_ANALYTICS": "false", "SENTRY_DSN": ""}
        quiet |= {"FRONTEND_SENTRY_DSN": "", "HOME": folder, "LABEL_STUDIO_BASE_DATA_DIR": folder}
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                started, env=os.environ | quiet, cwd=folder, stdout=output, stderr=output
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(server, url)
            tests = [sys.executable, "-m", "pytest", "-q", "tests/tools/test_label_studio.py"]
            env = os.environ | {"LABELNEXT_LABEL_STUDIO": url}
            sys.exit(subprocess.run(tests, cwd=ROOT, env=env, check=False).returncode)
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
