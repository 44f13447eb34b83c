"""What a sandbox's root is written to: a disk of its own, memory, a flat disk, a disk of the user's; growth, and space."""

import subprocess

import pytest

from harness import Msb


def disk_of(msb, name):
    return msb.home / "sandboxes" / name / "upper.ext4"


def used(path):
    """Bytes that the file takes on the host's disk."""
    return path.stat().st_blocks * 512


def size_in_guest(msb, name):
    """What df says of the root, in MiB."""
    return int(msb.ok("exec", name, "--", "df", "-m", "/").splitlines()[-1].split()[-5])


def check(disk):
    subprocess.run(["/sbin/e2fsck", "-fn", str(disk)], check=True, stdout=subprocess.DEVNULL)


def make_ext4(path, size="64M"):
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", str(path), size], check=True)
    return path


@pytest.mark.parametrize(("spec", "low", "high"), [("200M", 160, 200), ("flat:200M", 160, 200), ("tmpfs:64M", 64, 64)])
def test_df_tells_the_truth(msb, spec, low, high):
    msb.ok("create", "busybox", "--name", "sized", "--root-disk", spec)
    assert low <= size_in_guest(msb, "sized") <= high


def test_a_full_root_says_so_and_the_sandbox_lives_on(msb):
    msb.ok("create", "busybox", "--name", "full", "--root-disk", "32M")
    outcome = msb.run("exec", "full", "--", "dd", "if=/dev/zero", "of=/filler", "bs=1M", "count=64")
    assert outcome.code != 0 and "No space left" in outcome.err
    assert msb.ok("exec", "full", "--", "sh", "-c", "rm /filler; echo alive > /mark; cat /mark") == "alive\n"


@pytest.mark.parametrize("kind", ["", "flat:"])
def test_a_root_disk_grows(msb, kind):
    msb.ok("create", "busybox", "--name", "small", "--root-disk", f"{kind}64M")
    before = size_in_guest(msb, "small")
    msb.ok("exec", "small", "--", "sh", "-c", "head -c 20000000 /dev/urandom > /kept; md5sum /kept > /sum")
    msb.fails("modify", "small", "--root-disk", "128M", says=["running", "msb stop"])
    msb.ok("stop", "small")
    for size in (65, 100, 3000):
        msb.ok("modify", "small", "--root-disk", f"{size}M")
        msb.ok("start", "small")
        after = size_in_guest(msb, "small")
        assert before <= after and size * 0.9 - 16 <= after <= size, (size, before, after)
        assert msb.ok("exec", "small", "--", "md5sum", "-c", "/sum") == "/kept: OK\n"
        msb.ok("stop", "small")
        check(disk_of(msb, "small"))
        before = after
    assert used(disk_of(msb, "small")) < 100 << 20
    msb.ok("modify", "small", "--root-disk", "3000M")  # what it is already


def test_a_root_disk_does_not_shrink(msb):
    msb.ok("create", "busybox", "--name", "large", "--root-disk", "128M")
    msb.ok("stop", "large")
    msb.fails("modify", "large", "--root-disk", "64M", says=["128 MiB", "cannot shrink", "64.0 MiB"])
    msb.fails("modify", "large", "--root-disk", "lots", code=2, says="lots")
    msb.fails("modify", "large", code=2, says="--root-disk")
    msb.fails("modify", "nobody", "--root-disk", "1G", says="nobody")
    msb.ok("start", "large")


def test_what_is_removed_goes_back_to_the_host(msb):
    msb.ok("create", "busybox", "--name", "trimmed", "--root-disk", "256M")
    msb.ok("exec", "trimmed", "--", "sh", "-c", "head -c 60000000 /dev/urandom > /filler; sync")
    full = used(disk_of(msb, "trimmed"))
    assert full > 55 << 20
    msb.ok("exec", "trimmed", "--", "rm", "/filler")
    msb.ok("stop", "trimmed")  # the guest discards in the background; this waits for it
    assert used(disk_of(msb, "trimmed")) < 10 << 20


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_a_disk_of_the_users(msb, tmp_path, form):
    disk = make_ext4(tmp_path / "mine.raw", "256M")
    if form == "qcow2":
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, tmp_path / "mine.qcow2"], check=True)
        disk = tmp_path / "mine.qcow2"
    # No name: the sandbox goes, the disk stays.
    msb.ok("run", "busybox", "--root-disk", disk, "--", "sh", "-c", "head -c 60000000 /dev/urandom > /filler; echo kept > /etc/kept")
    full = used(disk)
    assert full > 55 << 20
    assert msb.ok("run", "busybox", "--root-disk", f"{disk}:fstype=ext4", "--", "sh", "-c", "rm /filler; cat /etc/kept; sync") == "kept\n"
    # In the meantime the guest may have zeroed up to 16 MiB of inode tables, which mke2fs leaves for it to do.
    assert used(disk) < full - (40 << 20)
    msb.ok("create", "busybox", "--name", "one", "--root-disk", disk)
    msb.fails("run", "busybox", "--root-disk", disk, "--", "true", says="in use")
    msb.ok("stop", "one")
    msb.fails("modify", "one", "--root-disk", "1G", says=["'one'", "qemu-img resize"])
    msb.ok("rm", "one")
    assert disk.exists()


