"""Directories and files of the host in a guest: bind mounts."""

import os
import pathlib
import shutil
import sqlite3
import stat
import tempfile
import textwrap

import pytest

from harness import BINARY, MACHINE, Msb

# Longer than any change of the host takes to be seen; nothing waits for it to pass.
SEEN = 60

PRELUDE = """
import ctypes, errno, fcntl, mmap, os, stat, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def error_of(call, *args, **named):
    try:
        call(*args, **named)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "no error"
def mount(source, target, kind, flags):
    done = libc.mount(*(None if text is None else text.encode() for text in (source, target, kind)), ctypes.c_ulong(flags), None)
    return "no error" if done == 0 else errno.errorcode[ctypes.get_errno()]
def until(condition):
    end = time.monotonic() + %d
    while not condition():
        assert time.monotonic() < end, "never seen"
""" % SEEN


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What is shared with the box."""
    top = tmp_path_factory.mktemp("shares")
    for name in ("rw", "rw/below", "ro", "below", "mirror", "noexec", "files"):
        (top / name).mkdir()
    (top / "ro/file").write_text("as it was\n")
    (top / "files/one").write_text("one\n")
    (top / "files/two").write_text("two\n")
    (top / "secret").write_text("secret\n")
    shutil.copy("/bin/true", top / "noexec/true")
    return top


@pytest.fixture(scope="module")
def box(_shared_home, place):
    """A running sandbox with many shares."""
    _shared_home.ok("create", "python", "--name", "box", "--replace",
                    "-v", f"{place}/rw:/rw",
                    "-v", f"{place}/ro:/ro:ro",
                    "--mount-dir", f"{place}/below:/rw/below",
                    "--mount-dir", f"{place}/mirror:/mirror:host-perms=mirror",
                    "--mount-dir", f"{place}/noexec:/noexec:noexec,nosuid,nodev",
                    "--mount-file", f"{place}/files/one:/etc/one")
    yield "box"
    _shared_home.run("rm", "-f", "box")


@pytest.fixture
def guest(shared, box):
    """Runs Python in the box and returns what it printed."""
    return lambda script: shared.ok("exec", box, "--", "python3", "-c", PRELUDE + textwrap.dedent(script)).strip()


def test_each_side_sees_what_the_other_writes(guest, place):
    (place / "rw/from-host").write_text("hello guest\n")
    assert guest("""
        print(open("/rw/from-host").read(), end="")
        open("/rw/from-guest", "w").write("hello host\\n")
        os.makedirs("/rw/a/b/c")
        os.rename("/rw/from-guest", "/rw/a/b/c/moved")
    """) == "hello guest"
    assert (place / "rw/a/b/c/moved").read_text() == "hello host\n"


def test_changes_of_the_host_are_seen(guest, shared, place):
    (place / "rw/changing").write_text("old\n")
    (place / "rw/going").write_text("x")
    reader = shared.spawn("exec", "box", "--", "python3", "-c", PRELUDE + textwrap.dedent("""
        print(open("/rw/changing").read(), os.path.exists("/rw/going"), flush=True)
        until(lambda: open("/rw/changing").read() == "new and longer\\n")
        until(lambda: not os.path.exists("/rw/going"))
        until(lambda: os.path.exists("/rw/coming"))
        print("seen")
    """))
    assert b"old" in reader.stdout.readline()
    (place / "rw/changing").write_text("new and longer\n")
    (place / "rw/going").unlink()
    (place / "rw/coming").write_text("")
    out, err = reader.communicate(timeout=2 * SEEN)
    assert out.endswith(b"seen\n"), err


def test_read_only_is_the_hosts_word(guest, place):
    assert guest("""
        MS_REMOUNT, MS_BIND = 32, 4096
        def all_of_it():
            return {error_of(call, *args) for call, *args in (
                (open, "/ro/file", "a"), (open, "/ro/new", "w"), (os.truncate, "/ro/file", 0), (os.unlink, "/ro/file"), (os.mkdir, "/ro/d"),
                (os.rename, "/ro/file", "/ro/g"), (os.chmod, "/ro/file", 0o777), (os.chown, "/ro/file", 1, 1), (os.utime, "/ro/file"),
                (os.symlink, "x", "/ro/s"), (os.link, "/ro/file", "/ro/h"), (os.setxattr, "/ro/file", "user.x", b"1"))}
        print(all_of_it())
        print(mount(None, "/ro", None, MS_REMOUNT | MS_BIND))
        print(all_of_it())
        print(open("/ro/file").read(), end="")
    """).splitlines() == ["{'EROFS'}", "no error", "{'EROFS'}", "as it was"]
    assert [entry.name for entry in (place / "ro").iterdir()] == ["file"]


def test_a_single_file_is_all_there_is(guest, place):
    assert guest("""
        print(open("/etc/one").read(), end="")
        open("/etc/one", "a").write("more\\n")
        print(error_of(os.unlink, "/etc/one"))
        # A guest can mount the file system with all shares, but finds no more in it.
        os.makedirs("/tmp/all", exist_ok=True)
        print(mount("msb", "/tmp/all", "virtiofs", 0))
        shares = {name: os.listdir("/tmp/all/" + name) for name in os.listdir("/tmp/all") if name != "5"}
        print(len(shares))
        print(error_of(open, "/tmp/all/5/two"), error_of(open, "/tmp/all/5/new", "w"), error_of(os.rename, "/tmp/all/5/one", "/tmp/all/5/x"))
        libc.umount(b"/tmp/all")
    """).splitlines() == ["one", "EBUSY", "no error", "5", "ENOENT EPERM EPERM"]
    assert (place / "files/one").read_text() == "one\nmore\n"
    assert sorted(os.listdir(place / "files")) == ["one", "two"]


def test_a_share_below_another(guest, place):
    guest("""open("/rw/below/in-the-inner", "w").write("x")""")
    assert os.listdir(place / "below") == ["in-the-inner"]
    assert os.listdir(place / "rw/below") == []
    # Nothing moves from one to the other but by being copied.
    assert guest("""
        open("/rw/outer", "w").write("x")
        print(error_of(os.rename, "/rw/outer", "/rw/below/outer"), error_of(os.link, "/rw/outer", "/rw/below/outer"))
    """) == "EXDEV EXDEV"


def test_owners_and_modes_are_the_guests(guest, place):
    assert guest("""
        for top in "/rw", "/mirror":
            path = top + "/owned"
            open(path, "w").write("x")
            os.chown(path, 1234, 4321)
            os.chmod(path, 0o6755)
            status = os.stat(path)
            print(status.st_uid, status.st_gid, oct(status.st_mode))
            os.mknod(top + "/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.mkfifo(top + "/fifo")
            status = os.stat(top + "/null")
            print(stat.S_ISCHR(status.st_mode), status.st_rdev == os.makedev(1, 3), stat.S_ISFIFO(os.stat(top + "/fifo").st_mode))
    """).splitlines() == ["1234 4321 0o106755", "True True True"] * 2
    for name, mode in (("rw", 0o700), ("mirror", 0o755)):
        status = (place / name / "owned").stat()
        assert stat.S_IMODE(status.st_mode) == mode
        assert status.st_uid == os.geteuid()
        assert b"1234:4321" in os.getxattr(place / name / "owned", "user.containers.override_stat")
        # The host gets no device and no FIFO.
        assert stat.S_ISREG((place / name / "null").stat().st_mode)
        assert stat.S_ISREG((place / name / "fifo").stat().st_mode)
    assert guest("""print(error_of(os.getxattr, "/rw/owned", "user.containers.override_stat"))""") == "ENODATA"


def test_a_users_permissions_are_checked(guest):
    assert guest("""
        open("/rw/private", "w").write("x")
        os.chmod("/rw/private", 0o600)
        os.mkdir("/rw/theirs")
        os.chown("/rw/theirs", 1000, 1000)
        sys.stdout.flush()
        if os.fork() == 0:
            os.setgid(1000), os.setuid(1000)
            open("/rw/theirs/file", "w").write("y")
            print(error_of(open, "/rw/private"), error_of(open, "/rw/new", "w"), os.stat("/rw/theirs/file").st_uid, flush=True)
            os._exit(0)
        os.wait()
    """) == "EACCES EACCES 1000"


def test_links_lead_nowhere_on_the_host(guest, place):
    (place / "rw/to-secret").symlink_to(place / "secret")
    (place / "rw/up").symlink_to("../secret")
    (place / "rw/to-hostname").symlink_to("/etc/hostname")
    assert guest("""
        print(error_of(open, "/rw/to-secret"), error_of(open, "/rw/up"), os.readlink("/rw/up"))
        print(open("/rw/to-hostname").read() == open("/etc/hostname").read())
        os.symlink("/etc/passwd", "/rw/from-guest-link")
    """).splitlines() == ["ENOENT ENOENT ../secret", "True"]
    assert os.readlink(place / "rw/from-guest-link") == "/etc/passwd"


def test_names_are_bytes(guest, place):
    names = [b"\xff\xfe", b"new\nline", b"a b", "\u00e4".encode(), b"n" * 255]
    (place / "rw/names").mkdir()
    for name in names[:3]:
        (pathlib.Path(os.fsdecode(os.fsencode(place / "rw/names") + b"/" + name))).write_bytes(name)
    guest(f"""
        names = {names!r}
        for name in names[3:]:
            open(b"/rw/names/" + name, "wb").write(name)
        assert sorted(os.listdir(b"/rw/names")) == sorted(names)
        assert all(open(b"/rw/names/" + name, "rb").read() == name for name in names)
    """)
    assert sorted(os.listdir(os.fsencode(place / "rw/names"))) == sorted(names)


def test_what_programs_do_with_files(guest, place):
    assert guest("""
        os.mkdir("/rw/files")
        os.chdir("/rw/files")
        # Mapped, shared and private.
        with open("mapped", "w+b") as file:
            file.truncate(1 << 20)
            with mmap.mmap(file.fileno(), 0) as view:
                view[4096:4101] = b"hello"
                view.flush()
            file.seek(4096)
            print(file.read(5))
        # Hard links.
        os.link("mapped", "second")
        print(os.stat("mapped").st_nlink, os.path.samefile("mapped", "second"))
        # Locks.
        first, second = open("mapped"), open("mapped")
        fcntl.flock(first, fcntl.LOCK_EX)
        print(error_of(fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB))
        fcntl.flock(first, fcntl.LOCK_UN)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A file without a name, which gets one.
        nameless = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(nameless, b"named later")
        AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
        print(libc.linkat(AT_FDCWD, f"/proc/self/fd/{nameless}".encode(), AT_FDCWD, b"named", AT_SYMLINK_FOLLOW))
        print(open("named").read())
        # Space, holes.
        with open("sparse", "w+b") as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 20)
            file.seek(8 << 20)
            file.write(b"end")
            file.flush()
            print(os.fstat(file.fileno()).st_size, os.lseek(file.fileno(), 2 << 20, os.SEEK_DATA) >= 2 << 20)
            KEEP_SIZE, PUNCH_HOLE = 1, 2
            print(libc.fallocate(file.fileno(), KEEP_SIZE | PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(4096)))
        # Names.
        open("a", "w").write("a"); open("b", "w").write("b")
        NOREPLACE, EXCHANGE = 1, 2
        print(libc.renameat2(AT_FDCWD, b"a", AT_FDCWD, b"b", NOREPLACE), errno.errorcode[ctypes.get_errno()],
              libc.renameat2(AT_FDCWD, b"a", AT_FDCWD, b"b", EXCHANGE), open("a").read())
        os.replace("a", "b")
        print(open("b").read(), os.path.exists("a"))
        # An open file lives on without a name.
        file = open("b"); os.unlink("b"); print(file.read(), os.fstat(file.fileno()).st_nlink)
        # Attributes.
        os.setxattr("mapped", "user.note", b"kept"); os.setxattr("mapped", "security.test", b"\\0\\1")
        print(sorted(os.listxattr("second")), os.getxattr("second", "user.note"))
        # Times, sizes.
        os.utime("mapped", ns=(1, 1_000_000_007)); print(os.stat("mapped").st_mtime_ns)
        os.truncate("mapped", 10); print(os.stat("mapped").st_size)
        print(error_of(os.rmdir, "/rw/files"), error_of(os.mkdir, "named"), error_of(open, "named/x"))
        os.sync()
    """).splitlines() == [
        "b'hello'", "2 True", "EAGAIN", "0", "named later", "8388611 True", "0", "-1 EEXIST 0 b", "b False", "b 0",
        "['security.test', 'user.note'] b'kept'", "1000000007", "10", "ENOTEMPTY EEXIST ENOTDIR"]
    assert (place / "rw/files/named").read_text() == "named later"
    assert (place / "rw/files/second").stat().st_size == 10


def test_a_large_file_both_ways(guest, place):
    content = os.urandom(1 << 20) * 32
    (place / "rw/large").write_bytes(content)
    guest("""
        import shutil
        shutil.copyfile("/rw/large", "/rw/large-copy")
        with open("/rw/large", "rb") as a, open("/rw/large-copy", "rb") as b:
            while part := a.read(1 << 20):
                assert part == b.read(1 << 20)
    """)
    assert (place / "rw/large-copy").read_bytes() == content


def test_many_small_files(guest, place):
    assert guest("""
        os.makedirs("/rw/many")
        for i in range(600):
            open(f"/rw/many/{i}", "w").write(str(i))
        print(len(os.listdir("/rw/many")), sum(int(open(entry.path).read()) == int(entry.name) for entry in os.scandir("/rw/many")))
        for i in range(0, 600, 2):
            os.unlink(f"/rw/many/{i}")
    """) == "600 600"
    assert len(os.listdir(place / "rw/many")) == 300


def test_programs_are_not_run_where_that_is_said(guest):
    assert guest("""
        print(error_of(subprocess.run, ["/noexec/true"]))
        print([line.split()[3].split(",")[:4] for line in open("/proc/mounts") if " /noexec " in line])
    """).splitlines() == ["EACCES", "[['rw', 'nosuid', 'nodev', 'noexec']]"]


def test_a_database(guest, place):
    guest("""
        import sqlite3
        database = sqlite3.connect("/rw/data.db")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (n INTEGER, text TEXT)")
        for i in range(20):
            with database:
                database.executemany("INSERT INTO t VALUES (?, ?)", [(i * 50 + j, "x" * j) for j in range(50)])
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    """)
    with sqlite3.connect(place / "rw/data.db") as database:
        assert database.execute("SELECT count(*), sum(n) FROM t").fetchone() == (1000, 499500)


def test_inspect_tells_of_the_walls_and_the_mounts(shared, box, place):
    about = shared.inspect(box)
    sources = {mount["target"]: mount["source"] for mount in about["config"]["config"]["mounts"]}
    assert sources["/rw"] == str(place / "rw")
    assert sources["/etc/one"] == str(place / "files/one")
    assert any(wall["name"].startswith("share-") for wall in about["walls"])


def test_mounts_are_there_again_after_a_restart(msb, tmp_path):
    (tmp_path / "work").mkdir()
    msb.ok("create", "busybox", "--name", "again", "-v", f"{tmp_path}/work:/work")
    msb.ok("exec", "again", "--", "sh", "-c", "echo 1 > /work/one; chown 5:6 /work/one")
    msb.ok("restart", "again")
    assert msb.ok("exec", "again", "--", "stat", "-c", "%u:%g", "/work/one") == "5:6\n"
    msb.ok("stop", "again")
    (tmp_path / "work").rename(tmp_path / "gone")
    msb.fails("start", "again", says=[f"{tmp_path}/work", "No such file"])
    (tmp_path / "work").symlink_to("gone")
    msb.fails("start", "again", says="symbolic link")


def test_a_relative_source_and_a_link(msb, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("found\n")
    (tmp_path / "link").symlink_to("real")
    for source in ("./link", "../" + tmp_path.name + "/real", "."):
        path = "/work/real/file" if source == "." else "/work/file"
        assert msb.ok("run", "busybox", "-v", f"{source}:/work", "--", "cat", path, cwd=tmp_path) == "found\n"


def test_what_is_written_is_on_the_host_when_the_sandbox_has_stopped(msb, tmp_path):
    msb.ok("run", "busybox", "-v", f"{tmp_path}:/work", "--", "sh", "-c", "dd if=/dev/zero of=/work/zeros bs=64k count=64; mkdir /work/d")
    assert (tmp_path / "zeros").stat().st_size == 4 << 20


def test_one_directory_in_two_sandboxes(msb, tmp_path):
    for name in ("left", "right"):
        msb.ok("create", "busybox", "--name", name, "-v", f"{tmp_path}:/work")
    msb.ok("exec", "left", "--", "sh", "-c", "echo from-left > /work/file")
    assert msb.ok("exec", "right", "--", "cat", "/work/file") == "from-left\n"


def test_a_quota_bounds_what_is_added(msb, tmp_path):
    (tmp_path / "before").write_bytes(bytes(8 << 20))
    outcome = msb.run("run", "busybox", "-v", f"{tmp_path}:/work:quota=4M", "--", "sh", "-c",
                      "dd if=/dev/zero of=/work/big bs=64k count=128; echo still here")
    assert outcome.out == "still here\n" and "No space left" in outcome.err
    assert (tmp_path / "big").stat().st_size <= 4 << 20


def test_what_the_hosts_git_would_run_can_be_protected(msb, tmp_path):
    (tmp_path / ".git/hooks").mkdir(parents=True)
    (tmp_path / ".git/config").write_text("[core]\n")
    (tmp_path / "evil").write_text("#!/bin/sh\n")
    tries = ["cp evil .git/hooks/pre-commit", "ln evil .git/hooks/pre-push", "mv evil .git/config", "echo >> .git/config", "chmod 777 .git/hooks",
             "mv .git old", "rm -r .git/hooks", "mkdir sub/.git", "ln -s /evil .git/commondir", "mkdir .vscode", "mv sub .Git"]
    script = "mkdir sub; " + "".join(f"{attempt} 2>/dev/null && echo '{attempt} worked'; " for attempt in tries)
    script += "echo ref > .git/HEAD && mkdir -p .git/refs/heads && mv sub other && echo works"
    assert msb.ok("run", "busybox", "-v", f"{tmp_path}:/work:protect-hooks", "-w", "/work", "--", "sh", "-c", script) == "works\n"
    assert sorted(os.listdir(tmp_path / ".git")) == ["HEAD", "config", "hooks", "refs"]
    assert (tmp_path / ".git/config").read_text() == "[core]\n"
    assert os.listdir(tmp_path / ".git/hooks") == []


@pytest.mark.skipif(MACHINE == "kvm" and os.geteuid() == 0, reason="only root may use /dev/kvm here")
def test_an_ordinary_users_guest_has_root(registry):
    """chown, chmod and mknod in the guest need no rights on the host."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="msb-user-"))
    options = {}
    binary = BINARY
    try:
        (top / "work").mkdir()
        msb = Msb(top / "home", registry, binary)
        if os.geteuid() == 0:
            # The checkout may lie where only root can go.
            msb.binary = shutil.copy(BINARY, top / "msb")
            for path in (top, *top.rglob("*")):
                os.chown(path, 65534, 65534)
            options = {"user": 65534, "group": 65534, "extra_groups": []}
        out = msb.ok("run", "busybox", "-v", f"{top}/work:/work", "--", "sh", "-c",
                     "echo x > /work/f && chown 12:34 /work/f && chmod 4750 /work/f && mknod /work/n c 1 3 && stat -c '%u:%g %a' /work/f; "
                     "su -s /bin/sh nobody -c 'cat /work/f' 2>&1 || true", env={"HOME": str(top)}, **options)
        assert out.splitlines()[0] == "12:34 4750"
        assert "denied" in out
        status = (top / "work/f").stat()
        assert status.st_uid == (65534 if options else os.geteuid())
        assert stat.S_IMODE(status.st_mode) == 0o700
    finally:
        shutil.rmtree(top)


