"""ls, ps, inspect, doctor, version, --tree, completion, help."""

import json
import re
import subprocess

from harness import MACHINE


def test_ls_and_ps(fresh):
    assert fresh.json("ls") == []
    fresh.ok("create", "busybox", "--name", "up", "--label", "a=1", "--label", "b")
    fresh.ok("create", "alpine", "--name", "down")
    fresh.ok("stop", "down")
    assert [(entry["name"], entry["status"], entry["image"]) for entry in fresh.json("ls")] == [
        ("down", "Stopped", "alpine"), ("up", "Running", "busybox")]
    assert fresh.ok("ls", "-q").split() == ["down", "up"]
    assert fresh.ok("ls", "--running", "-q").split() == ["up"]
    assert fresh.ok("ls", "--stopped", "-q").split() == ["down"]
    assert fresh.ok("ls", "--label", "a=1", "-q").split() == ["up"]
    assert fresh.ok("ls", "--label", "a=2", "-q") == ""
    header, *rows = fresh.ok("ls").splitlines()
    assert header.split() == ["NAME", "IMAGE", "STATUS", "CREATED"]
    assert len(rows) == 2
    (entry,) = fresh.json("ps")
    assert (entry["name"], entry["cpus"], entry["memory_mib"], entry["machine"]) == ("up", 1, 512, MACHINE)
    assert len(fresh.json("ps", "-a")) == 2
    assert fresh.json("status", "down")[0]["status"] == "Stopped"
    fresh.fails("ps", "nobody", says="nobody")


def test_inspect_tells_all(fresh):
    fresh.ok("create", "busybox", "--name", "seen", "-c", "2", "-m", "256M", "-e", "A=1", "--label", "x=y")
    info = fresh.json("inspect", "seen")
    assert (info["name"], info["image"], info["status"]) == ("seen", "busybox", "running")
    assert (info["cpus"], info["memory_mib"], info["labels"]) == (2, 256, {"x": "y"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", info["created_at"])
    assert info["pid"] in fresh.processes()
    assert info["isolation"] == ("process" if MACHINE == "portable" else "hardware")
    assert {wall["name"] for wall in info["walls"]} >= {"seccomp"}
    assert all(wall["up"] or wall["detail"] for wall in info["walls"]), info["walls"]
    assert info["config"]
    text = fresh.ok("inspect", "seen")
    assert "running" in text and "256 MiB" in text and "x=y" in text
    fresh.fails("inspect", "nobody", says="nobody")


def test_hardware_isolation_is_not_silently_weaker(fresh):
    if MACHINE == "portable":
        fresh.fails("create", "busybox", "--isolation", "hardware", "--machine", "portable", code=2, says="isolation")


def test_doctor(fresh):
    outcome = fresh.run("doctor")
    assert outcome.code == 0, repr(outcome)
    assert "QEMU" in outcome.out or "qemu" in outcome.out
    checks = fresh.json("doctor")
    assert all(check["verdict"] in ("ok", "warning") for check in checks)
    assert all(check["advice"] for check in checks if check["verdict"] == "warning")
    fresh.wait_for_no_processes()


def test_doctor_without_qemu(fresh):
    outcome = fresh.run("doctor", env={"PATH": "/nonexistent", "MSB_QEMU_PATH": "/nonexistent/qemu"})
    # Where kvm works, nothing is lost by it.
    assert outcome.code == (1 if MACHINE == "portable" else 0)
    assert "MSB_QEMU_PATH" in outcome.out


def test_version_tree_help_completion(msb):
    assert re.fullmatch(r"msb \d+\.\d+\.\d+\n", msb.ok("--version"))
    assert msb.ok("version") == msb.ok("--version")
    tree = msb.ok("--tree")
    for command in ("run", "exec", "shell", "pull", "image", "doctor", "completion", "prune"):
        assert re.search(rf"^ +{command}\b", tree, re.MULTILINE), command
    assert "--entrypoint" in msb.ok("run", "--tree")
    assert "prune" not in msb.ok("run", "--tree")
    assert "--root-disk" in msb.ok("run", "--help")
    assert "run" in msb.ok()
    script = msb.ok("completion", "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_wrong_usage_is_2(msb):
    for words in (["no-such-command"], ["run", "--no-such-flag", "busybox"], ["ls", "--format"], ["inspect"], ["stop", "--timeout"]):
        outcome = msb.run(*words)
        assert outcome.code == 2, repr(outcome)
        assert outcome.err.startswith("error: ")


def test_json_is_all_there_is_on_stdout(fresh):
    for words in (["ls"], ["ps"], ["image", "ls"], ["doctor", "--no-probe"]):
        outcome = fresh.run(*words, "--format", "json")
        json.loads(outcome.out)
