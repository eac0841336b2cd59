"""Debian suites other than this machine's: chroots to test in, single packages to build from.

The mirror is the one this machine's apt uses. Nothing is installed on the machine itself, except
debootstrap where it is missing. Needs root, as chroot does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not in build/: setuptools walks all of a project, and follows the links of a chroot to everywhere.
CHROOTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trionng/chroots"
PACKAGES = ROOT / "build/debian"

# Archived suites have a Release file that has expired; its signature is still checked.
APT = ["apt-get", "-q", "-o", "Acquire::Check-Valid-Until=false", "-o", "Dpkg::Use-Pty=0"]
CERTIFICATES = "/root/pip-certificates.crt"  # inside a chroot: this machine's PIP_CERT
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Runs in a mount namespace of its own, so that nothing stays mounted after a failure. A shell that
# runs this in the background ignores Ctrl-C, which tests need.
ENTER = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
cp -L /etc/resolv.conf "$1/etc/resolv.conf"
root=$1; shift
exec env --default-signal=INT,QUIT chroot "$root" "$@"
"""


def say(text: str) -> None:
    print(text, flush=True)


def mirror() -> str:
    """Return the address of the mirror from which apt here gets Debian's main packages."""
    asked = [
        "apt-get",
        "indextargets",
        "--format",
        "$(SITE)",
        "Created-By: Packages",
        "Component: main",
    ]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    found = [site for site in answer if site.rstrip("/").endswith("/debian")]
    if not found:
        sys.exit("this machine's apt knows no Debian mirror (sources.list)")
    return found[0]


def need(command: str, package: str) -> None:
    """Install a Debian package unless its command is there."""
    if shutil.which(command) is None:
        say(f"installing {package}")
        install = [*APT, "install", "-y", "--no-install-recommends", package]
        if subprocess.run(install, capture_output=True, check=False).returncode != 0:
            subprocess.run([*APT, "update"], check=True)
            subprocess.run(install, check=True)


def unpack_head(folder: Path) -> None:
    """Copy what is committed, and nothing else, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)


class Chroot:
    """A Debian of another suite in a folder, and how to run a command in it."""

    def __init__(self, name: str, suite: str) -> None:
        self.name = name
        self.suite = suite
        self.root = CHROOTS / name

    def make(self, *packages: str) -> None:
        """Create the chroot unless it exists, and install these packages in it."""
        if os.geteuid() != 0:
            sys.exit("chroots need root")
        need("debootstrap", "debootstrap")
        if not (self.root / "usr/bin/apt-get").exists():
            say(f"making a chroot of {self.suite}")
            self.root.mkdir(parents=True, exist_ok=True)
            command = ["debootstrap", "--variant=minbase", self.suite, str(self.root), mirror()]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        config = self.root / "etc/apt/apt.conf.d/99archived"
        config.write_text('Acquire::Check-Valid-Until "false";\n', encoding="utf-8")
        bundle = os.environ.get("PIP_CERT", "")
        if bundle and Path(bundle).exists():
            shutil.copyfile(bundle, self.root / CERTIFICATES.lstrip("/"))
        if packages:
            self.install(*packages)

    def install(self, *packages: str) -> None:
        known = self.run("dpkg-query", "-W", "-f=${Package} ${Status}\n", *packages, capture=True)
        there = {line.split()[0] for line in known.stdout.splitlines() if " ok installed" in line}
        missing = [package for package in packages if package not in there]
        if missing:
            say(f"{self.name}: installing {' '.join(missing)}")
            self.run(*APT, "update", check=True, capture=True)
            install = [*APT, "install", "-y", "--no-install-recommends", *missing]
            self.run("env", "DEBIAN_FRONTEND=noninteractive", *install, check=True, capture=True)

    def run(
        self,
        *command: str,
        check: bool = False,
        capture: bool = False,
        cwd: str = "/",
        env: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, with the pip settings of this machine and no other environment."""
        passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        passed.pop("PIP_FIND_LINKS", None)
        if "PIP_CERT" in passed:
            passed["PIP_CERT"] = CERTIFICATES
        inside = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **passed,
            **(env or {}),
        }
        line = f"cd {shlex.quote(cwd)} && exec {shlex.join(command)}"
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return subprocess.run(
            [*enter, "sh", "-c", ENTER, "sh", str(self.root), "/bin/sh", "-c", line],
            env=inside,
            check=check,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=capture,
            timeout=timeout,
        )

    def copy_tree(self, target: str) -> Path:
        """Copy what is committed, and nothing else, into a folder of the chroot."""
        folder = self.root / target.lstrip("/")
        unpack_head(folder)
        return folder


def fetch_nng(suite: str) -> Path:
    """Unpack a suite's libnng-dev and what it needs to be linked; return the prefix to build with.

    Apt gets a root of its own with one source, so this machine's packages and lists stay as they
    are, and apt checks signatures and hashes as always.
    """
    prefix = PACKAGES / suite / "usr"
    if (prefix / "include/nng/nng.h").exists():
        return prefix
    home = PACKAGES / suite / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    source = f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n"
    (home / "etc/sources.list").write_text(source, encoding="utf-8")
    (home / "status").touch()
    options = {
        "Dir::State": home / "state",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
        "Dir::Etc::sourcelist": home / "etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": home / "etc/preferences.d",
        "APT::Sandbox::User": "root",
    }
    apt = [*APT, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
    downloads = home / "downloads"
    downloads.mkdir(exist_ok=True)
    wanted = [*apt, "download", "libnng-dev", "libmbedtls-dev"]
    subprocess.run(wanted, check=True, cwd=downloads, stdout=subprocess.DEVNULL)
    for package in sorted(downloads.glob("*.deb")):
        say(f"taking {package.name} of {suite}")
        subprocess.run(["dpkg-deb", "-x", str(package), str(PACKAGES / suite)], check=True)
    return prefix


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/debian.py SUITE    fetch its libnng; prints the NNG_PREFIX")
    print(fetch_nng(sys.argv[1]))
