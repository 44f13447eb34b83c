"""What is advertised about patches, scripts and disks, in the words of the command line.

    patches                             examples/cpp/configured.cc (test_cpp.py runs it), and test_patches.py for the flags
    named scripts, setup and start      here
    a local directory as the root       here, and test_roots.py
    a disk image as the root            here, and test_roots.py
    disk image volumes                  here, and test_mounts.py
    the size of the writable layer      here, and test_root_disks.py
"""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory):
    root = tmp_path_factory.mktemp("advertised") / "my-rootfs"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "sh")
    return root


def ext4(path, **options):
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", *options.get("flags", []), str(path), "32M"], check=True)
    return path


def test_an_app_that_is_copied_and_configured(msb, tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "main.sh").write_text("cat /etc/app.conf\n")
    (tmp_path / "app.conf").write_text("key=value\n")
    assert msb.ok("run", "alpine", "--copy", "app.conf:/etc/app.conf", "--mkdir", "/app", "--copy", "./scripts:/app/scripts",
                  "--rm", "/etc/os-release", "--", "sh", "/app/scripts/main.sh", cwd=tmp_path) == "key=value\n"


def test_scripts_that_set_up_and_start(msb):
    msb.ok("create", "alpine", "--name", "worker", "--script-raw", "setup=#!/bin/sh\nmkdir -p /app && echo 'echo started' > /app/main.sh",
           "--script-raw", "start=#!/bin/sh\nexec sh /app/main.sh")
    msb.ok("shell", "worker", "--", "setup")
    assert msb.ok("shell", "worker", "--", "start") == "started\n"


def test_a_local_directory_as_the_root(msb, rootfs):
    assert msb.ok("run", "./my-rootfs", "--", "sh", "-c", "echo from a directory", cwd=rootfs.parent) == "from a directory\n"


def test_a_qcow2_disk_as_the_root(msb, rootfs, tmp_path):
    raw = ext4(tmp_path / "disk.raw", flags=["-d", str(rootfs)])
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, tmp_path / "disk.qcow2"], check=True)
    assert msb.ok("run", "./disk.qcow2", "--", "sh", "-c", "echo from a disk", cwd=tmp_path) == "from a disk\n"
    assert msb.ok("run", "./disk.qcow2:format=qcow2,fstype=ext4", "--", "sh", "-c", "echo again", cwd=tmp_path) == "again\n"


def test_disk_image_volumes(msb, tmp_path):
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", ext4(tmp_path / "data.raw"), tmp_path / "data.qcow2"], check=True)
    ext4(tmp_path / "seed.raw")
    outcome = msb.run("run", "alpine", "--name", "worker", "--replace", "--mount-disk", "./data.qcow2:/data:format=qcow2,fstype=ext4",
                      "--mount-disk", "./seed.raw:/seed:ro", "--tmpfs", "/scratch:128M:ro", "--",
                      "sh", "-c", "echo data > /data/file && cat /data/file; touch /seed/x; touch /scratch/x; df -m /scratch | tail -n 1", cwd=tmp_path)
    assert outcome.out.startswith("data\n") and " 128 " in outcome.out, repr(outcome)
    assert outcome.err.count("Read-only") == 2


def test_the_size_of_the_writable_layer(msb):
    words = msb.ok("run", "alpine", "--root-disk", "8G", "--", "df", "-m", "/").splitlines()[-1].split()
    assert 7600 < int(words[-5]) <= 8192
