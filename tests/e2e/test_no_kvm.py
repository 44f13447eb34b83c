"""A host without a usable KVM: each lack is named with its cure, before anything is pulled or made, and nothing is lost."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness import MACHINE, TIMEOUT, Outcome

DEVICES = ["null", "zero", "full", "random", "urandom", "tty"]
# In a mount namespace of its own: what a host looks like that has less. The rest of the words is the command.
NO_DEVICE = "set -e; mount -t tmpfs none /mnt; for name in " + " ".join(DEVICES) + """; do
    touch /mnt/$name; mount --bind /dev/$name /mnt/$name; done; mount --move /mnt /dev; exec "$@" """
NO_HARDWARE = """set -e; mount -t tmpfs none /mnt; echo 'flags : fpu vme de' > /mnt/cpuinfo
    mount --bind /mnt/cpuinfo /proc/cpuinfo; umount -l /mnt; exec "$@" """
NOT_KVM = """mount --bind /dev/null /dev/kvm && exec "$@" """
HAS_DEVICE = os.access("/dev/kvm", os.R_OK | os.W_OK)


def run_on(host, msb, *args, env=None):
    """msb on a host that the script makes."""
    command = ["unshare", "-rm", "sh", "-c", host, "sh", msb.binary, *args]
    ran = subprocess.run(command, env={**msb.environment, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    return Outcome(args, ran.returncode, ran.stdout, ran.stderr)


LACKS = [
    pytest.param(NO_DEVICE, ["there is no /dev/kvm", "modprobe kvm_intel"], id="missing"),
    pytest.param(NO_HARDWARE, ["without hardware virtualisation", "nested virtualisation"], id="no-hardware",
                 marks=pytest.mark.skipif(not HAS_DEVICE, reason="needs a /dev/kvm")),
    pytest.param(NOT_KVM, ["does not answer as KVM does"], id="not-kvm",
                 marks=pytest.mark.skipif(not os.path.exists("/dev/kvm"), reason="needs a /dev/kvm"))]


@pytest.mark.parametrize("host, phrases", LACKS)
@pytest.mark.parametrize("flags", [["--machine", "kvm"], ["--isolation", "hardware"]], ids=["machine", "isolation"])
def test_who_must_have_kvm_is_told_what_is_lacking(fresh, host, phrases, flags):
    for command in ("run", "create"):
        outcome = run_on(host, fresh, command, *flags, "--name", "must", "busybox")
        assert outcome.code == 1, repr(outcome)
        assert outcome.err.startswith("error: this host cannot run the kvm machine: "), repr(outcome)
        assert all(phrase in outcome.err for phrase in phrases), repr(outcome)
        assert "--machine auto" in outcome.err, repr(outcome)
    assert fresh.json("image", "ls") == []
    assert fresh.names() == set()
    fresh.wait_for_no_processes()


@pytest.mark.parametrize("host, phrases", LACKS)
def test_doctor_says_the_same_and_is_content(fresh, host, phrases):
    outcome = run_on(host, fresh, "doctor", "--no-probe")
    assert all(phrase in outcome.out for phrase in phrases[:1]), repr(outcome)
    assert "sandboxes use the portable machine" in outcome.out, repr(outcome)


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/kvm"), reason="root becomes a user without /dev/kvm")
def test_no_permission_names_the_command(fresh):
    # pytest's own folders are for their owner alone.
    top = pathlib.Path(tempfile.mkdtemp(prefix="msb-nobody-"))
    nobody = 65534
    try:
        shutil.copy(fresh.binary, top / "msb")
        os.chown(top, nobody, nobody)
        script = f"mount -t tmpfs -o size=1k none /mnt; touch /mnt/kvm; chmod 660 /mnt/kvm; chgrp daemon /mnt/kvm; " \
                 f"mount --bind /mnt/kvm /dev/kvm; exec setpriv --reuid {nobody} --regid {nobody} --clear-groups \"$@\""
        words = ["unshare", "-m", "sh", "-ec", script, "sh", top / "msb", "create", "--machine", "kvm", "busybox"]
        ran = subprocess.run(words, env={**fresh.environment, "MSB_HOME": str(top / "home")}, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=TIMEOUT)
        assert ran.returncode == 1
        assert "/dev/kvm is for the group daemon" in ran.stderr, ran.stderr
        assert "sudo usermod -aG daemon $USER" in ran.stderr, ran.stderr
    finally:
        shutil.rmtree(top)


@pytest.mark.skipif(MACHINE != "portable", reason="slow where the emulator is emulated")
def test_auto_goes_on_without(fresh):
    outcome = run_on(NO_DEVICE, fresh, "run", "--machine", "auto", "-m", "128M", "busybox", "--", "echo", "all the same")
    assert (outcome.code, outcome.out) == (0, "all the same\n"), repr(outcome)


def make_stopped(msb):
    msb.ok("create", "busybox", "--name", "kept", "-m", "128M")
    msb.ok("exec", "kept", "--", "sh", "-c", "echo precious > /root/data")
    msb.ok("stop", "kept")


def check_kept(msb):
    assert msb.ok("exec", "kept", "--", "cat", "/root/data") == "precious\n"


@pytest.mark.skipif(MACHINE != "kvm", reason="a sandbox of the kvm machine")
def test_a_host_that_has_lost_its_kvm_loses_no_sandbox(fresh):
    make_stopped(fresh)
    outcome = run_on(NO_DEVICE, fresh, "start", "kept")
    assert outcome.code == 1 and "there is no /dev/kvm" in outcome.err, repr(outcome)
    check_kept(fresh)


@pytest.mark.parametrize("kernel, phrases", [("/nonexistent/vmlinux", ["/nonexistent/vmlinux"]), ("/bin/true", ["PVH", "MSB_KERNEL_PATH"])])
def test_a_wrong_kernel_loses_no_sandbox(fresh, kernel, phrases):
    make_stopped(fresh)
    fresh.fails("start", "kept", env={"MSB_KERNEL_PATH": kernel}, says=phrases)
    fresh.wait_for_no_processes()
    check_kept(fresh)
