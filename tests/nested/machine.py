"""The machine of the nested test bed: starts QEMU, carries streams, and ends it. See `run` for its use.

A machine is booted once for each shape and then kept in the cache as it was before it had read anything of a job: its memory in a file that
later machines map privately, and the state of its devices. Those machines are ready in a moment instead of 5 s of processor time.
"""

import ctypes
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import time

import disks
from cpio import Cpio
from disks import HERE, TOP
from emulator import emulator

PORTS = ("out", "err", "control")
BOOT_SECONDS = 300  # takes 5 on an idle host
START_SECONDS = 120  # takes none: the machine has been kept where it waits for its job
START_TRIES = 3
_PR_SET_PDEATHSIG = 1


class Failure(Exception):
    def __init__(self, text, code=125):
        super().__init__(text)
        self.code = code


@dataclasses.dataclass
class Shape:
    cpus: int = 2
    memory_mib: int = 4096
    icount: bool = False
    # Without it the kernel copies 8 bytes with an instruction instead of one: with icount, where an instruction takes as long as another,
    # copies are then nearer to what they cost on real processors.
    erms: bool = True


@dataclasses.dataclass
class Job:
    command: list
    extra: list = dataclasses.field(default_factory=list)  # paths, absolute or of the checkout
    images: str = None  # a registry storage, mounted read-only at its own path
    user: bool = False
    tty: bool = False
    environment: dict = dataclasses.field(default_factory=dict)


