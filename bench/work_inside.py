#!/usr/bin/env python3
"""The part of bench/work that runs inside the nested test bed.

    bench/work_inside.py native|ours|reference PROGRAM ARCHIVE MATERIAL bind|volume|root
"""

import pathlib
import resource
import subprocess
import sys
import tarfile

from compare_inside import HOME, Product
from shares_inside import finished

IMAGE = "compare/work:1"
SCRIPT = ["python3", "/material/work_load.py", "/measured", "/material"]


def main():
    name, program, archive, material, place = sys.argv[1:]
    # The reference does not raise its own limit, and holds a descriptor for each file that its guest knows.
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
    shared = pathlib.Path("/scratch/shared")
    shared.mkdir()
    if name == "native":
        root = pathlib.Path("/scratch/work")
        with tarfile.open(archive) as whole, tarfile.open(fileobj=whole.extractfile("layer.tar")) as layer:
            layer.extractall(root)
        for source, target in ((material, "material"), (shared, "measured"), ("/dev", "dev"), ("/proc", "proc")):
            (root / target).mkdir(exist_ok=True)
            subprocess.run(["mount", "-o", "bind", source, root / target], check=True)
        print(finished(["chroot", root, *SCRIPT], None))
        return
    product = Product(name, program)
    HOME.mkdir(parents=True)
    finished([program, "image", "load", "-q", "-i", archive, "-t", IMAGE], product.environment)
    flags = {"bind": ["-v", f"{shared}:/measured"], "volume": ["-v", "bench:/measured"], "root": []}[place]
    command = ["sh", "-c", "mkdir -p /measured && exec " + " ".join(SCRIPT)]
    words = [program, "run", *product.shape, *flags, "-v", f"{material}:/material:ro", "--pull", "never", IMAGE, "--", *command]
    print(finished(words, product.environment))


main()
