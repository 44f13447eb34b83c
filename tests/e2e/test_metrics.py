"""msb metrics: what a guest does shows in the numbers of its sandbox."""

import json
import signal

from servers import web_server

HOST = "host.microsandbox.internal"
KEYS = ["name", "state", "cpus", "timestamp", "cpu_percent", "vcpu_time_ns", "memory_bytes", "memory_available_bytes",
        "memory_host_resident_bytes", "memory_limit_bytes", "disk_read_bytes", "disk_write_bytes", "net_rx_bytes", "net_tx_bytes",
        "upper_used_bytes", "upper_free_bytes", "upper_host_allocated_bytes", "uptime_secs", "network"]
MIB = 1 << 20


def look(msb, name):
    (entry,) = msb.json("metrics", name)
    assert entry["name"] == name and entry["state"] == "running", entry
    return entry


def test_an_idle_sandbox_tells_all_its_numbers(msb):
    msb.ok("create", "busybox", "--name", "still", "-c", "2", "-m", "256M")
    entry = look(msb, "still")
    assert list(entry) == KEYS
    assert entry["cpus"] == 2 and entry["memory_limit_bytes"] == 256 * MIB
    assert 0 <= entry["cpu_percent"] < 400 and entry["vcpu_time_ns"] > 0 and entry["uptime_secs"] > 0
    assert 0 < entry["memory_bytes"] < 256 * MIB
    assert 0 < entry["memory_available_bytes"] <= 256 * MIB - entry["memory_bytes"]
    assert entry["memory_host_resident_bytes"] > 1 * MIB
    assert entry["disk_read_bytes"] > 0  # it has read its root
    assert entry["upper_free_bytes"] > entry["upper_used_bytes"] >= 0
    assert entry["upper_host_allocated_bytes"] > 0
    assert entry["network"]["denials"] == 0 and entry["network"]["connections"] == 0


def test_work_shows_as_processor_time_and_idleness_as_none(msb):
    msb.ok("create", "busybox", "--name", "busy")
    before = look(msb, "busy")
    msb.ok("exec", "busy", "--", "sh", "-c", "(while :; do :; done) & sleep 2; kill $!")
    after = look(msb, "busy")
    spent = after["vcpu_time_ns"] - before["vcpu_time_ns"]
    assert spent > 200_000_000, spent  # a fifth of what it had, on a host that is busy otherwise
    assert after["uptime_secs"] > before["uptime_secs"]
    # What it was for the time between looks is what the counters say for it.
    loop = msb.spawn("exec", "busy", "--", "sh", "-c", "while :; do :; done")
    try:
        watching = msb.spawn("metrics", "busy", "-f", "--format", "json", "--interval", "1s")
        seen = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=60) == 0
    finally:
        loop.kill()
        loop.communicate()
    assert max(entry["cpu_percent"] for entry in seen) > 10, seen
    share = (seen[2]["vcpu_time_ns"] - seen[1]["vcpu_time_ns"]) / ((seen[2]["uptime_secs"] - seen[1]["uptime_secs"]) * 1e7)
    assert abs(share - seen[2]["cpu_percent"]) < 1, (share, seen)


def test_memory_in_use_shows(msb):
    msb.ok("create", "busybox", "--name", "full", "-m", "256M")
    before = look(msb, "full")
    # A tmpfs is memory.
    msb.ok("exec", "full", "--", "dd", "if=/dev/zero", "of=/dev/shm/block", "bs=1M", "count=64")
    after = look(msb, "full")
    grown = after["memory_bytes"] - before["memory_bytes"]
    assert 56 * MIB < grown < 96 * MIB, grown
    assert after["memory_host_resident_bytes"] - before["memory_host_resident_bytes"] > 32 * MIB


def test_bytes_of_disks_show(msb):
    msb.ok("create", "busybox", "--name", "disks")
    before = look(msb, "disks")
    msb.ok("exec", "disks", "--", "sh", "-c", "dd if=/dev/urandom of=/block bs=1M count=16 && sync")
    written = look(msb, "disks")
    assert 16 * MIB <= written["disk_write_bytes"] - before["disk_write_bytes"] < 32 * MIB
    assert written["upper_used_bytes"] - before["upper_used_bytes"] >= 16 * MIB
    assert written["upper_host_allocated_bytes"] - before["upper_host_allocated_bytes"] >= 16 * MIB
    msb.ok("exec", "disks", "--", "sh", "-c", "echo 3 > /proc/sys/vm/drop_caches; cat /block > /dev/null")
    read = look(msb, "disks")
    assert read["disk_read_bytes"] - written["disk_read_bytes"] >= 16 * MIB


