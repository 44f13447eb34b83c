"""msb run: an image, a command, its streams and its exit code."""

import hashlib
import os
import signal

import pytest


def test_the_command_of_the_readme(msb):
    outcome = msb.run("run", "python", "--", "python3", "-c", "print('Hello from a microVM!')")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Hello from a microVM!\n", "")


def test_the_image_is_pulled_once(fresh):
    fresh.ok("run", "busybox", "--", "true")
    fresh.configure({"registries": {"mirrors": {"docker.io": ["127.0.0.1:1"]}}})
    assert fresh.ok("run", "busybox", "--", "echo", "from the cache") == "from the cache\n"


def test_python_and_node_run_real_programs(msb):
    script = "import json, sys, hashlib; print(json.dumps({'v': sys.version_info[0], 'd': hashlib.sha256(b'x').hexdigest()[:8]}))"
    assert msb.ok("run", "python:3.12", "--", "python", "-c", script) == '{"v": 3, "d": "2d711642"}\n'
    assert msb.ok("run", "node", "--", "node", "-e", "console.log([3,1,2].sort().join(','))") == "1,2,3\n"


@pytest.mark.parametrize("code", [0, 1, 2, 7, 126, 127, 255])
def test_the_exit_code_is_the_commands(shared, box, code):
    assert shared.run("exec", box, "--", "sh", "-c", f"exit {code}").code == code


def test_run_passes_the_exit_code_on(msb):
    assert msb.run("run", "busybox", "--", "sh", "-c", "exit 42").code == 42


def test_death_by_signal_is_128_and_the_signal(msb):
    assert msb.run("run", "busybox", "--", "sh", "-c", "kill -9 $$").code == 137


def test_stdout_and_stderr_stay_apart_and_whole(msb):
    outcome = msb.run("run", "busybox", "--", "sh", "-c", "printf 'a\\000b\\377'; printf 'oops' >&2")
    assert (outcome.code, outcome.raw_out, outcome.raw_err) == (0, b"a\0b\xff", b"oops")


def test_large_output_arrives_whole(msb):
    outcome = msb.run("run", "busybox", "--", "sh", "-c", "yes 0123456789abcde | head -c 33554432")
    assert outcome.code == 0
    assert len(outcome.raw_out) == 32 << 20
    assert hashlib.sha256(outcome.raw_out).digest() == hashlib.sha256(b"0123456789abcde\n" * (2 << 20)).digest()


def test_standard_input_streams_in(msb):
    data = os.urandom(4 << 20)
    outcome = msb.run("run", "busybox", "--", "sha256sum", input=data)
    assert outcome.out.split()[0] == hashlib.sha256(data).hexdigest()


def test_without_input_the_command_sees_the_end_at_once(msb):
    assert msb.ok("run", "busybox", "--", "wc", "-c") == "0\n"


def test_environment_directory_user_and_host_name(msb):
    script = "echo $A-$B; pwd; id -u; id -g; hostname; echo $HOME"
    out = msb.ok("run", "busybox", "-e", "A=one two", "-e", "B", "-w", "/home", "-u", "worker", "-H", "workshop", "--", "sh", "-c",
                 script, env={"B": "from the host"})
    assert out.splitlines() == ["one two-from the host", "/home", "1000", "1000", "workshop", "/home/worker"]


def test_more_cpus_than_the_host_has(msb):
    """They take turns."""
    count = os.cpu_count() + 1
    assert msb.ok("run", "busybox", "-c", count, "--", "nproc") == f"{count}\n"


def test_cpus_and_memory_are_what_was_asked_for(msb):
    out = msb.ok("run", "busybox", "-c", "2", "-m", "300M", "--", "sh", "-c", "nproc; grep MemTotal /proc/meminfo")
    cpus, memory = out.splitlines()
    assert cpus == "2"
    assert 240_000 < int(memory.split()[1]) <= 300 * 1024


def test_a_resource_limit_holds(msb):
    assert msb.ok("run", "busybox", "--rlimit", "nofile=123:456", "--", "sh", "-c", "ulimit -n; ulimit -Hn") == "123\n456\n"


def test_the_images_configuration_is_inherited(msb):
    assert msb.ok("run", "tests/configured") == "entry default words\n"
    assert msb.ok("run", "tests/configured", "--", "other", "words") == "entry other words\n"
    assert msb.ok("run", "tests/configured", "--entrypoint", "/bin/echo", "--", "mine") == "mine\n"
    out = msb.ok("run", "tests/configured", "--entrypoint", "", "-e", "SHAPE=square", "--", "sh", "-c",
                 "whoami; pwd; echo $COLOUR $SHAPE")
    assert out.splitlines() == ["worker", "/home/worker", "blue square"]


def test_words_after_the_image_are_the_command_without_a_separator(msb):
    assert msb.ok("run", "busybox", "echo", "no", "separator") == "no separator\n"


