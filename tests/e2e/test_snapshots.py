"""Disk snapshots: kept, checked, moved as archives, begun from."""

import json
import pathlib
import tempfile

import pytest

from harness import Msb


@pytest.fixture(scope="module")
def msb(registry, tmp_path_factory):
    """A home whose sandboxes and snapshots stay for all tests of this file."""
    msb = Msb(tmp_path_factory.mktemp("home"), registry)
    yield msb
    msb.close()


@pytest.fixture(scope="module")
def ready(msb):
    """A snapshot of a sandbox that wrote something."""
    msb.ok("create", "busybox", "--name", "setup", "--root-disk", "256M")
    msb.ok("exec", "setup", "--", "sh", "-c",
           "echo kept > /root/file; dd if=/dev/urandom of=/root/big bs=64k count=40; rm /etc/passwd")
    msb.ok("stop", "setup")
    msb.ok("snapshot", "create", "ready", "--from", "setup", "--integrity", "--label", "a=b")
    return "ready"


def test_a_sandbox_begins_from_it(msb, ready):
    assert msb.ok("run", "--from-snapshot", ready, "--", "sh", "-c", "cat /root/file; ls /etc/passwd || echo gone") == "kept\ngone\n"
    # Again, and what the first one wrote is not there.
    msb.ok("create", "--from-snapshot", ready, "--name", "second")
    size = msb.ok("exec", "second", "--", "sh", "-c", "echo changed > /root/file; df -m / | tail -n 1").split()[1]
    assert 200 < int(size) <= 256
    msb.ok("restart", "second")
    assert msb.ok("exec", "second", "--", "cat", "/root/file") == "changed\n"
    assert msb.ok("run", "--from-snapshot", ready, "--", "cat", "/root/file") == "kept\n"


def test_what_is_known_of_it(msb, ready):
    info = msb.json("snapshot", "inspect", ready)
    assert info["source_sandbox"] == "setup" and info["integrity"] and info["labels"] == {"a": "b"}
    assert info["size_bytes"] == 256 << 20 and info["allocated_bytes"] < 64 << 20
    assert info["digest"] in msb.ok("snapshot", "ls", "-q")
    assert "its contents are those" in msb.ok("snapshot", "verify", ready)


def test_a_child_knows_its_parent(msb, ready):
    msb.ok("create", "--from-snapshot", ready, "--name", "child")
    msb.ok("exec", "child", "--", "sh", "-c", "echo more > /root/more")
    msb.ok("stop", "child")
    msb.ok("snapshot", "create", "grown", "--from", "child")
    assert msb.json("snapshot", "inspect", "grown")["parent"] == msb.json("snapshot", "inspect", ready)["digest"]
    assert msb.ok("run", "--from-snapshot", "grown", "--", "cat", "/root/file", "/root/more") == "kept\nmore\n"


def test_an_archive_goes_to_anfresh(msb, ready, tmp_path, fresh):
    archive = tmp_path / "ready.tar.zst"
    msb.ok("snapshot", "save", ready, archive, "--with-image")
    assert archive.stat().st_size < 32 << 20
    assert fresh.ok("snapshot", "load", archive) == "ready\n"
    # The image came along: nothing is pulled.
    assert fresh.ok("run", "--pull", "never", "--from-snapshot", "ready", "--", "cat", "/root/file") == "kept\n"
    # Twice is no mistake, another one of that name is.
    fresh.ok("snapshot", "load", archive)
    assert "its contents are those" in fresh.ok("snapshot", "verify", "ready")


def test_patches_and_the_flat_root_come_along(msb, tmp_path):
    (tmp_path / "note").write_text("from the host\n")
    for name, disk in (("layered", "128M"), ("flat", "flat:128M")):
        msb.ok("create", "busybox", "--name", name, "--root-disk", disk, "--copy", f"{tmp_path}/note:/etc/note")
        msb.ok("exec", name, "--", "sh", "-c", "echo written > /root/w")
        msb.ok("stop", name)
        msb.ok("snapshot", "create", f"s-{name}", "--from", name)
        assert msb.ok("run", "--from-snapshot", f"s-{name}", "--", "cat", "/etc/note", "/root/w") == "from the host\nwritten\n"


