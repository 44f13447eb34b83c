#!/usr/bin/env python3
"""The part of bench/disk that runs inside the nested test bed.

    bench/disk_inside.py native|ours PROGRAM DISK_LOAD MIB BYTES_PER_SECOND
"""

import json
import os
import pathlib
import shutil
import sys

from compare_inside import HOME, Product, root_directory
from shares_inside import finished, seconds_of

GROUPS = pathlib.Path("/sys/fs/cgroup")


def slow_down(bytes_per_second):
    """From now on this process and its children get so much, each way, of the disk below /scratch."""
    disk = os.stat("/scratch").st_dev
    group = GROUPS / "slow"
    group.mkdir()
    # Memory as well: what is written back later is only then counted to who wrote it.
    (GROUPS / "cgroup.subtree_control").write_text("+io +memory")
    (group / "io.max").write_text(f"{os.major(disk)}:{os.minor(disk)} rbps={bytes_per_second} wbps={bytes_per_second}")
    (group / "cgroup.procs").write_text(str(os.getpid()))


def main():
    name, program, load, mib, bytes_per_second = sys.argv[1:]
    if name == "native":
        slow_down(bytes_per_second)
        print(json.dumps(seconds_of(finished([load, "/scratch/file", mib], None))))
        return
    product = Product(name, program)
    HOME.mkdir(parents=True)
    root = root_directory()
    shutil.copy2(load, pathlib.Path(root) / "bin/disk_load")
    product("run", *product.shape, root, "--", "true")  # from then on the root is known
    slow_down(bytes_per_second)
    # With a name it is kept: what is flushed has to reach the disk.
    words = [program, "run", "--name", "kept", *product.shape, root, "--", "disk_load", "/file", mib]
    print(json.dumps(seconds_of(finished(words, product.environment))))


main()