def test_bytes_of_the_network_and_what_was_denied_show(msb):
    with web_server() as port, web_server() as closed:
        msb.ok("create", "busybox", "--name", "net", "--net-default", "deny", "--net-rule", f"allow@host:tcp:{port}")
        before = look(msb, "net")
        loop = f"for i in 1 2 3 4 5 6 7 8; do wget -qO- http://{HOST}:{port}/ > /dev/null || exit 1; done"
        msb.ok("exec", "net", "--", "sh", "-c", loop)
        after = look(msb, "net")
        assert after["net_rx_bytes"] - before["net_rx_bytes"] > 8 * 100  # eight answers with their headers
        assert after["net_tx_bytes"] - before["net_tx_bytes"] > 8 * 100
        for key in ("rx_frames", "tx_frames"):
            assert after["network"][key] - before["network"][key] >= 8 * 3
        assert after["network"]["denials"] == before["network"]["denials"]
        for _ in range(3):
            assert msb.run("exec", "net", "--", "wget", "-qO-", f"http://{HOST}:{closed}/").code != 0
        assert look(msb, "net")["network"]["denials"] - after["network"]["denials"] == 3


def test_a_connection_that_is_open_is_counted(msb):
    msb.ok("create", "busybox", "--name", "open", "--net", "host")
    with web_server() as port:
        holds = msb.spawn("exec", "open", "--", "sh", "-c", f"(echo up >&2; sleep 60) | nc {HOST} {port}")
        assert holds.stderr.readline() == b"up\n"
        watching = msb.spawn("metrics", "open", "-f", "--format", "json", "--interval", "100ms")
        assert any(json.loads(watching.stdout.readline())["network"]["connections"] == 1 for _ in range(100))
        watching.kill()
        watching.communicate()
        holds.kill()
        holds.communicate()


def test_without_a_network_card_there_is_nothing_of_one(msb):
    msb.ok("create", "busybox", "--name", "alone", "--no-net")
    entry = look(msb, "alone")
    assert entry["network"] is None and entry["net_rx_bytes"] == entry["net_tx_bytes"] == 0


def test_a_root_in_memory_takes_no_room_on_the_host(msb):
    msb.ok("create", "busybox", "--name", "light", "--root-disk", "tmpfs:64M")
    entry = look(msb, "light")
    assert entry["upper_host_allocated_bytes"] is None
    assert entry["upper_used_bytes"] + entry["upper_free_bytes"] <= 64 * MIB


def test_a_look_at_all_shows_those_that_run(fresh):
    assert fresh.json("metrics") == []
    fresh.ok("create", "busybox", "--name", "b")
    fresh.ok("create", "busybox", "--name", "a")
    fresh.ok("create", "busybox", "--name", "off")
    fresh.ok("stop", "off")
    assert [entry["name"] for entry in fresh.json("metrics")] == ["a", "b"]
    assert [(entry["name"], entry["state"]) for entry in fresh.json("metrics", "-a")] == [
        ("a", "running"), ("b", "running"), ("off", "exited")]
    fresh.ok("exec", "b", "--", "dd", "if=/dev/zero", "of=/dev/shm/block", "bs=1M", "count=32")
    assert [entry["name"] for entry in fresh.json("metrics", "--sort", "mem")] == ["b", "a"]
    header, *rows = fresh.ok("metrics").splitlines()
    assert header.split()[:4] == ["NAME", "STATE", "CPU", "MEM"]
    assert [row.split()[:2] for row in rows] == [["a", "running"], ["b", "running"]]
    assert " / 1c" in rows[0] and "/ 512 MiB" in rows[0]


def test_what_does_not_run_or_exist_is_told(msb):
    msb.ok("create", "busybox", "--name", "off")
    msb.ok("stop", "off")
    msb.fails("metrics", "off", says=("not running", "msb start off"))
    msb.fails("metrics", "off", "-w", says="not running")
    msb.fails("metrics", "nobody", says="nobody")
    msb.fails("metrics", "NOT/A/NAME", code=2)
    msb.fails("metrics", "--sort", "age", code=2, says="cpu")
    msb.fails("metrics", "--interval", "often", code=2)
    (entry,) = msb.json("metrics", "off", "-a")
    assert entry == {"name": "off", "state": "exited", "cpus": 1}


def test_following_ends_with_the_sandbox(msb):
    msb.ok("create", "busybox", "--name", "brief")
    watching = msb.spawn("metrics", "brief", "-f", "--interval", "200ms")
    assert watching.stdout.readline().split()[0] == b"NAME"
    assert watching.stdout.readline().split()[:2] == [b"brief", b"running"]
    msb.ok("stop", "brief")
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0 and err == b"", err
    assert out.splitlines()[-1].split()[:2] == [b"brief", b"exited"]


def test_watching_on_a_terminal_ends_with_ctrl_c(msb):
    msb.ok("create", "busybox", "--name", "seen")
    terminal = msb.terminal("metrics", "--watch", "--interval", "200ms")
    for _ in range(2):
        terminal.expect(r"\x1b\[H\x1b\[JNAME .*seen +running")
    terminal.type("\x03")
    assert terminal.wait() == 0
