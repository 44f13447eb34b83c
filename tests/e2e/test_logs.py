"""msb logs: what was written, by whom and when."""

import json
import re


def test_streams_sources_and_order(msb):
    msb.ok("create", "busybox", "--name", "talker")
    msb.ok("exec", "talker", "--", "sh", "-c", "echo one; echo two >&2; echo three")
    msb.ok("exec", "talker", "--", "echo", "four")
    outcome = msb.run("logs", "talker")
    assert outcome.out == "one\nthree\nfour\n"
    assert outcome.err == "two\n"
    assert msb.run("logs", "talker", "--source", "stderr").err == "two\n"
    assert msb.ok("logs", "talker", "--source", "stdout") == "one\nthree\nfour\n"
    assert msb.ok("logs", "talker", "--tail", "1") == "four\n"
    assert msb.ok("logs", "talker", "--grep", "^th") == "three\n"
    assert msb.ok("logs", "talker", "--since", "1h", "--tail", "1") == "four\n"
    assert msb.ok("logs", "talker", "--until", "1h") == ""
    msb.ok("stop", "talker")
    assert "four" in msb.ok("logs", "talker")


def test_json_lines(msb):
    msb.ok("create", "busybox", "--name", "talker")
    msb.ok("exec", "talker", "--", "echo", "hello")
    (entry,) = [json.loads(line) for line in msb.ok("logs", "talker", "--json").splitlines()]
    assert (entry["source"], entry["data"]) == ("stdout", "hello\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", entry["timestamp"])


def test_following_ends_with_the_sandbox(msb):
    msb.ok("create", "busybox", "--name", "talker")
    follower = msb.spawn("logs", "-f", "talker")
    for n in range(3):
        msb.ok("exec", "talker", "--", "echo", f"line {n}")
        assert follower.stdout.readline() == f"line {n}\n".encode()
    msb.ok("stop", "talker")
    out, err = follower.communicate(timeout=60)
    assert (follower.returncode, out, err) == (0, b"", b"")


def test_the_guests_console_is_the_system_source(msb):
    msb.ok("create", "busybox", "--name", "talker")
    msb.ok("exec", "talker", "--", "sh", "-c", "echo '<1>marked by a test' > /dev/kmsg")
    msb.ok("stop", "talker")
    assert "marked by a test" in msb.ok("logs", "talker", "--source", "system")
    assert "marked by a test" not in msb.ok("logs", "talker")


def test_following_the_system_source_follows_the_console_too(msb):
    msb.ok("create", "busybox", "--name", "talker")
    follower = msb.spawn("logs", "-f", "--source", "all", "talker")
    assert follower.stdout.readline(), "nothing of the boot"  # from here on it follows
    msb.ok("exec", "talker", "--", "sh", "-c", "echo '<1>marked by a test' > /dev/kmsg; echo and said")
    seen = ""
    while "marked by a test" not in seen or "and said" not in seen:
        line = follower.stdout.readline().decode()
        assert line, seen
        seen += line
    msb.ok("stop", "talker")
    follower.communicate(timeout=60)
    assert follower.returncode == 0


def test_mistakes(msb):
    msb.fails("logs", "nobody", says="nobody")
    msb.ok("create", "busybox", "--name", "talker")
    msb.fails("logs", "talker", "--source", "telepathy", code=2, says="telepathy")
    msb.fails("logs", "talker", "--since", "yesterday", code=2, says="yesterday")
