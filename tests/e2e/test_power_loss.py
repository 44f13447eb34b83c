"""kill -9 in the middle of writes: what was synced is there afterwards, file systems are clean, and a quota's record is right."""

import os
import random
import select
import subprocess

import pytest

from test_crash import descendants, kill

# In each directory in turn: a file is made, synced and renamed, the directory is synced, and only then it is told. Another process makes
# a mess meanwhile, which nobody waits for: there is always something half done.
WRITER = """
import os, sys
tops = sys.argv[1:]
if os.fork() == 0:
    for n in range(10**9):
        for top in tops:
            with open(f"{top}/mess{n % 40}", "ab") as file:
                file.write(os.urandom(3000))
            if n % 3 == 0:
                os.replace(f"{top}/mess{n % 40}", f"{top}/mess{(n + 7) % 40}")
            if n % 5 == 0 and os.path.exists(f"{top}/mess{n % 40}"):
                os.unlink(f"{top}/mess{n % 40}")
            if n % 400 == 0:
                for old in os.listdir(top):
                    if old.startswith("mess"):
                        os.truncate(f"{top}/{old}", 0)
for n in range(10**9):
    for top in tops:
        with open(f"{top}/draft", "w") as file:
            file.write(f"{n} " * 500)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{top}/draft", f"{top}/{n}")
        directory = os.open(top, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        print(top, n, flush=True)
"""
READER = """
import sys
for top, count in zip(sys.argv[1::2], sys.argv[2::2]):
    for n in range(int(count)):
        assert open(f"{top}/{n}").read() == f"{n} " * 500, (top, n)
print("all there")
"""
QUOTA = 64 << 20


def usage(directory):
    """As docs/format/volume.md counts."""
    files, total = {}, 0
    for folder, folders, names in os.walk(directory):
        for name in folders + names:
            status = os.lstat(os.path.join(folder, name))
            files[status.st_ino] = status.st_size * (name in names) + 4096
    return sum(files.values())


def check_clean(disk):
    checked = subprocess.run(["/sbin/e2fsck", "-fn", disk], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("target", ["vmm", "machine"])
def test_what_was_synced_is_there(fresh, tmp_path, target, seed):
    (tmp_path / "bind").mkdir()
    fresh.ok("volume", "create", "files", "--quota", str(QUOTA >> 20) + "M")
    fresh.ok("volume", "create", "disk", "--kind", "disk", "--size", "128M")
    fresh.ok("create", "python", "--name", "victim", "--root-disk", "256M", "-v", f"{tmp_path}/bind:/bind", "-v", "files:/files",
             "-v", "disk:/disk")
    client = fresh.spawn("exec", "victim", "--", "sh", "-c", 'mkdir /root/top; exec python3 -c "$0" /root/top /bind /files /disk', WRITER)
    synced = {}
    for _ in range(random.Random(f"{target}{seed}").randrange(12, 60)):
        line = client.stdout.readline().decode()
        assert line, client.communicate()[1]
        top, n = line.split()
        synced[top] = int(n) + 1
    vmm = fresh.inspect("victim")["pid"]
    machine = descendants(vmm)
    ends = [os.pidfd_open(pid) for pid in machine]
    for pid in [vmm] if target == "vmm" else machine:
        kill(pid)
    # A machine whose sandbox process was killed is killed by the kernel, when it has returned from the sync it is in.
    for end in ends:
        assert select.select([end], [], [], 60)[0], "the machine does not end"
        os.close(end)
    rest, _ = client.communicate(timeout=60)
    for line in rest.decode().splitlines(keepends=True):
        if line.endswith("\n"):
            synced[line.split()[0]] = int(line.split()[1]) + 1
    fresh.wait_for_no_processes()
    assert len(synced) == 4

    # Nobody has counted since: the record of one who died in the middle of a change is not believed.
    used = fresh.json("volume", "inspect", "files")["used_bytes"]
    assert used == usage(fresh.home / "volumes/files/data") and used <= QUOTA

    fresh.ok("start", "victim")
    words = [word for top, count in synced.items() for word in (top, count)]
    assert fresh.ok("exec", "victim", "--", "python3", "-c", READER, *words) == "all there\n"
    df = fresh.ok("exec", "victim", "--", "df", "-B4096", "/files").splitlines()[-1].split()
    assert int(df[1]) == QUOTA // 4096 and int(df[2]) == -(-usage(fresh.home / "volumes/files/data") // 4096)
    fresh.ok("stop", "victim")
    check_clean(fresh.home / "sandboxes/victim/upper.ext4")
    check_clean(next(path for path in (fresh.home / "volumes/disk").iterdir() if path.name != "volume.json"))