def _built():
    return pathlib.Path(subprocess.run([HERE / "build"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip())


def _command_line(machine, shape, drives, memory, tty):
    """All of it but what differs between two machines of one shape. `drives` are vda to vdd, `memory` the start of its backend."""
    words = ["console=ttyS0", "loglevel=4", "panic=-1", "tsc=reliable", "clocksource=tsc", "mitigations=off", "nokaslr", "no_timer_check",
             "apparmor=0", "audit=0", "nowatchdog", "cryptomgr.notests", "random.trust_cpu=on", "rcupdate.rcu_expedited=1"]
    thread = "single" if shape.icount else "multi"
    command = [emulator(machine.parent), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
               "-M", "q35,hpet=off,smm=off,vmport=off,usb=off,graphics=off,memory-backend=memory",
               "-object", f"{memory},id=memory,size={shape.memory_mib}M",
               "-accel", f"tcg,thread={thread},tb-size=1024", "-cpu", "max,la57=off" + ("" if shape.erms else ",erms=off,fsrm=off"),
               "-smp", "1" if shape.icount else shape.cpus, "-m", shape.memory_mib,
               "-kernel", machine / "vmlinux", "-append", " ".join(words),
               "-serial", "chardev:log", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci,max_ports=8"]
    if shape.icount:
        command += ["-icount", "shift=0"]
    for number, path in enumerate(drives):
        access = "cache=unsafe" if number == 2 else "readonly=on,file.locking=off"
        command += ["-drive", f"if=none,id=disk{number},format=raw,{access},file={path}", "-device", f"virtio-blk-pci,drive=disk{number}"]
    if tty:
        command += ["-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty,nr=0"]
    for name in (*PORTS, "files"):
        command += ["-device", f"virtserialport,chardev={name},name={name}"]
    return [str(word) for word in command]


def _memory_file(kept, share):
    return f"memory-backend-file,mem-path={kept / 'memory'},share={share}"


def _die_with_parent():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Running:
    """A started QEMU with our ends of its ports in `ports`; ended with the object."""

    def __init__(self, command, work, log, stdin=subprocess.DEVNULL):
        self.work, self.log = work, log
        pairs = {name: socket.socketpair() for name in (*PORTS, "monitor")}
        self.ports = {name: ours for name, (ours, _) in pairs.items()}
        command = [*command, "-initrd", str(work / "initramfs"), "-chardev", f"file,id=log,path={log}",
                   "-chardev", f"file,id=files,path={work / 'out.tar'}"]
        for name, (_, theirs) in pairs.items():
            command += ["-chardev", f"socket,id={name},fd={theirs.fileno()}"]
        command += ["-mon", "chardev=monitor,mode=control"]
        with open(work / "qemu.log", "wb") as said:
            self.process = subprocess.Popen(command, stdin=stdin, stderr=said, preexec_fn=_die_with_parent,
                                            pass_fds=[theirs.fileno() for _, theirs in pairs.values()])
        for _, theirs in pairs.values():
            theirs.close()
        self._control = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def failure(self, text, code=125):
        tail = (self.work / "qemu.log").read_text(errors="replace")
        if self.log.exists():
            tail += self.log.read_text(errors="replace")[-3000:]
        return Failure(f"{text}. Last words of QEMU and its kernel:\n{tail}", code)

    def migrate(self, command, uri):
        """`migrate` or `migrate-incoming` of all state but the memory, which is in a file; then QEMU has done it."""
        stream = self.ports["monitor"].makefile("rw")

        def until(wanted):
            while not wanted(answer := json.loads(stream.readline() or '{"error": {"desc": "it ended"}}')):
                if "error" in answer:
                    raise self.failure(f"QEMU cannot {command}: {answer['error']['desc']}")
            return answer

        def do(name, **arguments):
            stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
            stream.flush()
            until(lambda answer: "return" in answer)

        do("qmp_capabilities")
        do("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in ("events", "x-ignore-shared")])
        if command == "migrate":
            do("stop")
        do(command, uri=uri)
        end = until(lambda answer: answer.get("event") == "MIGRATION" and answer["data"]["status"] in ("completed", "failed"))
        if end["data"]["status"] == "failed":
            raise self.failure(f"QEMU cannot {command}")
        if command == "migrate-incoming":
            do("cont")  # it was stopped when it was kept

    def word(self, deadline, streams=None):
        """The next line of the control port; meanwhile what the command writes goes to `streams` (port name: binary file)."""
        streams = {self.ports[name]: target for name, target in (streams or {}).items()}
        watched = os.pidfd_open(self.process.pid)
        with selectors.DefaultSelector() as selector:
            for port in (*streams, self.ports["control"], watched):
                selector.register(port, selectors.EVENT_READ)
            while b"\n" not in self._control:
                left = deadline - time.monotonic()
                ready = [key.fileobj for key, _ in selector.select(max(0.0, left))] if left > 0 else []
                if not ready:
                    raise self.failure("it takes too long; the machine is ended", 124)
                for port in ready:
                    if port == watched:
                        raise self.failure("the machine ended before the command did")
                    data = port.recv(65536)
                    if not data:
                        selector.unregister(port)
                    elif port in streams:
                        streams[port].write(data)
                        streams[port].flush()
                    else:
                        self._control += data
        os.close(watched)
        # Ports keep no order among each other, but what was written before the word is in its socket by now.
        for port, target in streams.items():
            port.setblocking(False)
            try:
                while data := port.recv(65536):
                    target.write(data)
            except BlockingIOError:
                pass
            target.flush()
        line, _, self._control = self._control.partition(b"\n")
        return line.decode().split()


def _write_initramfs(machine, work):
    """The cached one, with `init` appended: a changed init needs no new machine."""
    archive = Cpio()
    archive.add("init", stat.S_IFREG | 0o755, (HERE / "init").read_bytes())
    (work / "initramfs").write_bytes((machine / "initramfs").read_bytes() + archive.bytes())


def _boot_and_keep(machine, shape, result):
    """Boots a machine up to where it waits for its job, and keeps it in the folder `result`."""
    with tempfile.TemporaryDirectory(dir=result.parent, prefix="draft-") as folder:
        work = pathlib.Path(folder)
        kept = work / "kept"
        kept.mkdir()
        nothing = disks.empty(work / "nothing")
        _write_initramfs(machine, work)
        command = _command_line(machine, shape, (machine / "root.img", nothing, nothing, nothing), _memory_file(kept, "on"), False)
        with _Running(command, work, work / "kernel.log") as running:
            if running.word(time.monotonic() + BOOT_SECONDS) != ["ready"]:
                raise running.failure("the machine does not come up")
            running.migrate("migrate", f"exec:cat >{kept}/devices")
        kept.rename(result)


def _kept(machine, shape):
    """The folder with the booted machine of this shape."""
    # With these words in the place of paths: the same machine for every job.
    hasher = hashlib.sha256(repr(_command_line(machine, shape, ("vda", "vdb", "vdc", "vdd"), "memory", False)).encode())
    hasher.update(f"{disks.BYTES}".encode() + (HERE / "init").read_bytes())
    result = machine / f"booted-{hasher.hexdigest()[:16]}"
    if not result.exists():
        with open(machine / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not result.exists():
                _boot_and_keep(machine, shape, result)
    return result


class _NotBegun(Failure):
    """The machine did not take its job: nothing of it has run."""


def run(job, shape, timeout, out=None, log=None, stdout=None, stderr=None):
    """Runs the job in a fresh machine; its output goes to `stdout` and `stderr` (binary files). Returns its exit code.

    A machine that does not begin is given up for another one: now and then the emulated processors of one that was kept go round
    in circles as soon as they are let go.
    """
    for _ in range(START_TRIES - 1):
        try:
            return _run_once(job, shape, timeout, out, log, stdout, stderr)
        except _NotBegun:
            print("tests/nested: the machine did not begin and is started once more", file=sys.stderr, flush=True)
    return _run_once(job, shape, timeout, out, log, stdout, stderr)


def _run_once(job, shape, timeout, out, log, stdout, stderr):
    machine = _built()
    (TOP / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOP / "build", prefix="nested-") as folder:
        work = pathlib.Path(folder)
        images = disks.images_disk(job.images, machine.parent) if job.images else disks.empty(work / "no-images")
        drives = (machine / "root.img", disks.job_disk(job, work), disks.scratch_disk(work), images)
        _write_initramfs(machine, work)
        if job.tty:  # one device more than the kept machine has
            memory, how = "memory-backend-ram", []
        else:
            kept = _kept(machine, shape)
            memory, how = _memory_file(kept, "off"), ["-incoming", "defer"]
        command = _command_line(machine, shape, drives, memory, job.tty)
        streams = {"out": stdout or sys.stdout.buffer, "err": stderr or sys.stderr.buffer}
        with _Running(command + how, work, log or work / "kernel.log", stdin=None if job.tty else subprocess.DEVNULL) as running:
            deadline = time.monotonic() + timeout
            if job.tty:
                running.word(deadline)
            else:
                running.migrate("migrate-incoming", f"exec:cat {kept}/devices")
            running.ports["control"].sendall(b"go\n")
            try:
                running.word(min(deadline, time.monotonic() + START_SECONDS))  # "begun"
            except Failure as failure:
                raise _NotBegun(str(failure)) from None
            code = int(running.word(deadline, streams)[1])
        archive = work / "out.tar"
        if out is not None and archive.exists() and archive.stat().st_size > 0:
            out.mkdir(parents=True, exist_ok=True)
            with tarfile.open(archive) as tar:
                tar.extractall(out)
        return code
