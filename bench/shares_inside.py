#!/usr/bin/env python3
"""The part of bench/shares that runs inside the nested test bed.

    bench/shares_inside.py native|ours|reference PROGRAM SHARE_LOAD FILES MIB bind|volume|root
"""

import json
import pathlib
import shutil
import subprocess
import sys

from compare_inside import HOME, HUNG, Product, root_directory

# The work of a large tree takes minutes on the emulated processor.
DEADLINE = 1200.0


def seconds_of(lines):
    """What share_load printed: {name: [seconds, operations]}"""
    found = {}
    for line in lines.splitlines():
        name, seconds, count = line.split()
        found[name] = [float(seconds), int(count)]
    return found


def finished(words, environment):
    """What a command printed that has ended well. One that hangs ends this script: the caller tries once more."""
    try:
        ran = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(HUNG)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return ran.stdout


def main():
    name, program, load, files, mib, place = sys.argv[1:]
    shared = pathlib.Path("/scratch/shared")
    shared.mkdir()
    if name == "native":
        print(json.dumps(seconds_of(finished([load, shared, files, mib], None))))
        return
    product = Product(name, program)
    HOME.mkdir(parents=True)
    root = root_directory()
    shutil.copy2(load, pathlib.Path(root) / "bin/share_load")
    product("run", *product.shape, root, "--", "true")  # from then on the root is known
    flags = {"bind": ["-v", f"{shared}:/measured"], "volume": ["-v", "bench:/measured"], "root": []}[place]
    found = {
        "run": min(product("run", *product.shape, root, "--", "true") for _ in range(3)),
        "run with it": min(product("run", *product.shape, *flags, root, "--", "true") for _ in range(3)),
    }
    work = f"mkdir -p /measured && exec share_load /measured {files} {mib}"
    words = [program, "run", *product.shape, *flags, root, "--", "sh", "-c", work]
    print(json.dumps({**found, **seconds_of(finished(words, product.environment))}))


if __name__ == "__main__":
    main()
