"""File systems beside the root: tmpfs and disk images."""

import subprocess

import pytest


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """An empty ext4 file system on a raw disk."""
    path = tmp_path_factory.mktemp("mounts") / "data.raw"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", str(path), "32M"], check=True)
    return path


def test_a_tmpfs_has_its_size_and_options(msb):
    lines = msb.ok("run", "busybox", "--tmpfs", "/scratch:16M:noexec", "--tmpfs", "/scratch/below/it", "--", "sh", "-c",
                   "grep scratch /proc/mounts; df -m /scratch | tail -n 1; cp /bin/busybox /scratch/b; /scratch/b true; echo $?").splitlines()
    assert lines[0].startswith("tmpfs /scratch tmpfs rw,noexec")
    assert lines[1].startswith("tmpfs /scratch/below/it tmpfs rw")
    assert lines[2].split()[1] == "16"
    assert lines[3] == "126"


def test_a_full_tmpfs_says_so_and_the_sandbox_lives_on(msb):
    msb.ok("create", "busybox", "--name", "small", "--tmpfs", "/s:1M")
    outcome = msb.run("exec", "small", "--", "sh", "-c", "dd if=/dev/zero of=/s/x bs=64k count=64")
    assert outcome.code != 0 and "No space left" in outcome.err
    assert msb.ok("exec", "small", "--", "echo", "alive") == "alive\n"


def test_a_disk_keeps_what_is_written_to_it(msb, disk):
    msb.ok("run", "busybox", "--mount-disk", f"{disk}:/data", "--", "sh", "-c", "echo kept > /data/file")
    assert msb.ok("run", "busybox", "--mount-disk", f"{disk}:/data:ro", "--", "cat", "/data/file") == "kept\n"
    subprocess.run(["/sbin/e2fsck", "-fn", str(disk)], check=True, stdout=subprocess.DEVNULL)


def test_a_read_only_disk_cannot_be_written_and_is_shared(msb, disk):
    msb.ok("create", "busybox", "--name", "reader", "--mount-disk", f"{disk}:/data:ro")
    outcome = msb.run("exec", "reader", "--", "sh", "-c", "echo x > /data/y")
    assert outcome.code != 0 and "Read-only" in outcome.err
    # Not even by the device itself.
    assert msb.run("exec", "reader", "--", "sh", "-c", "echo x > /dev/vdc").code != 0
    msb.ok("run", "busybox", "--mount-disk", f"{disk}:/data:ro", "--", "true")


def test_a_disk_has_one_writer(msb, disk):
    msb.ok("create", "busybox", "--name", "writer", "--mount-disk", f"{disk}:/data")
    msb.fails("run", "busybox", "--mount-disk", f"{disk}:/data", "--", "true", says="in use")
    msb.ok("rm", "--force", "writer")
    msb.ok("run", "busybox", "--mount-disk", f"{disk}:/data", "--", "true")


def test_mounts_are_there_again_after_a_restart(msb, disk):
    msb.ok("create", "busybox", "--name", "again", "--mount-disk", f"{disk}:/data", "--tmpfs", "/t")
    msb.ok("exec", "again", "--", "sh", "-c", "echo 1 > /data/one; echo 2 > /t/two")
    msb.ok("restart", "again")
    assert msb.ok("exec", "again", "--", "sh", "-c", "cat /data/one; ls /t") == "1\n"


def test_a_qcow2_disk(msb, disk, tmp_path):
    image = tmp_path / "data.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(image)], check=True)
    msb.ok("run", "busybox", "--mount-disk", f"{image}:/data:fstype=ext4", "--", "sh", "-c", "echo q > /data/q")
    assert msb.ok("run", "busybox", "--mount-disk", f"{image}:/data:ro", "--", "cat", "/data/q") == "q\n"


@pytest.mark.parametrize(("flags", "says"), [
    (["--tmpfs", "scratch"], "does not begin with '/'"),
    (["--tmpfs", "/proc"], "/proc"),
    (["--tmpfs", "/a/../b"], "component"),
    (["--tmpfs", "/a", "--tmpfs", "/a:1M"], "two mounts"),
    (["--tmpfs", "/a:600M"], "does not fit"),
    (["--tmpfs", "/a:fast"], "'fast'"),
    (["--mount-disk", "no-colon.raw"], "mounted where"),
    (["--mount-disk", "data:/data"], "format"),
])
def test_wrong_usage(msb, flags, says):
    msb.fails("run", "busybox", *flags, "--", "true", code=2, says=says)


def test_a_disk_that_is_not_there(msb):
    msb.fails("run", "busybox", "--mount-disk", "/no/such.raw:/data", "--", "true", says="/no/such.raw")


def test_a_disk_without_a_file_system(msb, tmp_path):
    empty = tmp_path / "empty.raw"
    empty.write_bytes(bytes(1 << 20))
    msb.fails("run", "busybox", "--mount-disk", f"{empty}:/data", "--", "true", says="/data")
