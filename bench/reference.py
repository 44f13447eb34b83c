"""The reference product: the platform package of the npm package `microsandbox`, fetched by npm into the cache."""

import os
import pathlib
import shutil
import subprocess
import tempfile

PACKAGE, VERSION = "@superradcompany/microsandbox-linux-x64-gnu", "0.7.2"
CACHE = pathlib.Path(os.environ.get("MSB_BUILD_CACHE") or pathlib.Path.home() / ".cache/microsandbox-build") / "nested"


def fetch_reference():
    """Path of its msb, from the cache or by npm."""
    result = CACHE / f"reference-{VERSION}"
    if not result.exists():
        if not shutil.which("npm"):
            raise SystemExit("bench: npm is missing: apt-get install npm")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="draft-") as folder:
            subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            archive = next(pathlib.Path(folder).glob("*.tgz"))
            subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
            (pathlib.Path(folder) / "package").rename(result)
    return result / "bin/msb"


def files_of(program):
    """What it needs beside it, for the nested machine to bring along."""
    return [program, *(program.parent.parent / "lib").iterdir()]
