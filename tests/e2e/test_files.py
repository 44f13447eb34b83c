"""Files between the host and sandboxes: msb cp in every direction."""

import io
import os
import stat
import tarfile

import pytest


@pytest.fixture
def room(shared, box, tmp_path):
    """A fresh directory in the guest, at the same path each time."""
    shared.ok("exec", box, "--", "sh", "-c", "rm -rf /room && mkdir /room")
    return "/room"


def in_guest(shared, box, script):
    return shared.ok("exec", box, "--", "sh", "-c", script)


def tree_of(path):
    """name -> (kind and mode, whole seconds of the last change, content or target)."""
    found = {}
    for folder, names, files in os.walk(path):
        for name in names + files:
            full = os.path.join(folder, name)
            status = os.lstat(full)
            content = os.readlink(full) if stat.S_ISLNK(status.st_mode) else open(full, "rb").read() if stat.S_ISREG(status.st_mode) else None
            when = None if stat.S_ISLNK(status.st_mode) else status.st_mtime_ns
            found[os.path.relpath(full, path)] = (status.st_mode, when, content)
    return found


@pytest.fixture
def project(tmp_path):
    """A directory with what trees have in them."""
    top = tmp_path / "project"
    (top / "src/deep").mkdir(parents=True)
    (top / "src/main.c").write_text("int main;\n")
    (top / "src/deep/odd \n name").write_bytes(bytes(range(256)) * 1000)
    with open(os.fsencode(top) + b"/not utf-8 \xff\xfe", "wb") as file:
        file.write(b"x")
    (top / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (top / "run.sh").chmod(0o751)
    (top / "secret").write_text("s")
    (top / "secret").chmod(0o600)
    (top / "link").symlink_to("src/main.c")
    (top / "dangling").symlink_to("/no/such/place")
    (top / "empty").mkdir(mode=0o711)
    os.utime(top / "src/main.c", ns=(1, 1_600_000_000_123_456_789))
    os.utime(top / "src", ns=(1, 1_500_000_000_000_000_000))
    return top


def test_a_tree_goes_in_and_comes_out_the_same(shared, box, room, project, tmp_path):
    shared.ok("cp", project, f"{box}:{room}/new")
    assert in_guest(shared, box, f"cd {room}/new && ./run.sh && readlink link && stat -c '%a %u:%g' secret && cat src/main.c") == "ran\nsrc/main.c\n600 0:0\nint main;\n"
    shared.ok("cp", f"{box}:{room}/new", tmp_path / "back")
    assert tree_of(os.fsencode(tmp_path / "back")) == tree_of(os.fsencode(project))


def test_a_destination_is_found_as_docker_finds_it(shared, box, room, project, tmp_path):
    file = tmp_path / "f"
    file.write_text("f")
    shared.ok("cp", file, f"{box}:{room}/renamed")
    shared.ok("cp", file, f"{box}:{room}")
    shared.ok("cp", project, f"{box}:{room}")
    shared.ok("cp", f"{project}/.", f"{box}:{room}/made")
    shared.ok("cp", f"{project}/src/.", f"{box}:{room}")
    assert in_guest(shared, box, f"cd {room} && cat renamed f && test -x project/run.sh && test -x made/run.sh && test -d deep && cat main.c") == "ffint main;\n"
    shared.fails("cp", file, f"{box}:{room}/missing/", says=["missing", "does not exist"])
    shared.fails("cp", file, f"{box}:{room}/no/parent", says="/no")
    shared.fails("cp", project, f"{box}:{room}/f", says="is a directory")
    shared.fails("cp", f"{file}/", f"{box}:{room}", says=str(file))
    shared.fails("cp", f"{box}:{room}/f", f"{tmp_path}/missing/", says="does not exist")
    in_guest(shared, box, f"mkdir -p {room}/d/f")
    shared.fails("cp", file, f"{box}:{room}/d", says="f: Is a directory")


def test_errors_name_the_path_and_the_reason(shared, box, tmp_path):
    shared.fails("cp", f"{box}:/no/such/file", tmp_path, says=["/no/such/file", "No such file"])
    shared.fails("cp", tmp_path / "absent", f"{box}:/tmp", says=["absent", "No such file"])
    shared.fails("cp", tmp_path, tmp_path, code=2, says="sandbox")
    shared.fails("cp", "-", "-", code=2, says="sandbox")
    shared.fails("cp", f"{box}:", tmp_path, code=2, says="path")
    shared.fails("cp", "no-such-box:/etc", tmp_path, says="no-such-box")
    shared.fails("cp", "bad name:/etc", tmp_path, code=2, says="./bad name")


def test_one_file_of_any_size_and_a_sparse_one(shared, box, room, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 5 + b"end")
    shared.ok("cp", big, f"{box}:{room}/big")
    shared.ok("cp", f"{box}:{room}/big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    in_guest(shared, box, f"dd if=/dev/zero of={room}/sparse bs=1 count=1 seek=1000000000 2>/dev/null")
    shared.ok("cp", f"{box}:{room}/sparse", tmp_path / "sparse")
    status = os.stat(tmp_path / "sparse")
    assert status.st_size == 1_000_000_001 and status.st_blocks * 512 < 1 << 20


def test_links_in_the_guest_never_lead_the_host_astray(shared, box, room, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    into = tmp_path / "into"
    into.mkdir()
    in_guest(shared, box, f"cd {room} && ln -s {outside} way && ln -s {outside}/precious file")
    shared.ok("cp", f"{box}:{room}/.", into)
    assert os.readlink(into / "way") == str(outside)
    in_guest(shared, box, f"cd {room} && rm way file && mkdir way && echo bad > way/precious && echo bad > file")
    shared.fails("cp", f"{box}:{room}/.", into, says="way")
    shared.run("cp", f"{box}:{room}/file", into / "file")
    assert (outside / "precious").read_text() == "precious"
    assert sorted(os.listdir(outside)) == ["precious"]


def test_set_id_bits_and_devices_stay_in_the_guest(shared, box, room, tmp_path):
    in_guest(shared, box, f"cd {room} && cp /bin/busybox su && chmod 6755 su && mknod null c 1 3")
    outcome = shared.run("cp", f"{box}:{room}", tmp_path / "out")
    assert outcome.code == 0 and "null" in outcome.err, repr(outcome)
    assert stat.S_IMODE(os.stat(tmp_path / "out/su").st_mode) == 0o755
    assert not (tmp_path / "out/null").exists()


def test_a_link_itself_or_what_it_points_to(shared, box, room, tmp_path):
    in_guest(shared, box, f"cd {room} && echo text > f && ln -s f link")
    shared.ok("cp", f"{box}:{room}/link", tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "f"
    shared.ok("cp", "-L", f"{box}:{room}/link", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "text\n" and not (tmp_path / "file").is_symlink()


def test_tar_streams_both_ways(shared, box, room, project):
    shared.ok("cp", project, f"{box}:{room}/project")
    in_guest(shared, box, f"chown 1234:5678 {room}/project/secret")
    archive = shared.run("cp", f"{box}:{room}/project", "-")
    assert archive.code == 0, archive.err
    with tarfile.open(fileobj=io.BytesIO(archive.raw_out)) as tar:
        names = {member.name: member for member in tar}
        assert names["project/run.sh"].mode == 0o751
        assert (names["project/secret"].uid, names["project/secret"].gid) == (1234, 5678)
        assert names["project/link"].linkname == "src/main.c"
        assert tar.extractfile("project/src/main.c").read() == b"int main;\n"
    in_guest(shared, box, f"mkdir {room}/again")
    shared.ok("cp", "-", f"{box}:{room}/again", input=archive.raw_out)
    assert in_guest(shared, box, f"cd {room}/again/project && ./run.sh && stat -c %u:%g secret && diff -r . {room}/project && echo same") == "ran\n1234:5678\nsame\n"
    shared.fails("cp", "-", f"{box}:{room}/again", input=b"this is no archive" * 100, says="tar")
    shared.fails("cp", "-", f"{box}:{room}/absent", input=archive.raw_out, says="absent")


def test_an_archive_that_leads_out_of_its_directory_is_refused(shared, box, room):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"))
    in_guest(shared, box, f"mkdir {room}/inner")
    shared.fails("cp", "-", f"{box}:{room}/inner", input=buffer.getvalue(), says="leads out")
    assert in_guest(shared, box, f"ls {room}") == "inner\n"


def test_between_two_sandboxes(shared, box, room, project, tmp_path):
    shared.ok("create", "busybox", "--name", "other", "--replace")
    try:
        shared.ok("cp", project, f"{box}:{room}/p")
        in_guest(shared, box, f"chown 77:88 {room}/p/secret")
        shared.ok("cp", f"{box}:{room}/p", "other:/")
        out = shared.ok("exec", "other", "--", "sh", "-c", "cd /p && ./run.sh && stat -c %u:%g secret && cat src/main.c")
        assert out == "ran\n77:88\nint main;\n"
        # A sandbox that is stopped is started for it, and stopped again.
        shared.ok("stop", "other")
        shared.ok("cp", "other:/p/run.sh", tmp_path / "run.sh")
        assert (tmp_path / "run.sh").read_text() == "#!/bin/sh\necho ran\n"
        assert shared.inspect("other")["status"].lower() == "stopped"
    finally:
        shared.run("rm", "-f", "other")


def test_a_fifo_or_device_is_told_apart_and_blocks_nobody(shared, box, room, tmp_path):
    in_guest(shared, box, f"mkfifo {room}/fifo")
    shared.ok("cp", f"{box}:{room}/fifo", tmp_path / "fifo")
    assert stat.S_ISFIFO(os.stat(tmp_path / "fifo").st_mode)
    shared.fails("cp", tmp_path / "fifo", f"{box}:/dev/null", says="/dev/null is neither")
    shared.fails("cp", f"{box}:/etc/passwd", tmp_path / "fifo", says="fifo is neither")
    shared.ok("cp", f"{box}:/proc/version", tmp_path / "version")
    assert "Linux" in (tmp_path / "version").read_text()


def test_a_reader_that_stalls_holds_up_nobody_else(shared, box, room, tmp_path):
    in_guest(shared, box, f"dd if=/dev/zero of={room}/big bs=1M count=16 2>/dev/null")
    stalled = shared.spawn("cp", f"{box}:{room}/big", "-")
    assert len(stalled.stdout.read(512)) == 512
    shared.ok("cp", f"{box}:/etc/passwd", tmp_path / "passwd")
    stalled.kill()
    stalled.communicate()
    shared.ok("cp", f"{box}:/etc/passwd", tmp_path / "passwd")


def test_a_full_disk_is_an_error_and_the_guest_lives_on(shared, box, room, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(20 << 20))
    in_guest(shared, box, f"mkdir {room}/small && mount -t tmpfs -o size=1m none {room}/small")
    try:
        shared.fails("cp", big, f"{box}:{room}/small", says=["big", "No space left"])
        assert in_guest(shared, box, f"ls {room}/small") == ""
    finally:
        in_guest(shared, box, f"umount {room}/small")
