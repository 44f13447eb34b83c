"""Named volumes: directories with quotas and disks, and `msb volume`."""

import json
import subprocess


def test_the_example_of_the_readme(fresh):
    fresh.ok("volume", "create", "my-data")
    assert "my-data" in fresh.ok("volume", "ls")
    fresh.ok("volume", "rm", "my-data")
    assert fresh.ok("volume", "ls", "-q") == ""


def test_what_one_sandbox_writes_another_reads(msb):
    msb.ok("volume", "create", "shared", "--size", "100M")
    msb.ok("run", "busybox", "-v", "shared:/data", "--", "sh", "-c", "echo hello > /data/message.txt")
    assert msb.ok("run", "busybox", "-v", "shared:/data:ro", "--", "cat", "/data/message.txt") == "hello\n"
    outcome = msb.run("run", "busybox", "-v", "shared:/data:ro", "--", "sh", "-c", "echo x > /data/y")
    assert outcome.code != 0 and "Read-only" in outcome.err


def test_a_volume_is_made_when_a_sandbox_names_it_and_outlives_it(msb):
    msb.ok("create", "busybox", "--name", "first", "--mount-named", "cache:/cache:quota=8M")
    msb.ok("exec", "first", "--", "sh", "-c", "echo 1 > /cache/one")
    info = json.loads(msb.ok("volume", "inspect", "cache", "--format", "json"))
    assert info["kind"] == "dir" and info["quota_mib"] == 8 and info["sandboxes"] == ["first"]
    msb.fails("volume", "rm", "cache", says="mounted by first")
    msb.ok("rm", "-f", "first")
    assert msb.ok("run", "busybox", "-v", "cache:/c", "--", "cat", "/c/one") == "1\n"
    msb.ok("volume", "rm", "cache")


def test_two_sandboxes_at_once(msb):
    for name in ("a", "b"):
        msb.ok("create", "busybox", "--name", name, "-v", "both:/v")
    msb.ok("exec", "a", "--", "sh", "-c", "echo from-a > /v/x")
    assert msb.ok("exec", "b", "--", "cat", "/v/x") == "from-a\n"
    msb.ok("exec", "b", "--", "chown", "1000:1000", "/v/x")
    msb.ok("exec", "a", "--", "sh", "-c", "sync")
    assert msb.ok("exec", "a", "--", "sh", "-c", "cat /v/x; rm /v/x; ls /v") == "from-a\n"


def test_a_quota_is_a_full_disk_in_the_guest(msb):
    msb.ok("volume", "create", "small", "--quota", "4M")
    msb.ok("create", "busybox", "--name", "q", "-v", "small:/v")
    outcome = msb.run("exec", "q", "--", "dd", "if=/dev/zero", "of=/v/big", "bs=64k", "count=200")
    assert outcome.code != 0 and "No space left" in outcome.err
    assert msb.ok("exec", "q", "--", "echo", "alive") == "alive\n"
    total, used = msb.ok("exec", "q", "--", "sh", "-c", "df -m /v | tail -n 1").split()[1:3]
    assert total == "4" and int(used) >= 3
    info = json.loads(msb.ok("volume", "inspect", "small", "--format", "json"))
    assert 3 << 20 < info["used_bytes"] <= 4 << 20 and info["capacity_bytes"] == 4 << 20
    # Many empty files are no way around it.
    outcome = msb.run("exec", "q", "--", "sh", "-c", "rm /v/big; i=0; while touch /v/$i; do i=$((i+1)); done; echo $i")
    assert 900 < int(outcome.out) <= 1024
    msb.ok("exec", "q", "--", "sh", "-c", "rm -r /v/*; echo ok > /v/again")


def test_a_quota_bounds_all_sandboxes_together(msb):
    msb.ok("volume", "create", "together", "--quota", "6M")
    for name in ("t1", "t2"):
        msb.ok("create", "busybox", "--name", name, "-v", "together:/v")
    writers = [msb.spawn("exec", name, "--", "dd", "if=/dev/zero", f"of=/v/{name}", "bs=64k", "count=90",
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in ("t1", "t2")]
    errors = [writer.communicate()[1] for writer in writers]
    assert any(b"No space left" in error for error in errors)
    assert json.loads(msb.ok("volume", "inspect", "together", "--format", "json"))["used_bytes"] <= 6 << 20
    for name in ("t1", "t2"):
        msb.ok("rm", "-f", name)
    # Killed in the middle or not: what is counted is what is there.
    assert json.loads(msb.ok("volume", "inspect", "together", "--format", "json"))["used_bytes"] <= 6 << 20


def test_a_disk_volume_has_one_writer(msb):
    msb.ok("volume", "create", "disk", "--kind", "disk", "--size", "64M")
    msb.ok("create", "busybox", "--name", "writer", "-v", "disk:/d")
    assert "ext4" in msb.ok("exec", "writer", "--", "sh", "-c", "echo kept > /d/file; grep ' /d ' /proc/mounts")
    msb.fails("run", "busybox", "-v", "disk:/d", "--", "true", says="in use")
    msb.ok("stop", "writer")
    assert msb.ok("run", "busybox", "-v", "disk:/d:ro", "--", "cat", "/d/file") == "kept\n"
    info = json.loads(msb.ok("volume", "inspect", "disk", "--format", "json"))
    assert info["disk_fstype"] == "ext4" and 0 < info["used_bytes"] < info["capacity_bytes"] == 64 << 20


def test_what_is_asked_for_must_be_what_is_there(msb):
    msb.ok("volume", "create", "dir")
    msb.fails("volume", "create", "dir", says="already exists")
    msb.fails("run", "busybox", "-v", "dir:/d:kind=disk,size=64M", "--", "true", says="is a directory, and a disk")
    msb.fails("run", "busybox", "-v", "dir:/d:quota=5M", "--", "true", says="without a quota")
    msb.fails("volume", "create", "disk", "--kind", "disk", says="size")
    msb.fails("volume", "create", "tiny", "--kind", "disk", "--size", "1M", says="cannot be made")
    msb.fails("volume", "create", "../x", says="cannot be a volume's name")
    msb.fails("volume", "rm", "nothing", says="there is no volume 'nothing'")
    msb.fails("volume", "inspect", "nothing", says=["there is no volume", "volumes are ", "dir"])
