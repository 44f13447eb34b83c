"""Programs of a sandbox at /.msb/scripts, which is in its PATH."""

import subprocess

import pytest


def test_scripts_are_run_by_name(msb):
    # The scripts of the README: one that sets up, and one that starts.
    msb.ok("create", "busybox", "--name", "worker", "--script", r"setup=mkdir /app\necho 'echo \"app $1\"' > /app/main",
           "--script-raw", "start=#!/bin/sh\nexec sh /app/main \"$@\"\n")
    msb.ok("shell", "worker", "--", "setup")
    assert msb.ok("shell", "worker", "--", "start one") == "app one\n"
    assert msb.ok("exec", "worker", "--", "start", "two") == "app two\n"
    assert msb.ok("exec", "worker", "--", "cat", "/.msb/scripts/setup").startswith("#!/bin/sh\nmkdir /app\n")
    msb.ok("restart", "worker")
    assert msb.ok("exec", "worker", "--", "start", "three") == "app three\n"


def test_a_script_is_the_command_of_a_run(msb, tmp_path):
    script = tmp_path / "hello.sh"
    script.write_text("#!/bin/sh\necho hello $(basename $0)\n")
    assert msb.ok("run", "busybox", "--script-path", f"hello:{script}", "--", "hello") == "hello hello\n"
    name = msb.ok("run", "busybox", "-d", "--script", "serve=echo served; exit 3", "--", "serve").strip()
    ended = msb.wait_until_stopped(name)
    assert ended["exit_code"] == 3
    assert "served" in msb.ok("logs", name)


def test_scripts_belong_to_root_and_stay_as_they_are(msb):
    outcome = msb.run("run", "busybox", "--script", "one=true", "--script", "two=true", "--", "sh", "-c",
                      "stat -c '%n %a %u' /.msb/scripts/*; echo x > /.msb/scripts/one || touch /.msb/scripts/new; echo $PATH")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[:2] == ["/.msb/scripts/one 755 0", "/.msb/scripts/two 755 0"]
    assert lines[2].startswith("/.msb/scripts:")
    assert outcome.err.count("Read-only") == 2


@pytest.mark.parametrize("root", ["tmpfs", "flat:64M", "disk"])
def test_any_root_has_them(msb, root, tmp_path):
    flags = ["busybox", "--root-disk", root]
    if root == "disk":
        folder, disk = tmp_path / "root", tmp_path / "root.raw"
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "sh").write_bytes(open("/bin/busybox", "rb").read())
        (folder / "bin" / "sh").chmod(0o755)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(folder), str(disk), "32M"], check=True)
        flags = [str(disk)]
    assert msb.ok("run", *flags, "--script", "greet=echo hi", "--", "greet") == "hi\n"


def test_binaries_are_scripts_too(msb):
    assert msb.ok("run", "busybox", "--script-path", "true:/bin/busybox", "--", "true") == ""


@pytest.mark.parametrize(("flags", "code", "says"), [
    (["--script", "nothing"], 2, ["nothing", "NAME=TEXT"]),
    (["--script", "=x"], 2, "NAME=TEXT"),
    (["--script", "a/b=x"], 2, "'a/b'"),
    (["--script", "..=x"], 2, "'..'"),
    (["--script", "a=x", "--script-raw", "a=y"], 2, "two scripts are named 'a'"),
    (["--script-path", "a:/none/such"], 1, ["'a'", "/none/such"]),
    (["--tmpfs", "/.msb"], 2, "/.msb"),
])
def test_wrong_ones(msb, flags, code, says):
    msb.fails("run", "busybox", *flags, "--", "true", code=code, says=says)


def test_more_than_fits(msb, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes((16 << 20) + 1))
    msb.fails("run", "busybox", "--script-path", f"large:{large}", "--", "true", code=2, says=["16.0 MiB", "--copy"])
