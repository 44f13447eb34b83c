"""Runs msb the way a user does: a process with arguments, streams and an exit code."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("MSB_TEST_BINARY", str(TOP / "build/msb"))
MACHINE = os.environ.get("MSB_TEST_MACHINE", "portable")
# Nothing here takes as long; whatever does hangs.
TIMEOUT = 120
# What is tried here is on loopback, and guests are to go where the tests say.
PROXY_VARIABLES = [spelt for name in ("http", "https", "all", "no") for spelt in (f"{name}_proxy", f"{name}_proxy".upper())]


def registry_storage():
    if "MSB_TEST_IMAGES" in os.environ:  # the nested test bed brings it
        return os.environ["MSB_TEST_IMAGES"]
    return subprocess.run([TOP / "tests/images/build"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


class Outcome:
    def __init__(self, args, code, out, err):
        self.args_used, self.code, self.raw_out, self.raw_err = args, code, out, err

    @property
    def out(self):
        return self.raw_out.decode(errors="replace")

    @property
    def err(self):
        return self.raw_err.decode(errors="replace")

    def __repr__(self):
        return f"msb {' '.join(map(str, self.args_used))}\n-> {self.code}\nstdout: {self.out[-3000:]}\nstderr: {self.err[-3000:]}"


class Msb:
    def __init__(self, home, registry, binary=BINARY):
        self.home, self.registry, self.binary = pathlib.Path(home), registry, binary
        self.home.mkdir(parents=True, exist_ok=True)
        docker = self.home.parent / (self.home.name + "-docker")
        docker.mkdir(exist_ok=True)
        self.environment = dict(os.environ, MSB_HOME=str(self.home), DOCKER_CONFIG=str(docker), LC_ALL="C.UTF-8")
        for name in ("MSB_PATH", "MSB_CONFIG_PATH", "MSB_KERNEL_PATH", "MSB_INITRAMFS_PATH", "NO_COLOR", *PROXY_VARIABLES):
            self.environment.pop(name, None)
        self.docker_config = docker / "config.json"
        self.configure({"registries": {"mirrors": {"docker.io": [registry]}}})

    def configure(self, settings):
        (self.home / "config.json").write_text(json.dumps(settings))

    def _argv(self, args):
        args = [word if isinstance(word, bytes) else str(word) for word in args]
        if args and args[0] in ("run", "create") and "--machine" not in args and "--help" not in args:
            args[1:1] = ["--machine", MACHINE]
        return [self.binary, *args]

    def spawn(self, *args, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        # Unbuffered: what a test reads line by line and what communicate() reads must add up to the whole.
        options.setdefault("bufsize", 0)
        return subprocess.Popen(self._argv(args), env={**self.environment, **(env or {})}, **options)

    def run(self, *args, input=None, timeout=TIMEOUT, env=None, **options):
        """Runs to the end; `input` (str or bytes) is its standard input, /dev/null when not given."""
        if isinstance(input, str):
            input = input.encode()
        options["stdin"] = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.spawn(*args, env=env, **options)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"hangs: {Outcome(args, 'timeout', out, err)!r}") from None
        return Outcome(args, process.returncode, out or b"", err or b"")

    def ok(self, *args, **options):
        """Runs, must succeed, returns standard output."""
        outcome = self.run(*args, **options)
        assert outcome.code == 0, repr(outcome)
        return outcome.out

    def fails(self, *args, code=1, says=(), **options):
        """Runs, must fail with `code` and an error that contains every phrase of `says`; returns the outcome."""
        outcome = self.run(*args, **options)
        assert outcome.code == code, repr(outcome)
        assert outcome.err.startswith("error: ") or "\nerror: " in outcome.err, repr(outcome)
        for phrase in [says] if isinstance(says, str) else says:
            assert phrase.lower() in outcome.err.lower(), f"{phrase!r} is missing: {outcome!r}"
        return outcome

    def json(self, *args, **options):
        return json.loads(self.ok(*args, "--format", "json", **options))

    def inspect(self, name):
        return self.json("inspect", name)

    def names(self):
        return {entry["name"] for entry in self.json("ls")}

    def wait_until_stopped(self, name, timeout=TIMEOUT):
        """`logs -f` ends when the sandbox does."""
        self.run("logs", "-f", name, timeout=timeout)
        return self.inspect(name)

    def processes(self):
        """Every live process that has this home in its arguments or environment: pid -> command line."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            home = str(self.home).encode()
            if state != "Z" and (home in command or b"MSB_HOME=" + home + b"\0" in environment):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def wait_for_no_processes(self, timeout=20):
        """Waits until nothing of this home lives; for tests that killed something and may not ask it."""
        deadline = time.monotonic() + timeout
        while found := self.processes():  # again: one that has ended may have started another
            for pid in found:
                try:
                    pidfd = os.pidfd_open(pid)
                except ProcessLookupError:
                    continue
                try:
                    ended = select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]
                finally:
                    os.close(pidfd)
                assert ended, f"still there: {self.processes()}"

    def remove_all(self, keep=()):
        names = self.names() - set(keep)
        if names:
            self.run("rm", "-f", *names)

    def close(self):
        """The end of the home, whatever state a test left it in."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.home, ignore_errors=True)

    def terminal(self, *args, rows=24, columns=80):
        return Terminal(self._argv(args), self.environment, rows, columns)


class Terminal:
    """msb on a pseudo terminal, with what it wrote so far in `screen`."""

    def __init__(self, argv, environment, rows, columns):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, {**environment, "TERM": "xterm"})
        self.screen = b""
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def _read(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side is closed
            chunk = b""
        self.screen += chunk
        return bool(chunk)

    def expect(self, pattern, timeout=60):
        """Reads until the pattern (a regular expression) appears after what was matched before; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern.encode(), self.screen, re.DOTALL)
            if match:
                self.screen = self.screen[match.end():]
                return match
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"{pattern!r} never came: {self.screen[-2000:]!r}"

    def wait(self, timeout=60):
        """Reads to the end; returns the exit code."""
        deadline = time.monotonic() + timeout
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        assert time.monotonic() < deadline, f"does not end: {self.screen[-2000:]!r}"
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)
