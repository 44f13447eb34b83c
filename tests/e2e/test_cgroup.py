"""The control group of a machine, on hosts that delegate one (the nested test bed does): bounded, and gone afterwards."""

import os
import pathlib
import signal

import pytest

from test_crash import children


def group_of(msb, name):
    """The control group of a running sandbox's machine, or a skip where the host gives none."""
    info = msb.inspect(name)
    wall = next(wall for wall in info["walls"] if wall["name"] == "cgroup-caps")
    if not wall["up"]:
        assert wall["detail"]
        pytest.skip(wall["detail"])
    machine, = children(info["pid"])
    path = next(line[3:] for line in pathlib.Path(f"/proc/{machine}/cgroup").read_text().splitlines() if line.startswith("0::"))
    return pathlib.Path("/sys/fs/cgroup") / path.lstrip("/")


def test_a_machine_has_a_group_with_caps_until_it_stops(fresh):
    fresh.ok("create", "busybox", "--name", "capped", "-m", "256M", "-c", "2")
    group = group_of(fresh, "capped")
    assert int((group / "memory.max").read_text()) == (256 + 512) << 20
    assert int((group / "pids.max").read_text()) == 2 + 128
    assert fresh.ok("exec", "capped", "--", "echo", "inside") == "inside\n"
    fresh.ok("stop", "capped")
    fresh.wait_for_no_processes()
    assert not group.exists()
    assert list((fresh.home / "run").glob("*.cgroup")) == []


def test_a_group_of_a_killed_sandbox_is_swept(fresh):
    fresh.ok("create", "busybox", "--name", "killed", "-m", "128M")
    group = group_of(fresh, "killed")
    os.kill(fresh.inspect("killed")["pid"], signal.SIGKILL)
    fresh.wait_for_no_processes()
    assert fresh.ok("run", "busybox", "-m", "128M", "--", "echo", "next") == "next\n"
    assert not group.exists()
    fresh.ok("start", "killed")
    assert group_of(fresh, "killed").exists()
