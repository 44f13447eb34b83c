"""Root in a guest against its gateway: frames with lies in them, storms, names that are not what they seem. The gateway's own
tests say what becomes of each packet; these say that nothing gets out, that the sandbox stays usable, that its process does
not grow, and that the sandbox beside it never notices."""

import pathlib
import socket
import subprocess

import pytest

from harness import TOP
from servers import BOTH_FAMILIES, name_server, need, web_server

HOST = "host.microsandbox.internal"
# What the process of a sandbox may grow by. Its caps allow some 20 MiB: packets in pieces, connections, denials to be logged.
GROWTH_KIB = 64 << 10


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """tests/hostile/frames.c as a program for a guest."""
    need("clang-19")
    program = tmp_path_factory.mktemp("hostile") / "frames"
    subprocess.run(["clang-19", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, TOP / "tests/hostile/frames.c"], check=True)
    return program


class Bed:
    """Two sandboxes, the hostile one and its neighbour, and what the host has for them."""

    def __init__(self, msb, frames):
        self.msb = msb
        self.servers = [self._server(family, address) for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))]
        self.port = self.servers[0].getsockname()[1]
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=1)  # accepts nobody
        silent_port = self.silent.getsockname()[1]
        self.names = name_server({"good.example.com": "93.184.216.34"})
        nameserver, self.asked = self.names.__enter__()
        rules = f"allow@host:udp:{self.port},allow@host:tcp:{silent_port},allow@good.example.com"
        msb.ok("create", "busybox", "--name", "hostile", *BOTH_FAMILIES, "--dns-nameserver", nameserver, "--net-default", "deny",
               "--net-rule", rules, "--copy", f"{frames}:/frames")
        msb.ok("create", "busybox", "--name", "neighbour", *BOTH_FAMILIES, "--net", "host")
        self.silent_port = silent_port
        self.gateway4, self.guest4 = self._addresses("hostile", 4)
        self.gateway6, self.guest6 = self._addresses("hostile", 6)
        self.pid = msb.inspect("hostile")["pid"]

    def _server(self, family, address):
        server = socket.socket(family, socket.SOCK_DGRAM)
        server.bind((address, self.port if hasattr(self, "port") else 0))
        server.settimeout(30)
        self.port = server.getsockname()[1]
        return server

    def _addresses(self, name, family):
        """The gateway's and the guest's."""
        out = self.msb.ok("exec", name, "--", "sh", "-c", f"ip -{family} route; ip -{family} addr show dev eth0 scope global")
        return out.split("default via ")[1].split()[0], out.split("    inet" + ("6 " if family == 6 else " "))[1].split("/")[0]

    def memory_kib(self):
        rollup = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(rollup.split("\nPss:")[1].split()[0])

    def neighbour_asks(self, port):
        return self.msb.ok("exec", "neighbour", "--", "wget", "-qO-", f"http://{HOST}:{port}/")

    def close(self):
        self.msb.run("rm", "-f", "hostile", "neighbour")
        self.names.__exit__(None, None, None)
        for server in (*self.servers, self.silent):
            server.close()


@pytest.fixture(scope="module")
def bed(_shared_home, frames):
    made = Bed(_shared_home, frames)
    yield made
    made.close()


def test_no_frame_with_a_lie_about_its_sender_or_its_size_gets_out(bed):
    others = [bed._addresses("neighbour", family)[1] for family in (4, 6)]
    bed.msb.ok("exec", "hostile", "--", "/frames", "spoof", bed.port, bed.gateway4, bed.guest4, others[0], bed.gateway6, bed.guest6, others[1])
    # In order: what was sent before the honest ones would have come before them.
    assert [server.recv(100) for server in bed.servers] == [b"honest 4", b"honest 6"]


@pytest.mark.parametrize("storm", [
    ["syns", "GATEWAY4", "0", "65535"], ["syns", "GATEWAY4", "SILENT", "20000"], ["syns", "GATEWAY6", "0", "20000"],
    ["datagrams", "GATEWAY4", "0", "60000"], ["datagrams", "GATEWAY4", "PORT", "60000"], ["datagrams", "GATEWAY6", "PORT", "20000"],
    ["fragments", "GATEWAY4", "20000"], ["fragments", "GATEWAY6", "20000"], ["queries", "GATEWAY4", "20000"], ["garbage", "10000"]],
    ids=lambda storm: "-".join(storm[:-1]).lower())
def test_a_storm_harms_nobody(bed, storm):
    places = {"GATEWAY4": bed.gateway4, "GATEWAY6": bed.gateway6, "PORT": bed.port, "SILENT": bed.silent_port}
    before = bed.memory_kib()
    with web_server() as port:
        storming = bed.msb.spawn("exec", "hostile", "--", "/frames", *(places.get(word, word) for word in storm))
        assert bed.neighbour_asks(port) == f"hello {HOST}:{port}"
        _, err = storming.communicate(timeout=120)
        assert storming.returncode == 0, err
    assert bed.msb.ok("exec", "hostile", "--", "echo", "still here") == "still here\n"
    bed.msb.ok("exec", "hostile", "--", "ping", "-c", "1", "-W", "30", bed.gateway4)
    assert bed.memory_kib() - before < GROWTH_KIB


def test_no_query_of_the_storms_reached_the_nameserver(bed):
    bed.msb.ok("exec", "hostile", "--", "/frames", "queries", bed.gateway4, "100")
    bed.msb.ok("exec", "hostile", "--", "nslookup", "good.example.com")
    assert set(bed.asked) == {"good.example.com"}
