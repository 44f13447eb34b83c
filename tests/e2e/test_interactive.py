"""Sessions on a terminal."""

import os
import signal


def test_a_shell(msb):
    msb.ok("create", "busybox", "--name", "desk")
    terminal = msb.terminal("shell", "desk")
    terminal.expect(r"[#$] ")
    terminal.type("tty; echo $((20 + 22))\r")
    terminal.expect(r"/dev/pts/\d+\r\n42\r\n")
    terminal.type("exit 5\r")
    assert terminal.wait() == 5


def test_run_on_a_terminal_is_interactive(msb):
    terminal = msb.terminal("run", "busybox")
    terminal.expect(r"[#$] ")
    terminal.type("echo it is $USER; exit\r")
    terminal.expect("it is ")
    assert terminal.wait() == 0
    assert msb.names() == set()


def test_the_size_follows_the_terminal(msb):
    msb.ok("create", "busybox", "--name", "desk")
    terminal = msb.terminal("exec", "desk", "--", "sh", rows=33, columns=111)
    terminal.expect(r"[#$] ")
    terminal.type("stty size\r")
    terminal.expect(r"33 111\r\n")
    terminal.resize(44, 122)
    os.kill(terminal.pid, signal.SIGWINCH)
    terminal.type("trap : WINCH; sleep 1; stty size\r")
    terminal.expect(r"44 122\r\n")
    terminal.type("exit\r")
    assert terminal.wait() == 0


def test_interrupts_reach_the_guest_and_not_msb(msb):
    msb.ok("create", "busybox", "--name", "desk")
    terminal = msb.terminal("shell", "desk")
    terminal.expect(r"[#$] ")
    terminal.type("sh -c 'echo going; exec sleep 1000'\r")
    terminal.expect("\ngoing\r\n")
    terminal.type("\x03")
    terminal.expect(r"[#$] ")
    terminal.type("echo survived\r")
    terminal.expect(r"\nsurvived\r\n.*[#$] ")
    terminal.type("\x04")
    terminal.wait()


def test_the_detach_keys_leave_the_sandbox_running(msb):
    terminal = msb.terminal("run", "busybox", "--name", "stays", "--", "sh")
    terminal.expect(r"[#$] ")
    terminal.type("echo $((3 * 5)) > /root/note; cat /root/note\r")
    terminal.expect(r"15\r\n")
    terminal.type("\x1d")
    assert terminal.wait() == 0
    assert msb.inspect("stays")["status"] == "running"
    assert msb.ok("exec", "stays", "--", "cat", "/root/note") == "15\n"


def test_other_detach_keys(msb):
    msb.ok("create", "busybox", "--name", "desk")
    terminal = msb.terminal("shell", "desk", "--detach-keys", "ctrl-p,q")
    terminal.expect(r"[#$] ")
    terminal.type("\x1d")
    terminal.type("\x10q")
    assert terminal.wait() == 0
    assert msb.inspect("desk")["status"] == "running"


def test_large_output_through_a_terminal(msb):
    terminal = msb.terminal("run", "busybox", "--", "seq", "200000")
    terminal.expect("\n200000\r\n", timeout=120)
    assert terminal.wait() == 0


def test_the_terminal_is_as_before_when_msb_is_killed_by_a_signal(msb):
    """A signal that ends msb must not leave the terminal raw."""
    import termios
    msb.ok("create", "busybox", "--name", "desk")
    terminal = msb.terminal("shell", "desk")
    before = termios.tcgetattr(terminal.fd)[3] & (termios.ECHO | termios.ICANON)
    terminal.expect(r"[#$] ")
    assert not termios.tcgetattr(terminal.fd)[3] & termios.ICANON
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.expect("", timeout=1)
    os.waitid(os.P_PID, terminal.pid, os.WEXITED | os.WNOWAIT)
    assert before == termios.tcgetattr(terminal.fd)[3] & (termios.ECHO | termios.ICANON)
    assert terminal.wait() != 0


def test_a_tty_where_there_is_none_is_refused(msb):
    msb.ok("create", "busybox", "--name", "desk")
    msb.fails("exec", "desk", "-t", "--", "sh", says="terminal")


def test_no_tty_on_a_terminal(msb):
    terminal = msb.terminal("run", "--no-tty", "busybox", "--", "sh", "-c", "tty; true")
    terminal.expect("not a tty")
    assert terminal.wait() == 0
