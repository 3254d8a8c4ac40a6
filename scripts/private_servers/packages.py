"""Installing what the tests need from Debian and npm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .base import ServiceError
from .output import say

POLICY = Path("/usr/sbin/policy-rc.d")

CLIENTS = {
    "7z": "p7zip-full",
    "bsdtar": "libarchive-tools",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "curl": "curl",
    "firefox-esr": "firefox-esr",
    "node": "nodejs",
    "npm": "npm",
    "unzip": "unzip",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
    "wget": "wget",
    "zsh": "zsh",
}
"""Programs that the tests call, and the packages that have them."""

NODE = Path(__file__).parents[2] / "tests" / "node"
"""The folder whose ``package-lock.json`` names the packages of Node that the tests call."""


def install(missing: Sequence[str]) -> None:
    """Install packages, without starting the services that come with them.

    :param missing: Names of the packages.
    :raises ServiceError: If they cannot be installed here.
    """
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ServiceError(f"installing {' and '.join(missing)} needs apt-get and root")
    say(f"Installing {' and '.join(missing)} ...")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    ours = not POLICY.exists()
    if ours:
        # Debian's way to keep packages from starting their services.
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(
                apt + command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            if done.returncode:
                raise ServiceError(f"apt-get {command[0]} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")
    finally:
        if ours:
            POLICY.unlink()


def install_node_packages(folder: Path = NODE) -> None:
    """Install the packages of Node that a folder names, unless they are there, or there is no npm.

    :param folder: The folder; by default that of the tests.
    :raises ServiceError: If they cannot be installed.
    """
    wanted, there = folder / "package-lock.json", folder / "node_modules" / "installed-package-lock.json"
    if not shutil.which("npm") or (there.exists() and there.read_bytes() == wanted.read_bytes()):
        return
    say(f"Installing the packages of {folder.parent.name}/{folder.name} ...")
    npm = ["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run(npm, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise ServiceError(f"npm ci failed:\n{done.stdout.decode(errors='replace')[-2000:]}")
    shutil.copy(wanted, there)
