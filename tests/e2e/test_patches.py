"""Changes to the root before the boot: --copy, --copy-file, --copy-dir, --mkdir, --rm. The other patches are the library's:
examples/cpp/configured.cc, which test_cpp.py runs, and src/sandbox/patch_test.cc."""

import pytest


@pytest.fixture
def app(tmp_path):
    """A directory of the host with what can be in one."""
    folder = tmp_path / "app"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "data").write_text("data\n")
    (folder / "main.sh").write_text("#!/bin/sh\necho running\n")
    (folder / "main.sh").chmod(0o750)
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def test_files_and_directories_of_the_host(msb, app):
    lines = msb.ok("run", "busybox", "--copy", f"{app}:/opt/app", "--copy", f"{app}/main.sh:/usr/local/bin/main", "--mkdir", "/srv/deep/er",
                   "--", "sh", "-c", "cat /opt/app/sub/data; main; stat -c '%a %U %F' /opt/app/main.sh /srv/deep/er; readlink /opt/app/link").splitlines()
    assert lines == ["data", "running", "750 root regular file", "755 root directory", "/etc/passwd"]


def test_what_is_removed_is_gone_and_can_be_made_anew(msb, app):
    assert msb.ok("run", "busybox", "--rm", "/etc/passwd", "--rm", "/none/such", "--", "ls", "/etc").split().count("passwd") == 0
    assert msb.ok("run", "busybox", "--rm", "/etc", "--copy-file", f"{app}/sub/data:/etc/only", "--", "cat", "/etc/only") == "data\n"


def test_patches_are_there_after_a_restart_though_their_source_is_gone(msb, app):
    msb.ok("create", "busybox", "--name", "kept", "--copy-dir", f"{app}:/app")
    (app / "sub" / "data").unlink()
    msb.ok("exec", "kept", "--", "sh", "-c", "echo more >> /app/sub/data")
    msb.ok("restart", "kept")
    assert msb.ok("exec", "kept", "--", "cat", "/app/sub/data") == "data\nmore\n"
    patches = msb.inspect("kept")["config"]["config"]["patches"]
    assert [(patch["kind"], patch["path"]) for patch in patches] == [("copy_dir", "/app")]


@pytest.mark.parametrize("root_disk", ["64M", "tmpfs", "flat:64M"])
def test_any_writable_layer(msb, app, root_disk):
    assert msb.ok("run", "busybox", "--root-disk", root_disk, "--copy", f"{app}:/app", "--rm", "/etc/group", "--",
                  "sh", "-c", "cat /app/sub/data; ls /etc/group; echo w >> /app/sub/data; cat /app/sub/data") == "data\ndata\nw\n"


def test_a_directory_as_the_root(msb, app, tmp_path):
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "busybox").write_bytes(open("/bin/busybox", "rb").read())
    (root / "bin" / "busybox").chmod(0o755)
    (root / "mark").write_text("mark\n")
    outcome = msb.run("run", str(root), "--copy", f"{app}:/app", "--rm", "/mark", "--", "/bin/busybox", "ls", "/", "/app/sub")
    assert outcome.code == 0 and "mark" not in outcome.out and "data" in outcome.out, repr(outcome)
    assert (root / "mark").exists() and not (root / "app").exists()


def test_an_image_of_many_layers(msb, app):
    assert msb.ok("run", "tests/layers", "--copy-file", f"{app}/sub/data:/patched", "--", "cat", "/patched") == "data\n"


def test_links_of_the_image_lead_nowhere_outside_it(msb, app, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "way").symlink_to("/../../../../../.." + str(tmp_path))
    outcome = msb.run("run", str(root), "--copy", f"{app}/sub/data:/way/out", "--", "/none")
    assert outcome.code == 127, repr(outcome)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("flags", "says"), [
    (["--copy", "/none/such:/x"], ["/none/such", "copy_file /x"]),
    (["--copy-file", "{app}:/x"], ["is a directory", "--copy-dir"]),
    (["--copy-dir", "{app}/main.sh:/x"], ["not a directory", "--copy-file"]),
    (["--copy-file", "{app}/main.sh:/etc/passwd"], ["/etc/passwd", "exists"]),
    (["--copy-dir", "{app}:/etc"], ["/etc", "exists"]),
    (["--mkdir", "/etc/passwd"], ["/etc/passwd", "no directory"]),
    (["--copy-file", "{app}/main.sh:/etc/passwd/x"], ["'passwd' is not a directory"]),
])
def test_a_patch_that_cannot_be_leaves_nothing_behind(msb, app, flags, says):
    flags = [flag.replace("{app}", str(app)) for flag in flags]
    msb.fails("create", "busybox", "--name", "never", *flags, says=says)
    assert "never" not in msb.names()
    assert not list((msb.home / "sandboxes").glob("never/*.erofs*"))
    assert not list((msb.home / "sandboxes").glob("never/upper*"))
    msb.ok("create", "busybox", "--name", "never")


@pytest.mark.parametrize(("flags", "says"), [
    (["--copy", "file"], "copied where"),
    (["--mkdir", "relative"], "'relative' does not begin with '/'"),
    (["--rm", "/a/../b"], "'..'"),
    (["--rm", "/"], "root directory"),
])
def test_wrong_usage(msb, flags, says):
    msb.fails("run", "busybox", *flags, "--", "true", code=2, says=says)


def test_a_disk_image_is_not_patched(msb, tmp_path):
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    msb.fails("run", str(disk), "--mkdir", "/x", "--", "true", code=2, says=["disk image", "msb cp"])
