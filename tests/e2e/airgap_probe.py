"""Runs inside a guest, by test_airgap.py: tries every way out, and prints as JSON what became of each."""

import errno
import glob
import json
import os
import socket
import sys

asked = json.loads(sys.argv[1])
outcomes = {}


def attempt(name, family, kind, address, timeout=3):
    """The errno's name, "silence", or what came back."""
    try:
        with socket.socket(family, kind) as end:
            end.settimeout(timeout)
            end.connect(address)
            end.send(b"let me out")
            outcomes[name] = "answered: " + repr(end.recv(100))
    except TimeoutError:
        outcomes[name] = "silence"
    except OSError as error:
        outcomes[name] = errno.errorcode.get(error.errno, str(error))


for host in asked["addresses"]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    attempt(f"tcp {host}", family, socket.SOCK_STREAM, (host, asked["tcp"]))
    attempt(f"udp {host}", family, socket.SOCK_DGRAM, (host, asked["udp"]), timeout=0.5)
for name in asked["names"]:
    try:
        outcomes[f"name {name}"] = socket.getaddrinfo(name, 80)[0][4][0]
    except socket.gaierror as error:
        outcomes[f"name {name}"] = str(error.strerror)

for name in asked["unix"]:
    attempt(f"unix {name}", socket.AF_UNIX, socket.SOCK_STREAM, name.replace("@", "\0"))

# Nobody (0), this guest by loopback (1), the host (2), a guest's usual number, any (the last); the ports that firmware, agents and
# debuggers of other virtual machines use, and the ends of the range.
for cid in (0, 1, 2, 3, 16, 0xffffffff):
    for port in (0, 1, 22, 52, 123, 1024, 1025, 1026, 2049, 5000, 8000, 9999, 10000, 0xfffffffe):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            attempt(f"vsock {cid}:{port}/{kind.name}", socket.AF_VSOCK, kind, (cid, port))

# The one port of the console is the agent's, and taken.
for path in glob.glob("/dev/vport*"):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        outcomes["port"] = "opened"
    except OSError as error:
        outcomes["port"] = errno.errorcode[error.errno]

devices = sorted(int(open(path).read(), 16) for path in glob.glob("/sys/bus/virtio/devices/*/device"))
print(json.dumps({
    "outcomes": outcomes, "virtio": devices, "interfaces": sorted(os.listdir("/sys/class/net")), "dev": sorted(os.listdir("/dev")),
    "ports": [open(path).read().strip() for path in glob.glob("/sys/class/virtio-ports/*/name")]}))