def test_nothing_is_left_of_an_unnamed_sandbox(fresh):
    fresh.ok("run", "busybox", "--", "true")
    assert fresh.names() == set()
    assert list((fresh.home / "sandboxes").iterdir()) == []
    fresh.wait_for_no_processes()


def test_each_sandbox_has_a_root_of_its_own(msb):
    msb.ok("create", "busybox", "--name", "one")
    msb.ok("create", "busybox", "--name", "two")
    msb.ok("exec", "one", "--", "sh", "-c", "echo mine > /etc/mark; rm /etc/group; echo changed >> /etc/passwd")
    out = msb.ok("exec", "two", "--", "sh", "-c", "ls /etc/mark 2>/dev/null; test -e /etc/group && grep -c changed /etc/passwd; true")
    assert out == "0\n"


def test_the_root_disk_has_the_asked_size(msb):
    blocks = msb.ok("run", "busybox", "--root-disk", "64M", "--", "sh", "-c", "df -k / | tail -n 1 | awk '{print $2}'")
    assert 30_000 < int(blocks) <= 65536
    outcome = msb.run("run", "busybox", "--root-disk", "64M", "--", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=100")
    assert outcome.code == 1
    assert "No space left on device" in outcome.err


def test_a_root_disk_in_memory(msb):
    out = msb.ok("run", "busybox", "--root-disk", "tmpfs:50M", "--", "sh", "-c", "echo x > /written; cat /written; df -k / | tail -n 1")
    assert out.startswith("x\n")
    assert 45_000 < int(out.splitlines()[1].split()[1]) <= 51200


def test_the_hosts_file_of_the_image_is_kept(msb):
    out = msb.ok("run", "alpine", "-H", "workshop", "--", "cat", "/etc/hosts")
    assert "10.9.8.7 from-the-image" in out
    assert "workshop" in out
    assert "127.0.0.1" in out


def test_what_a_guest_finds(msb):
    """The places every program expects."""
    script = """set -e
    test -c /dev/null && test -c /dev/urandom && test -d /dev/pts && test -d /dev/shm && test -c /dev/ptmx
    mount | grep -q 'proc on /proc' && mount | grep -q ' /sys ' && test -w /tmp && test -e /dev/fd/0
    test "$(cat /proc/1/comm)" != sh
    mkdir /made && echo text > /made/file && ln /made/file /made/link && test "$(cat /made/link)" = text
    ip link show lo | grep -q UP
    echo good"""
    assert msb.ok("run", "busybox", "--", "sh", "-c", script) == "good\n"


def test_the_guests_kernel_does_not_wake_up_for_nothing(msb):
    show = "cat /proc/sys/vm/compaction_proactiveness /proc/sys/vm/stat_interval"
    assert msb.ok("run", "busybox", "--", "sh", "-c", show).split() == ["0", "60"]


def test_a_timeout_kills_and_keeps_what_was_written(msb):
    outcome = msb.fails("run", "busybox", "--timeout", "2s", "--", "sh", "-c", "echo before; sleep 1000", says="did not finish within 2")
    assert outcome.out == "before\n"


def test_an_interrupt_goes_to_the_command(msb):
    process = msb.spawn("run", "busybox", "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 1; done")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"caught\n", 9)


def test_a_closed_output_ends_the_run(msb):
    process = msb.spawn("run", "busybox", "--", "yes")
    assert process.stdout.read(4) == b"y\ny\n"
    process.stdout.close()
    process.wait(timeout=60)
    process.stderr.close()


def test_every_layers_oddity_survives(msb):
    script = r"""cd /odd
    cat gone opaque/shown was-folder was-file/inside changed; echo
    ls opaque gone-folder 2>&1
    stat -c '%h %u:%g %a' linked linked-too
    stat -c '%a' setuid
    stat -c '%F %t:%T' null disk fifo
    ls | grep -c '^naaaaaaaa'; find . -path '*deepdeep*/end' -exec cat {} \; ; echo
    readlink long-link | wc -c
    cat "$(printf '\303\274ml\303\244ut \342\234\223 space')"; echo
    wc -c < holes; tail -c 3 holes; echo
    cat /many/last; ls /many | wc -l
    wc -c < page; wc -c < page-and-one; wc -c < empty"""
    assert msb.ok("run", "tests/layers", "--", "sh", "-c", script).splitlines() == [
        "back againshownnow a filenow a foldernew", "ls: gone-folder: No such file or directory", "opaque:", "shown",
        "2 1000:1001 640", "2 1000:1001 640", "4755", "character special file 1:3", "block special file 8:1", "fifo 0:0",
        "1", "long path", "902", "utf-8", "3145736", "end", "42", "38", "4096", "4097", "0"]


def test_twenty_in_parallel_from_twenty_processes(msb):
    msb.ok("pull", "busybox")
    running = [msb.spawn("run", "busybox", "-m", "128M", "--", "echo", f"number {n}") for n in range(20)]
    for n, process in enumerate(running):
        out, err = process.communicate(timeout=240)
        assert (process.returncode, out) == (0, f"number {n}\n".encode()), err
    assert msb.names() <= {"box"}
