"""create, start, stop, restart, kill, rm, replace, timers."""

import contextlib
import fcntl
import hashlib
import sqlite3
import time

import pytest


def test_the_commands_of_the_readme(msb):
    assert msb.ok("run", "--name", "my-app", "-d", "python:3.12") == "my-app\n"
    assert "Python 3" in msb.ok("exec", "my-app", "--", "python3", "--version")
    msb.ok("stop", "my-app")
    msb.ok("start", "my-app")
    msb.ok("ps", "my-app")
    msb.ok("stop", "my-app")
    msb.ok("rm", "my-app")
    assert "my-app" not in msb.names()


def test_create_prints_only_a_generated_name(msb):
    assert msb.ok("create", "busybox", "--name", "named") == ""
    name = msb.ok("create", "busybox").strip()
    assert name.startswith("msb-") and len(name) == 12
    assert {"named", name} <= msb.names()
    assert msb.inspect(name)["status"] == "running"


def test_what_was_written_survives_stop_and_start(msb):
    msb.ok("create", "busybox", "--name", "keeper")
    msb.ok("exec", "keeper", "--", "sh", "-c", "echo kept > /root/file")
    msb.ok("stop", "keeper")
    msb.ok("start", "keeper")
    assert msb.ok("exec", "keeper", "--", "cat", "/root/file") == "kept\n"
    msb.ok("restart", "keeper")
    assert msb.ok("exec", "keeper", "--", "cat", "/root/file") == "kept\n"


def test_an_orderly_stop_lets_programs_finish(msb):
    msb.ok("create", "busybox", "--name", "tidy")
    program = "trap 'echo finished > /root/note; exit 0' TERM; echo started; while :; do sleep 0.1; done"
    client = msb.spawn("exec", "tidy", "--", "sh", "-c", program)
    assert client.stdout.readline() == b"started\n"
    msb.ok("stop", "tidy")
    client.communicate(timeout=60)
    msb.ok("start", "tidy")
    assert msb.ok("exec", "tidy", "--", "cat", "/root/note") == "finished\n"


def test_states_and_what_is_allowed_in_them(msb):
    msb.ok("create", "busybox", "--name", "state")
    msb.fails("rm", "state", says="running")
    msb.ok("stop", "state")
    assert msb.inspect("state")["status"] == "stopped"
    msb.ok("stop", "state")
    msb.ok("start", "state")
    assert msb.inspect("state")["status"] == "running"
    msb.ok("kill", "state")
    assert msb.inspect("state")["status"] in ("stopped", "crashed")
    msb.ok("rm", "state")
    msb.fails("start", "state", says="state")
    for words in (("stop",), ("stop", "--force"), ("restart",), ("kill",), ("rm",), ("rm", "--force")):
        msb.fails(*words, "state", says="no sandbox named 'state'")


def test_several_at_once_and_a_failure_among_them(msb):
    for name in ("a1", "a2"):
        msb.ok("create", "busybox", "--name", name, "--label", "team=a")
    msb.fails("stop", "a1", "missing", "a2", says="missing")
    assert {msb.inspect(name)["status"] for name in ("a1", "a2")} == {"stopped"}
    msb.ok("rm", "--label", "team=a")
    assert not {"a1", "a2"} & msb.names()


def test_a_taken_name_is_refused_and_replace_replaces(msb):
    msb.ok("create", "busybox", "--name", "taken")
    msb.ok("exec", "taken", "--", "touch", "/root/old")
    msb.fails("create", "busybox", "--name", "taken", says=["taken", "exists"])
    msb.ok("create", "busybox", "--name", "taken", "--replace")
    assert msb.ok("exec", "taken", "--", "ls", "/root") == ""


def test_disks_the_database_does_not_know_are_replaced_under_their_lock_only(msb):
    msb.ok("create", "busybox", "--name", "lost")
    msb.ok("stop", "lost")
    with contextlib.closing(sqlite3.connect(msb.home / "msb.db")) as database, database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM sandbox WHERE name = 'lost'")
    disk = msb.home / "sandboxes/lost/upper.ext4"
    msb.fails("create", "busybox", "--name", "lost", says="database does not know")
    lock = msb.home / "run" / (hashlib.sha256(b"lost").hexdigest()[:12] + ".lock")
    with open(lock, "w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        msb.fails("create", "busybox", "--name", "lost", "--replace", says="exists")
    assert disk.exists()
    msb.ok("create", "busybox", "--name", "lost", "--replace")
    assert disk.exists()


@pytest.mark.parametrize("command", ["start", "stop", "restart", "kill", "rm", "exec", "shell", "inspect", "logs", "ping", "ps"])
def test_a_name_that_none_can_have_is_wrong_usage(msb, command):
    msb.fails(command, "a b", code=2, says="name")


def test_run_uses_a_named_sandbox_again(msb):
    msb.ok("run", "busybox", "--name", "again", "--", "sh", "-c", "echo first > /root/file")
    assert msb.inspect("again")["status"] == "stopped"
    assert msb.ok("run", "busybox", "--name", "again", "--", "cat", "/root/file") == "first\n"


def test_a_detached_command_ends_its_sandbox(msb):
    msb.ok("run", "busybox", "-d", "--name", "job", "--", "sh", "-c", "echo working; sleep 1; echo done; exit 5")
    info = msb.wait_until_stopped("job")
    assert info["status"] in ("stopped", "crashed")
    assert info["exit_code"] == 5
    assert msb.ok("logs", "job") == "working\ndone\n"


def test_a_detached_sandbox_outlives_its_creator(msb):
    name = msb.ok("run", "busybox", "-d").strip()
    assert msb.ok("exec", name, "--", "echo", "here") == "here\n"


def test_the_longest_duration(msb):
    msb.ok("create", "busybox", "--name", "brief", "--max-duration", "2s")
    info = msb.wait_until_stopped("brief")
    assert info["status"] == "stopped"
    assert "duration" in info["termination_reason"]


def test_an_idle_sandbox_stops_and_a_busy_one_does_not(msb):
    msb.ok("create", "busybox", "--name", "idle", "--idle-timeout", "2s")
    started = time.monotonic()
    assert msb.run("exec", "idle", "--", "sleep", "5").code == 0
    assert time.monotonic() - started >= 5
    info = msb.wait_until_stopped("idle")
    assert info["status"] == "stopped"
    assert "idle" in info["termination_reason"]


@pytest.mark.parametrize("name", ["-dash", ".dot", "a/b", "a b", "ü", "x" * 129, "a\nb"])
def test_invalid_names_are_refused(msb, name):
    msb.fails("create", "busybox", f"--name={name}", code=2, says="name")


def test_an_empty_name_is_not_the_same_as_none(msb):
    """It is more likely the unset variable of a script."""
    msb.fails("create", "busybox", "--name", "", code=2, says="name")


def test_unusual_names_work(msb):
    name = "A" + "b.c-d_" * 21
    msb.ok("create", "busybox", "--name", name[:128])
    assert len(msb.ok("exec", name[:128], "--", "hostname").strip()) <= 64


def test_a_sandbox_whose_guest_powers_off_is_stopped(msb):
    msb.ok("create", "busybox", "--name", "off")
    msb.run("exec", "off", "--", "sh", "-c", "poweroff -f || reboot -f")
    assert msb.wait_until_stopped("off")["status"] in ("stopped", "crashed")
    msb.ok("start", "off")
    assert msb.ok("exec", "off", "--", "echo", "back") == "back\n"