@pytest.mark.parametrize(("flags", "says"), [
    (["-v", "./src:work"], "absolute"),
    (["-v", "/tmp:/work:rx"], "'rx'"),
    (["-v", "/tmp:/work:ro,ro"], "twice"),
    (["-v", "/tmp:/work:suid"], "say nosuid"),
    (["-v", "/tmp:/work", "--tmpfs", "/work"], "two mounts"),
    (["-v", "/tmp:/a/../b"], "component"),
    (["--mount-dir", "/tmp:/proc"], "/proc"),
])
def test_wrong_usage(msb, flags, says):
    msb.fails("run", "busybox", *flags, "--", "true", code=2, says=says)


def test_sources_that_cannot_be_shared(msb, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    run = lambda *flags, says: msb.fails("run", "busybox", *flags, "--", "true", says=says)
    run("-v", f"{tmp_path}/none:/work", says=[f"{tmp_path}/none", "No such file"])
    run("--mount-dir", f"{tmp_path}/file:/work", says="is not a directory")
    run("--mount-file", f"{tmp_path}/dir:/work", says="is a directory")
    run("-v", f"{tmp_path}/fifo:/work", says="neither a directory nor a regular file")
    run("-v", f"{tmp_path}/file:/work", "--tmpfs", "/work/below", says="nothing can be mounted on /work/below")
    run("-v", f"{msb.home}:/work:ro", says="msb keeps its own files")
    run("-v", f"{msb.home.parent}:/work", says="cannot be shared for writing")
    # A mount point that would have to be made on a read-only share.
    run("-v", f"{tmp_path}/dir:/work:ro", "--tmpfs", "/work/new", says=["/work/new", "Read-only"])
