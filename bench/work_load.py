"""Real work on files, natively or in a guest: python3 work_load.py DIRECTORY MATERIAL prints {what: seconds} as JSON.

MATERIAL has `repository` (a git bundle) and `share_load`. The programs are those of the image that bench/work makes.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import time

SOURCES = 40
FILES = 2000
# What is not in memory is read from the disk below, whose time is the host's: so all of it is, on both sides.
FIO = ("--size=64M", "--ioengine=psync", "--direct=1", "--fallocate=none", "--output-format=json")
FIO_JOBS = (("write 1 MiB blocks", "write", "1M"), ("read 1 MiB blocks", "read", "1M"), ("write 4 KiB anywhere", "randwrite", "4k"),
            ("read 4 KiB anywhere", "randread", "4k"))


def timed(found, what, words, **options):
    started = time.monotonic()
    ran = subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE, text=True, **options)
    found[what] = time.monotonic() - started
    return ran.stdout


def write_sources(folder):
    folder.mkdir()
    for number in range(SOURCES):
        functions = "".join(f"int f{number}_{i}(int x) {{ char t[64]; snprintf(t, sizeof t, \"%d\", x); return (int)strlen(t) + {i}; }}\n"
                            for i in range(100))
        (folder / f"part{number}.c").write_text(f"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{functions}")
    calls = "".join(f"int f{number}_0(int);\n" for number in range(SOURCES))
    total = " + ".join(f"f{number}_0(n)" for number in range(SOURCES))
    (folder / "main.c").write_text(f"{calls}int main(int n, char** v) {{ return ({total}) != {SOURCES}; }}\n")
    objects = " ".join(f"part{number}.o" for number in range(SOURCES)) + " main.o"
    (folder / "Makefile").write_text(f"program: {objects}\n\ttcc -o $@ $^\n%.o: %.c\n\ttcc -c -o $@ $<\n")


def fio(folder, mode, block):
    words = ["fio", f"--name={mode}", f"--rw={mode}", f"--bs={block}", f"--filename={folder}/fio", *FIO]
    words += ["--io_size=16M"] if block == "4k" else ["--end_fsync=1"]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    result = json.loads(said[said.index("{"):])["jobs"][0]["read" if "read" in mode else "write"]
    return result["io_bytes"] / result["bw_bytes"] / (result["io_bytes"] / (1 << 20))


def main():
    place, material = map(pathlib.Path, sys.argv[1:])
    found = {}
    timed(found, "git clone", ["git", "clone", "-q", material / "repository", place / "clone"])
    timed(found, "git status", ["git", "-C", place / "clone", "status", "--porcelain"])
    write_sources(place / "build")
    timed(found, "make", ["make", "-s", "-C", place / "build"])
    subprocess.run([place / "build/program"], check=True)
    timed(found, "rm -r of both", ["rm", "-r", place / "clone", place / "build"])
    (place / "small").mkdir()
    for line in timed(found, "tree", [material / "share_load", place / "small", FILES, 0]).splitlines():
        name, seconds, _ = line.split()
        found["make tree" if name == "make" else name] = float(seconds)
    shutil.rmtree(place / "small")
    for what, mode, block in FIO_JOBS:
        found[what] = fio(place, mode, block)
    print(json.dumps(found))


main()
