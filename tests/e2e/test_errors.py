"""Errors are clear: what was attempted, why it failed, what to do."""

import pathlib
import shutil
import subprocess

import pytest

from harness import MACHINE


def test_no_image_and_no_command(msb, registry):
    msb.fails("run", code=2, says="image")
    msb.fails("create", code=2, says="image")


@pytest.mark.parametrize("flags, phrase", [
    (["--memory", "0"], "out of range"), (["--memory", "lots"], "lots"), (["--memory", "-5"], "-5"), (["--cpus", "0"], "cpu"),
    (["--cpus", "1000"], "cpu"), (["--max-duration", "soon"], "soon"), (["--root-disk", "1"], "root disk"), (["--root-disk", "big"], "big"),
    (["--env", "=x"], "env"), (["--env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"), (["--rlimit", "nofile"], "nofile"),
    (["--pull", "x"], "pull"), (["--machine", "abacus"], "abacus"), (["--isolation", "hope"], "hope"), (["--user", "a:b:c"], "a:b:c"),
    (["--workdir", "relative"], "relative"), (["--hostname", "h" * 65], "64 bytes"), (["--hostname", "a b"], "a b"),
    (["--name", ""], "name"), (["--timeout", "soon"], "soon"), (["--detach-keys", "hyper-x"], "hyper-x"), (["--max-duration", "0"], "zero"), (["--isolation", "hardware",
    "--machine", "portable"], "isolation")])
def test_a_senseless_flag_is_refused_before_anything_starts(fresh, flags, phrase):
    fresh.fails("run", *flags, "busybox", "--", "true", code=2, says=phrase)
    assert fresh.names() == set()


def test_memory_too_small_to_boot(fresh):
    fresh.fails("run", "-m", "16M", "busybox", "--", "true", code=2, says=["16 MiB", "memory", "boot"])
    assert fresh.names() == set()
    fresh.wait_for_no_processes()


def test_more_memory_than_the_host_has(fresh):
    """No mistake in the value: another host would take it."""
    fresh.fails("run", "-m", "1000000G", "busybox", "--", "true", code=1, says="this host")
    assert fresh.names() == set()


def test_a_guest_that_panics(fresh):
    fresh.ok("create", "busybox", "--name", "victim")
    fresh.fails("exec", "victim", "--", "sh", "-c", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger",
                says="'victim' stopped while sh was running")
    info = fresh.wait_until_stopped("victim")
    assert info["status"] == "crashed"
    assert "panic" in fresh.ok("logs", "victim", "--source", "system").lower()


def test_a_guest_that_runs_out_of_memory(fresh):
    words = ("run", "-m", "128M", "busybox", "--", "sh", "-c", "exec tail /dev/zero")
    try:
        outcome = fresh.run(*words, timeout=60)
    except AssertionError:
        # Of 287 runs on two busy cores 13 took more than 20 s, one 381 s, and all ended as they should. Meanwhile the
        # guest is in its kernel's reclaim (shrink_node, shrink_slab), which finds a page now and then and kills nobody.
        outcome = fresh.run(*words)
    assert outcome.code == 137, repr(outcome)
    assert "memory" in outcome.err.lower(), repr(outcome)


def test_a_missing_qemu(fresh):
    if MACHINE == "portable":
        fresh.ok("pull", "busybox")
        outcome = fresh.fails("run", "busybox", "--", "true", env={"MSB_QEMU_PATH": "/nonexistent/qemu", "PATH": "/usr/sbin:/sbin"})
        assert "qemu" in outcome.err.lower()


def test_a_missing_kernel(fresh):
    fresh.ok("pull", "busybox")
    fresh.fails("run", "busybox", "--", "true", env={"MSB_KERNEL_PATH": "/nonexistent/vmlinux"}, says="/nonexistent/vmlinux")


def test_a_kernel_that_is_none(fresh, tmp_path):
    fresh.ok("pull", "busybox")
    (tmp_path / "vmlinux").write_text("this is no kernel")
    fresh.fails("run", "busybox", "--", "true", env={"MSB_KERNEL_PATH": str(tmp_path / "vmlinux")}, says="vmlinux")
    assert fresh.names() == set()


def test_a_missing_mke2fs(fresh, tmp_path):
    """Hidden by an empty folder over each place it is looked for."""
    fresh.ok("pull", "busybox")
    hide = "mount --bind /dev/null /usr/sbin/mke2fs && exec \"$@\""
    command = ["unshare", "-rm", "sh", "-c", hide, "sh", fresh.binary, "run", "--machine", MACHINE, "--root-disk", "77M", "busybox",
               "--", "true"]
    ran = subprocess.run(command, env=fresh.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "mke2fs" in ran.stderr and "e2fsprogs" in ran.stderr, ran.stderr


def _on_small_disk(fresh, tmp_path, size, script):
    """Runs the script with $MSB_HOME on a tmpfs of that size (a mount namespace of its own)."""
    home = tmp_path / "small"
    home.mkdir()
    shutil.copy(fresh.home / "config.json", tmp_path / "config.json")
    setup = f"mount -t tmpfs -o size={size} none {home} && cp {tmp_path}/config.json {home}/ && {script}"
    return subprocess.run(["unshare", "-rm", "sh", "-c", setup], env={**fresh.environment, "MSB_HOME": str(home), "MSB": fresh.binary},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def test_a_full_disk(fresh, tmp_path):
    ran = _on_small_disk(fresh, tmp_path, "20M", "$MSB pull python; echo code $?; ls $MSB_HOME/cache/tmp $MSB_HOME/cache/layers")
    assert "code 1" in ran.stdout
    assert "No space left on device" in ran.stderr
    assert ".erofs" not in ran.stdout


def test_a_full_disk_keeps_no_sandbox(fresh, tmp_path):
    """Ending and removing them is how it gets less full."""
    create = f"$MSB create -q --machine {MACHINE} --name"
    ran = _on_small_disk(fresh, tmp_path, "128M", f"""
        {create} a busybox && {create} b busybox || exit 1
        head -c 1G /dev/zero > $MSB_HOME/fill
        for command in "stop a" "rm a"; do $MSB $command; echo $command $?; echo more >> $MSB_HOME/fill; done
        head -c 1G /dev/zero >> $MSB_HOME/fill
        $MSB rm -f b; echo rm b $?
        $MSB ls -q; echo none""")
    assert ran.stdout.splitlines()[-4:] == ["stop a 0", "rm a 0", "rm b 0", "none"], ran
    assert "No space left on device" in ran.stderr, ran  # of head: it was full


def test_a_read_only_home(fresh, tmp_path):
    home = tmp_path / "ro"
    home.mkdir()
    script = f"mount -t tmpfs -o ro none {home} && {fresh.binary} run busybox -- true"
    ran = subprocess.run(["unshare", "-rm", "sh", "-c", script], env={**fresh.environment, "MSB_HOME": str(home)},
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: ") and str(home) in ran.stderr, ran.stderr


def test_a_home_that_is_a_file(fresh, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = fresh.fails("ls", env={"MSB_HOME": str(tmp_path / "file")})
    assert str(tmp_path / "file") in outcome.err


def test_a_home_with_a_very_long_path(registry, tmp_path):
    """Longer than a Unix socket's address can be."""
    from harness import Msb
    msb = Msb(tmp_path / ("d" * 100) / ("e" * 60), registry)
    try:
        msb.ok("create", "busybox", "--name", "far")
        assert msb.ok("exec", "far", "--", "echo", "away") == "away\n"
    finally:
        msb.close()


def test_a_damaged_database_is_named(fresh):
    fresh.ok("ls")
    databases = [path for path in pathlib.Path(fresh.home).rglob("msb.db")]
    assert len(databases) == 1
    databases[0].write_bytes(b"rubbish" * 1000)
    fresh.fails("ls", says="msb.db")
