"""kill -9 of any process at any moment leaves nothing that the next command does not repair."""

import os
import random
import select
import signal
import time

import pytest


def qemu_of(msb):
    return [pid for pid, command in msb.processes().items() if "qemu-system" in command.split(" ", 1)[0]]


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                    if int(file.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(entry))
            except (OSError, IndexError):
                pass
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def check_all_is_well(msb):
    """The next commands repair what is left, and the home works as ever."""
    msb.wait_for_no_processes()
    msb.ok("ls")
    for name in msb.names():
        assert msb.inspect(name)["status"] in ("crashed", "stopped", "created"), msb.inspect(name)
        msb.ok("rm", name)
    assert msb.ok("run", "busybox", "-m", "128M", "--", "echo", "works") == "works\n"
    assert msb.names() == set()
    assert list((msb.home / "sandboxes").iterdir()) == []
    assert [path for path in (msb.home / "run").iterdir() if path.suffix == ".sock"] == []


def test_a_start_right_after_its_process_was_killed(fresh):
    fresh.ok("create", "busybox", "--name", "victim")
    for _ in range(3):
        # A machine with much to sync lives on for a while.
        fresh.ok("exec", "victim", "--", "dd", "if=/dev/zero", "of=/zeros", "bs=1M", "count=64")
        vmm = os.pidfd_open(fresh.inspect("victim")["pid"])
        signal.pidfd_send_signal(vmm, signal.SIGKILL)
        assert select.select([vmm], [], [], 60)[0]
        os.close(vmm)
        fresh.ok("start", "victim")
        assert fresh.ok("exec", "victim", "--", "echo", "well") == "well\n"


def test_a_killed_vmm_process(fresh):
    fresh.ok("create", "busybox", "--name", "victim")
    kill(fresh.inspect("victim")["pid"])
    fresh.wait_for_no_processes()
    assert fresh.inspect("victim")["status"] == "crashed"
    fresh.fails("ping", "victim", says="victim")
    fresh.ok("start", "victim")
    assert fresh.ok("exec", "victim", "--", "echo", "again") == "again\n"
    kill(fresh.inspect("victim")["pid"])
    check_all_is_well(fresh)


def test_a_killed_machine(fresh):
    fresh.ok("create", "busybox", "--name", "victim")
    for pid in descendants(fresh.inspect("victim")["pid"]):
        kill(pid)
    assert fresh.wait_until_stopped("victim")["status"] == "crashed"
    fresh.ok("start", "victim")
    fresh.ok("stop", "victim")
    check_all_is_well(fresh)


def test_a_killed_cli_takes_its_ephemeral_sandbox_along(fresh):
    process = fresh.spawn("run", "busybox", "--", "sh", "-c", "echo on; sleep 600")
    assert process.stdout.readline() == b"on\n"
    process.kill()
    process.communicate()
    check_all_is_well(fresh)


def test_a_client_whose_sandbox_dies_is_told(fresh):
    fresh.ok("create", "busybox", "--name", "victim")
    client = fresh.spawn("exec", "victim", "--", "sh", "-c", "echo on; sleep 600")
    assert client.stdout.readline() == b"on\n"
    kill(fresh.inspect("victim")["pid"])
    _, err = client.communicate(timeout=60)
    assert client.returncode == 1
    assert err.startswith(b"error: sandbox 'victim' stopped"), err


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("target", ["cli", "vmm", "machine"])
def test_a_kill_at_a_random_moment(fresh, seed, target):
    fresh.ok("pull", "busybox")
    chance = random.Random(f"{target}{seed}")
    process = fresh.spawn("run", "busybox", "-m", "128M", "--", "sh", "-c", "echo on; sleep 1")
    time.sleep(chance.random() * 1.5)
    if target == "cli":
        kill(process.pid)
    else:
        vmm = children(process.pid)
        # A detached starter may have let go of it.
        vmm = vmm or [pid for pid, command in fresh.processes().items() if " sandbox" in command]
        for pid in vmm if target == "vmm" else [deep for pid in vmm for deep in descendants(pid)]:
            kill(pid)
    process.communicate(timeout=60)
    check_all_is_well(fresh)


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_during_a_pull(fresh, seed):
    process = fresh.spawn("pull", "python")
    time.sleep(random.Random(seed).random() * 1.5)
    process.kill()
    process.communicate()
    fresh.ok("pull", "python")
    assert fresh.ok("run", "python", "--", "python3", "-c", "import ssl, sqlite3, json; print('whole')") == "whole\n"
    assert list(fresh.home.glob("cache/tmp/*")) == []
