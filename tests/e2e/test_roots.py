"""Roots other than OCI images: a local directory, a raw or qcow2 disk."""

import os
import pathlib
import shutil
import subprocess

import pytest


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory):
    """A directory with busybox in it."""
    root = tmp_path_factory.mktemp("rootfs") / "root"
    for folder in ("bin", "etc", "dev", "proc", "sys", "tmp", "root"):
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in subprocess.run([root / "bin/busybox", "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/mark").write_text("from the directory\n")
    return root


@pytest.fixture(scope="module")
def disk(rootfs, tmp_path_factory):
    """The same as an ext4 file system on a raw disk."""
    path = tmp_path_factory.mktemp("disk") / "root.img"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(rootfs), str(path), "64M"], check=True)
    return path


def test_a_directory(msb, rootfs):
    assert msb.ok("run", "./root", "--", "cat", "/etc/mark", cwd=rootfs.parent) == "from the directory\n"
    msb.ok("run", str(rootfs), "--", "sh", "-c", "echo changed > /etc/mark")
    assert (rootfs / "etc/mark").read_text() == "from the directory\n"


def test_a_directory_is_kept_by_its_sandbox(msb, rootfs):
    msb.ok("create", str(rootfs), "--name", "kept")
    msb.ok("exec", "kept", "--", "sh", "-c", "echo more > /etc/more")
    msb.ok("restart", "kept")
    assert msb.ok("exec", "kept", "--", "cat", "/etc/more", "/etc/mark") == "more\nfrom the directory\n"


def test_a_raw_disk_is_written_in_place(msb, disk, tmp_path):
    own = tmp_path / "own.img"
    shutil.copy(disk, own)
    assert msb.ok("run", str(own), "--", "cat", "/etc/mark") == "from the directory\n"
    # No name, yet the disk is the user's: what is written to it stays.
    msb.ok("run", str(own), "--", "sh", "-c", "echo once > /etc/once")
    assert msb.ok("run", str(own), "--", "cat", "/etc/once") == "once\n"
    msb.ok("run", str(own), "--name", "writer", "--", "sh", "-c", "echo written > /etc/written")
    assert msb.ok("run", f"{own}:format=raw,fstype=ext4", "--", "cat", "/etc/written") == "written\n"


def test_a_killed_sandbox_has_let_go_of_its_disk(msb, disk, tmp_path):
    own = tmp_path / "own.img"
    shutil.copy(disk, own)
    msb.ok("create", str(own), "--name", "holder")
    for _ in range(3):
        msb.ok("kill", "holder")
        msb.ok("start", "holder")
    msb.ok("rm", "--force", "holder")


@pytest.fixture
def qcow2(disk, tmp_path):
    image = tmp_path / "root.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(image)], check=True)
    return image


def test_a_qcow2_disk_is_written_in_place(msb, qcow2):
    assert msb.ok("run", str(qcow2), "--", "cat", "/etc/mark") == "from the directory\n"
    msb.ok("run", str(qcow2), "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x > /root/big; rm /etc/mark")
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(qcow2)], check=True)
    assert msb.ok("run", str(qcow2), "--", "sh", "-c", "tr -d x < /root/big | wc -c; wc -c < /root/big; ls /etc/mark 2>&1 | wc -l") == "0\n3000000\n1\n"


@pytest.mark.parametrize("harm, phrase", [
    (["qemu-img", "snapshot", "-c", "one"], ["internal snapshots", "qemu-img convert"]),
    (["sh", "-c", r"printf '\1' | dd of=$0 bs=1 seek=79 conv=notrunc status=none"], ["was not closed properly", "qemu-img check -r all"]),
    (["truncate", "-s", "200000"], ["lies beyond the end of the file"])])
def test_a_qcow2_disk_that_cannot_be_written_is_refused_before_anything_starts(fresh, qcow2, harm, phrase):
    subprocess.run([*harm, str(qcow2)], check=True)
    fresh.fails("run", str(qcow2), "--", "true", says=[str(qcow2), *phrase])
    assert fresh.names() == set()


def test_a_raw_disk_that_was_cut_short(msb, disk, tmp_path):
    short = tmp_path / "short.img"
    shutil.copy(disk, short)
    os.truncate(short, 32 << 20)
    msb.fails("run", f"{short}:fstype=ext4", "--", "true", says=[str(short), "but the ext4 file system on it"])


def test_an_image_file_that_was_cut_short_is_refused_and_can_be_pulled_again(fresh):
    fresh.ok("create", "busybox", "--name", "box")
    fresh.ok("stop", "box")
    layer = next((fresh.home / "cache/layers").glob("*.erofs"))
    os.truncate(layer, layer.stat().st_size - 4096)
    fresh.fails("start", "box", says=[str(layer), "is damaged", "pull the image again"])
    fresh.ok("pull", "busybox")
    fresh.ok("start", "box")


def test_a_format_is_never_guessed_from_the_contents(msb, disk, tmp_path):
    """A raw disk that begins with a qcow2 header naming a host file stays a raw disk."""
    secret = tmp_path / "secret"
    secret.write_text("host secret" * 1000)
    trap = tmp_path / "trap.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(trap), "1M"], check=True)
    outcome = msb.run("run", str(trap), "--", "true")
    assert outcome.code == 1, repr(outcome)


def test_a_qcow2_disk_with_a_backing_file_is_refused(msb, disk, tmp_path):
    child = tmp_path / "child.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk), str(child)], check=True)
    msb.fails("run", str(child), "--", "true", says="backing file")


def test_what_is_not_there_or_of_no_known_format(msb, tmp_path):
    msb.fails("run", "./no-such-folder", "--", "true", cwd=tmp_path, says="no-such-folder")
    msb.fails("run", str(tmp_path / "no.img"), "--", "true", says="no.img")
    (tmp_path / "file.txt").write_text("x")
    msb.fails("run", str(tmp_path / "file.txt"), "--", "true", says="file.txt")
    (tmp_path / "cut.qcow2").write_bytes(b"QFI\xfb\0\0\0\3")
    msb.fails("run", str(tmp_path / "cut.qcow2"), "--", "true", says="qcow2")


def test_an_empty_directory_has_no_commands(msb, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = msb.run("run", str(tmp_path / "empty"), "--", "sh")
    assert outcome.code == 127, repr(outcome)
    assert pathlib.Path(tmp_path / "empty").exists()
