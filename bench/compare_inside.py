#!/usr/bin/env python3
"""The part of bench/compare that runs inside the nested test bed: measures one product and prints what it found as JSON.

    bench/compare_inside.py PRODUCT PROGRAM IMAGE_ARCHIVE BIG_ARCHIVE

PRODUCT is `ours` or `reference`; their command lines are alike enough for one script. Time inside counts instructions, so that a few
repetitions say all there is to say. A guest that does not come up by its deadline ends the script with code 75: the caller tries once
more in a fresh machine.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

HOME = pathlib.Path("/scratch/compare")
DEADLINE = 20.0  # a start takes one second
RUNS = 3
IDLE_SECONDS = 8
# By then an idle guest has given its memory back (src/virtio/idle_balloon.h) and its file system has nothing left to write.
SETTLED_SECONDS = 90
# Mappings at least this large are the guest's memory: 512 MiB, in one piece or two.
GUEST_MAPPING_KIB = 128 << 10
HUNG = 75


class Product:
    def __init__(self, name, program):
        self.name, self.program = name, program
        self.shape = ["--cpus", "1", "--memory", "512M"]
        self.environment = dict(os.environ, MSB_HOME=str(HOME))
        if name == "ours":
            self.shape += ["--machine", "kvm"]
        else:
            library = next(pathlib.Path(program).parent.parent.glob("lib/libkrunfw.so*"))
            self.environment["MSB_LIBKRUNFW_PATH"] = str(library)

    def __call__(self, *words):
        """Seconds that the command took."""
        started = time.monotonic()
        try:
            ran = subprocess.run([self.program, *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 timeout=DEADLINE, check=False)
        except subprocess.TimeoutExpired:
            print(f"{self.name}: {' '.join(words)}: no end within {DEADLINE:.0f} s", file=sys.stderr)
            sys.exit(HUNG)
        took = time.monotonic() - started
        if ran.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        return took

    def processes(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if f"MSB_HOME={HOME}\0".encode() in (entry / "environ").read_bytes() + b"\0" or str(HOME).encode() in (entry / "cmdline").read_bytes():
                    found.append(entry)
            except OSError:
                continue
        return found


def from_ready_frame(path):
    """Nanoseconds by the guest's clock, from the core.ready frame that the relay sends to every client first."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(str(path))
        stream = client.makefile("rb")
        stream.read(8)  # the range of session ids
        length = int.from_bytes(stream.read(4), "big")
        data = stream.read(length) if length < 65536 else b""
    found = {}
    for key in (b"boot_time_ns", b"ready_time_ns"):
        at = data.index(key) + len(key)
        width = {24: 1, 25: 2, 26: 4, 27: 8}.get(data[at] & 31, 0)
        found[key.decode()] = int.from_bytes(data[at + 1:at + 1 + width], "big") if width else data[at] & 31
    return found


def ready_times():
    for path in sorted(HOME.rglob("*.sock")):
        try:
            return from_ready_frame(path)
        except (OSError, ValueError, IndexError):
            continue
    return {}


def mappings(entry):
    """Runs of mappings that touch each other, as lists of dictionaries: guest memory is one run, though the guest's kernel may be
    mapped from its file in the middle of it."""
    runs, end_before = [], None
    for text in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", (entry / "smaps").read_text(), flags=re.MULTILINE)[1:]:
        start, end = (int(word, 16) for word in text.split(" ", 1)[0].split("-"))
        values = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
        values["writable"] = " rw" in text.split("\n")[0]
        if start != end_before:
            runs.append([])
        runs[-1].append(values)
        end_before = end
    return runs


def memory(processes):
    """KiB of all processes: proportional in all, private anonymous, and both without the guest's memory."""
    sums = {"pss": 0, "anonymous": 0, "guest": 0}
    for entry in processes:
        for run in mappings(entry):
            sums["pss"] += sum(mapping["Pss"] for mapping in run)
            if sum(mapping["Size"] for mapping in run if mapping["writable"]) >= GUEST_MAPPING_KIB:
                sums["guest"] += sum(mapping["Pss"] for mapping in run)
            else:
                sums["anonymous"] += sum(mapping["Anonymous"] for mapping in run)
    sums["beyond_guest"] = sums["pss"] - sums["guest"]
    return sums


def tasks(processes):
    return [task for entry in processes for task in (entry / "task").iterdir()]


def switches(processes):
    total = 0
    for task in tasks(processes):
        total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())))
    return total


def switch_rate(processes):
    before, started = switches(processes), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (switches(processes) - before) / (time.monotonic() - started)


def idle(product):
    """Just after the last command, and settled."""
    processes = product.processes()
    time.sleep(2)  # the command's own wakeups are over
    found = {"processes": len(processes), "threads": len(tasks(processes)), "switches per second": switch_rate(processes),
             **{key + " kib": value for key, value in memory(processes).items()}}
    time.sleep(SETTLED_SECONDS)
    return {**found, "settled switches per second": switch_rate(processes), "settled guest kib": memory(processes)["guest"]}


def root_directory():
    root = pathlib.Path("/scratch/root")
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "root"):
        (root / name).mkdir(parents=True)
    shutil.copy2("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "true"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return str(root)


def main():
    name, program, archive, big_archive = sys.argv[1:]
    product = Product(name, program)
    HOME.mkdir(parents=True)
    found = {}

    def record(key, values):
        # The least: what is added to it is waiting for the host's disk, in the host's time.
        found[key] = min(values) if isinstance(values, list) else values
        print(f"{name}: {key}: {values}", file=sys.stderr, flush=True)

    def repeated(*words, runs=RUNS):
        return [product(*words) for _ in range(runs)]

    record("version", repeated("--version"))
    record("load", product("image", "load", "-q", "-i", archive, "-t", "compare/small:1"))
    record("load big", product("image", "load", "-q", "-i", big_archive, "-t", "compare/big:1"))
    run = ["run", *product.shape, "--pull", "never", "compare/small:1", "--", "true"]
    record("first run", product(*run))
    record("run", repeated(*run))
    root = root_directory()
    record("run of a directory", repeated("run", *product.shape, root, "--", "true", runs=2))
    creates, stops = [], []
    for number in range(RUNS):
        creates.append(product("create", *product.shape, "--pull", "never", "compare/small:1", "--name", f"box{number}"))
        if number + 1 < RUNS:
            stops.append(product("stop", f"box{number}"))
    box = f"box{RUNS - 1}"
    record("create", creates)
    for key, value in ready_times().items():
        record(key, value / 1e9)
    record("exec", repeated("exec", box, "--", "true", runs=5))
    record("ping", repeated("ping", box))
    for key, value in idle(product).items():
        record(key, value)
    record("stop", [*stops, product("stop", box)])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
