"""msb exec and msb shell in a sandbox that runs."""

import hashlib
import os
import signal
import time


def test_a_command_and_its_streams(shared, box):
    outcome = shared.run("exec", box, "--", "sh", "-c", "cat; echo problem >&2; exit 3", input="given")
    assert (outcome.code, outcome.out, outcome.err) == (3, "given", "problem\n")


def test_environment_directory_and_user(shared, box):
    out = shared.ok("exec", box, "-e", "X=1", "-w", "/tmp", "-u", "1000:1001", "--", "sh", "-c", "echo $X; pwd; id -u; id -g")
    assert out.splitlines() == ["1", "/tmp", "1000", "1001"]


def test_supplementary_groups_come_from_the_guest(shared, box):
    assert shared.ok("exec", box, "-u", "worker", "--", "id", "-G").split() == ["1000", "1001"]


def test_a_resource_limit_holds_for_one_command(shared, box):
    assert shared.ok("exec", box, "--rlimit", "nofile=77", "--", "sh", "-c", "ulimit -n") == "77\n"
    assert shared.ok("exec", box, "--", "sh", "-c", "ulimit -n") != "77\n"


def test_shell_runs_a_script(shared, box):
    assert shared.ok("shell", box, "--", "echo $((6 * 7)) | cat") == "42\n"


def test_not_found_and_not_executable(shared, box):
    shared.fails("exec", box, "--", "no-such-program", code=127, says="no-such-program")
    shared.fails("exec", box, "--", "/etc/passwd", code=126, says="/etc/passwd")
    shared.fails("exec", box, "--", "/etc", code=126, says="/etc")


def test_a_bad_directory_a_bad_user_a_bad_limit(shared, box):
    shared.fails("exec", box, "-w", "/no/such/folder", "--", "true", says="/no/such/folder")
    shared.fails("exec", box, "-u", "nobody-here", "--", "true", says="nobody-here")
    shared.fails("exec", box, "--rlimit", "nofish=1", "--", "true", code=2, says="nofish")
    shared.fails("exec", box, "--rlimit", "nofile=9:3", "--", "true", code=2, says="nofile")


def test_a_timeout_kills_the_whole_group_and_keeps_the_output(shared, box):
    outcome = shared.fails("exec", box, "--timeout", "1s", "--", "sh", "-c", "echo first; sleep 987 | sleep 987", says="did not finish within 1")
    assert outcome.out == "first\n"
    assert shared.ok("exec", box, "--", "sh", "-c", "ps | grep -c '[s]leep 987'; true") == "0\n"


def test_ten_commands_at_once(shared, box):
    running = [shared.spawn("exec", box, "--", "sh", "-c", f"head -c 300000 /dev/zero | tr '\\0' {n}") for n in range(10)]
    for n, process in enumerate(running):
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (0, str(n).encode() * 300000), err


def test_a_reader_that_stalls_holds_up_nobody_else(shared, box):
    stalled = shared.spawn("exec", box, "--", "sh", "-c", "yes | head -c 20000000; echo end")
    assert stalled.stdout.read(2) == b"y\n"
    for n in range(5):
        assert shared.ok("exec", box, "--", "echo", str(n)) == f"{n}\n"
    rest, _ = stalled.communicate(timeout=120)
    assert rest.endswith(b"end\n")
    assert len(rest) == 20000000 - 2 + 4


def test_a_command_that_does_not_read_holds_up_nobody(shared, box):
    stuck = shared.spawn("exec", box, "--", "sh", "-c", "echo ready; read line < /dev/null; sleep 600", stdin=-1)
    assert stuck.stdout.readline() == b"ready\n"
    os.set_blocking(stuck.stdin.fileno(), False)
    try:
        for _ in range(200):
            os.write(stuck.stdin.fileno(), bytes(65536))
    except BlockingIOError:
        pass  # the window and the pipe are full
    assert shared.ok("exec", box, "--", "echo", "free") == "free\n"
    stuck.send_signal(signal.SIGTERM)
    stuck.stdin.close()
    assert stuck.wait(timeout=60) == 128 + signal.SIGTERM
    stuck.stdout.close()
    stuck.stderr.close()


def test_input_and_output_both_large(shared, box):
    data = os.urandom(3 << 20)
    outcome = shared.run("exec", box, "--", "cat", input=data)
    assert hashlib.sha256(outcome.raw_out).digest() == hashlib.sha256(data).digest()


def test_output_after_the_input_ended(shared, box):
    assert shared.ok("exec", box, "--", "sh", "-c", "cat > /dev/null; echo done", input="x") == "done\n"


def test_a_killed_client_takes_its_command_along(shared, box):
    process = shared.spawn("exec", box, "--", "sh", "-c", "echo on; sleep 654")
    assert process.stdout.readline() == b"on\n"
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while shared.ok("exec", box, "--", "sh", "-c", "ps | grep -c '[s]leep 654'; true") != "0\n":
        assert time.monotonic() < deadline, "the command outlives its client"


def test_zombies_are_reaped(shared, box):
    shared.ok("exec", box, "--", "sh", "-c", "for i in 1 2 3; do (sleep 0.1 &) ; done; sleep 0.5")
    assert shared.ok("exec", box, "--", "sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l") == "0\n"


def test_a_stopped_sandbox_is_started_for_the_command_and_stopped_again(msb):
    msb.ok("create", "busybox", "--name", "sleeper")
    msb.ok("stop", "sleeper")
    assert msb.ok("exec", "sleeper", "--", "echo", "awake") == "awake\n"
    assert msb.inspect("sleeper")["status"] == "stopped"


def test_an_unknown_sandbox(shared):
    shared.fails("exec", "nobody", "--", "true", says="nobody")
    shared.fails("shell", "nobody", "--", "true", says="nobody")


def test_ping(shared, box):
    assert shared.ok("ping", box).startswith(f"Reachable {box} (")
    shared.fails("ping", "nobody", says="nobody")