def test_a_flat_root_is_the_image_on_one_disk(msb):
    everything = "find / -xdev -exec stat -c '%n %a %u %g %F %h' {} + | grep -vE '^/(dev|proc|sys|tmp)' | sort"
    layered = msb.ok("run", "tests/layers", "--user", "root", "--entrypoint", "", "--", "sh", "-c", everything)
    flat = msb.ok("run", "tests/layers", "--user", "root", "--entrypoint", "", "--root-disk", "flat:128M,clone=copy", "--", "sh", "-c", everything)
    # Only directories count their subdirectories in one and not the other.
    def told(text):
        return [line if " directory " not in line else line.rpartition(" ")[0] for line in text.splitlines()]
    assert told(layered) == told(flat)
    mounts = msb.ok("run", "busybox", "--root-disk", "flat:128M", "--", "cat", "/proc/mounts")
    assert [line.split()[2] for line in mounts.splitlines() if line.split()[1] == "/"][-1] == "ext4"


def test_a_flat_root_keeps_what_is_written(msb):
    msb.ok("create", "busybox", "--name", "flat", "--root-disk", "flat:128M", "--mkdir", "/patched")
    msb.ok("exec", "flat", "--", "sh", "-c", "echo kept > /etc/kept; rm /etc/group")
    msb.ok("restart", "flat")
    outcome = msb.run("exec", "flat", "--", "ls", "-d", "/etc/kept", "/patched", "/etc/group")
    assert outcome.out.split() == ["/etc/kept", "/patched"] and "/etc/group" in outcome.err
    msb.ok("stop", "flat")
    check(disk_of(msb, "flat"))


def test_a_copy_that_was_cut_short_begins_again(msb):
    """The copy of a flat root has its name when it is complete: what is there under another is thrown away."""
    msb.ok("create", "busybox", "--name", "cut", "--root-disk", "flat:128M")
    msb.ok("kill", "cut")
    disk = disk_of(msb, "cut")
    msb.run("start", "cut")
    msb.ok("stop", "cut")
    # As a kill in the middle of the copy leaves it.
    script = "cd /\nmkdir root.new\nmkdir root.new/half\nwrite /etc/hostname root.new/half/file\n"
    subprocess.run(["/sbin/debugfs", "-w", "-f", "-", str(disk)], input=script, text=True, check=True, capture_output=True)
    rename = "cd /\nln root old\nunlink root\n"
    subprocess.run(["/sbin/debugfs", "-w", "-f", "-", str(disk)], input=rename, text=True, check=True, capture_output=True)
    msb.ok("start", "cut")
    outcome = msb.run("exec", "cut", "--", "ls", "-d", "/half", "/bin/sh")
    assert outcome.out.split() == ["/bin/sh"], repr(outcome)


@pytest.mark.parametrize(("spec", "code", "says"), [
    ("lots", 2, ["lots", "flat"]),
    ("8M", 2, ["8 MiB", "16 MiB"]),
    ("tmpfs:900M", 2, "does not fit"),
    ("flat:8M", 2, "8 MiB"),
    ("flat:100M,fstype=xfs", 2, "fstype=xfs"),
    ("./mine", 2, ["format", "./mine"]),
    ("./none.raw", 1, "none.raw"),
])
def test_wrong_ones(msb, spec, code, says):
    msb.fails("run", "busybox", "--root-disk", spec, "--", "true", code=code, says=says)


def test_an_image_that_does_not_fit_is_told_before_the_boot(msb):
    msb.fails("create", "python", "--name", "tight", "--root-disk", "flat:64M", says=["do not fit", "--root-disk flat:"])
    assert "tight" not in msb.names()


def test_a_disk_without_a_file_system(msb, tmp_path):
    blank = tmp_path / "blank.raw"
    with open(blank, "wb") as file:
        file.truncate(64 << 20)
    msb.fails("run", "busybox", "--root-disk", blank, "--", "true", says=["/dev/vdb", "file system"])


def test_a_disk_is_used_once(msb, tmp_path):
    disk = make_ext4(tmp_path / "twice.raw")
    msb.fails("run", "busybox", "--root-disk", disk, "--mount-disk", f"{disk}:/data", "--", "true", says=["twice.raw", "/data"])


def test_a_disk_image_has_no_layer(msb, tmp_path):
    disk = make_ext4(tmp_path / "root.raw")
    msb.fails("run", str(disk), "--root-disk", "flat", "--", "true", code=2, says="own root disk")


@pytest.fixture
def small(registry, tmp_path):
    """msb whose home is on a file system of 100 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100M", "tmpfs", place], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    msb = Msb(place / "home", registry)
    yield msb
    msb.close()
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_host_is_told_before_anything_is_made(small):
    (small.home.parent / "filler").write_bytes(bytes(70 << 20))
    small.fails("run", "busybox", "--", "true", says=["free in", "MSB_HOME"])
    assert not small.names()


def test_a_host_that_fills_up_is_an_error_in_the_guest_which_lives_on(small):
    spare = small.home.parent / "spare"
    spare.write_bytes(bytes(8 << 20))
    small.ok("create", "busybox", "--name", "filling", "--root-disk", "1G", "--tmpfs", "/m")
    outcome = small.run("exec", "filling", "--", "dd", "if=/dev/zero", "of=/filler", "bs=1M", "count=200", "conv=fsync")
    assert outcome.code != 0 and "error" in outcome.err.lower(), repr(outcome)
    spare.unlink()
    assert small.ok("exec", "filling", "--", "sh", "-c", "echo alive > /m/x; cat /m/x") == "alive\n"
    small.ok("rm", "-f", "filling")