def test_damage_is_found(msb, ready, tmp_path):
    archive = tmp_path / "damaged.tar"
    msb.ok("snapshot", "save", ready, archive, "--plain-tar")
    data = bytearray(archive.read_bytes())
    for at in (len(data) // 2, len(data) * 2 // 3):
        broken = bytearray(data)
        broken[at] ^= 0xFF
        archive.write_bytes(broken)
        msb.ok("snapshot", "create", "aside", "--from", "setup", "--force")
        outcome = msb.run("snapshot", "load", archive)
        assert outcome.code != 0 and ("damaged" in outcome.err or "already exists" in outcome.err)
    archive.write_bytes(data[: len(data) // 2])
    assert msb.run("snapshot", "load", archive).code != 0
    archive.write_bytes(b"no archive at all")
    msb.fails("snapshot", "load", archive)
    msb.ok("snapshot", "create", "hurt", "--from", "setup", "--integrity")
    path = msb.home / "snapshots" / "hurt" / "upper.ext4"
    with open(path, "r+b") as disk:
        disk.seek(5 << 20)
        disk.write(b"x")
    msb.fails("snapshot", "verify", "hurt", says="not those it was made with")
    with open(path, "r+b") as disk:
        disk.truncate(1 << 20)
    msb.fails("run", "--from-snapshot", "hurt", "--", "true", says="bytes instead of")


def test_one_kept_elsewhere(msb, tmp_path):
    """On another file system than the home, named by its path, beside a stranger's file."""
    msb.ok("create", "busybox", "--name", "away", "--root-disk", "128M")
    msb.ok("exec", "away", "--", "sh", "-c", "echo kept > /root/file")
    msb.ok("stop", "away")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as shelf:
        shelf = pathlib.Path(shelf)
        msb.ok("snapshot", "create", "kept", "--from", "away", "--dest-dir", shelf, "--integrity")
        assert [entry.name for entry in shelf.iterdir()] == ["kept"]
        assert "kept" not in msb.ok("snapshot", "ls")
        msb.fails("snapshot", "inspect", "kept", says="there is no snapshot")
        assert msb.json("snapshot", "inspect", "./kept", cwd=shelf)["path"] == str(shelf / "kept")
        msb.ok("snapshot", "verify", shelf / "kept")
        assert msb.ok("run", "--from-snapshot", "./kept", "--", "cat", "/root/file", cwd=shelf) == "kept\n"
        msb.ok("snapshot", "save", "./kept", "kept.tar.zst", cwd=shelf)
        # A sandbox of it is changed and started from anywhere.
        msb.ok("create", "--from-snapshot", "./kept", "--name", "later", cwd=shelf)
        msb.ok("stop", "later")
        msb.fails("snapshot", "create", "kept", "--from", "away", "--dest-dir", shelf, says="already exists")
        msb.ok("snapshot", "create", "kept", "--from", "later", "--dest-dir", shelf, "--force")
        assert msb.json("snapshot", "inspect", shelf / "kept")["source_sandbox"] == "later"
        # What else is in its directory is nobody's business: it is neither replaced nor removed with it.
        (shelf / "kept" / "letters").write_text("mine")
        msb.fails("snapshot", "create", "kept", "--from", "away", "--dest-dir", shelf, "--force", says="letters")
        msb.ok("snapshot", "rm", "./kept", cwd=shelf)
        assert [entry.name for entry in (shelf / "kept").iterdir()] == ["letters"]
        msb.fails("snapshot", "create", "kept", "--from", "away", "--dest-dir", shelf, "--force", says="no snapshot")
        msb.fails("snapshot", "rm", "./kept", cwd=shelf, says="there is no snapshot")
        msb.ok("snapshot", "create", "other", "--from", "away", "--dest-dir", shelf)
        msb.ok("snapshot", "rm", shelf / "other")
        assert not (shelf / "other").exists()
    msb.ok("modify", "later", "--root-disk", "200M")
    msb.ok("start", "later")
    assert msb.ok("exec", "later", "--", "cat", "/root/file") == "kept\n"
    msb.fails("snapshot", "create", "x", "--from", "away", "--dest-dir", tmp_path / "none", says="none")


def test_a_sandbox_of_it_grows(msb, ready):
    msb.ok("create", "--from-snapshot", ready, "--name", "grows")
    msb.ok("stop", "grows")
    msb.fails("modify", "grows", "--root-disk", "100M", says="cannot shrink")
    msb.ok("modify", "grows", "--root-disk", "600M")
    msb.ok("start", "grows")
    assert 500 < int(msb.ok("exec", "grows", "--", "sh", "-c", "cat /root/file >&2; df -m / | tail -n 1").split()[1]) <= 600
    msb.ok("stop", "grows")
    msb.ok("snapshot", "create", "large", "--from", "grows")
    assert msb.json("snapshot", "inspect", "large")["size_bytes"] == 600 << 20
    assert msb.ok("run", "--from-snapshot", "large", "--", "cat", "/root/file") == "kept\n"
    # Grown, and not started since.
    msb.ok("modify", "grows", "--root-disk", "700M")
    msb.ok("snapshot", "create", "larger", "--from", "grows")
    assert 600 < int(msb.ok("run", "--from-snapshot", "larger", "--", "sh", "-c", "df -m / | tail -n 1").split()[1]) <= 700


def test_what_cannot_be_is_said(msb, ready):
    msb.ok("create", "busybox", "--name", "busy")
    msb.fails("snapshot", "create", "x", "--from", "busy", says=["is running", "msb stop busy"])
    msb.ok("create", "busybox", "--name", "ram", "--root-disk", "tmpfs")
    msb.ok("stop", "ram")
    msb.fails("snapshot", "create", "x", "--from", "ram", says="in memory")
    msb.fails("snapshot", "create", "x", "--from", "nobody", says="nobody")
    msb.fails("snapshot", "create", ready, "--from", "setup", says="already exists")
    msb.fails("snapshot", "create", "x", "--from", "setup", "--label", b"a=\xff", says="UTF-8")
    msb.fails("volume", "create", "x", "--label", b"a=\xff", says="UTF-8")
    msb.fails("snapshot", "create", "x", "--from", "setup", "--resumable", says="not in this version")
    msb.fails("run", "--from-snapshot", "none", "--", "true", says=["there is no snapshot 'none'", "snapshots are"])
    msb.fails("run", "busybox", "--from-snapshot", ready, "--", "true", code=2)
    msb.fails("snapshot", "rm", "none", says="there is no snapshot")
    msb.ok("snapshot", "rm", "-f", "none")


def test_the_image_beneath_is_kept(msb, ready):
    for name in msb.names():
        msb.ok("rm", "-f", name)
    msb.ok("image", "prune", "-y")
    assert msb.ok("run", "--pull", "never", "--from-snapshot", ready, "--", "cat", "/root/file") == "kept\n"
    msb.ok("snapshot", "rm", ready)
    assert ready not in json.dumps(msb.json("snapshot", "ls"))
