"""No network is no way out: by IPv4, IPv6, Unix sockets, vsock or a device. Both without a card (--no-net) and with a card that leads
nowhere (--net none)."""

import json
import pathlib
import socket
import threading

import pytest

from servers import BOTH_FAMILIES

PROBE = (pathlib.Path(__file__).parent / "airgap_probe.py").read_text()
ABSTRACT = "\0msb-airgap-test"
# Device numbers of virtio (5.): network, block, console, entropy, balloon, file system.
NET, BLOCK, CONSOLE, ENTROPY, BALLOON, FS = 1, 2, 3, 4, 5, 26


def addresses_of_host():
    """Every address that some program of this host might listen on."""
    found = {"127.0.0.1", "::1"}
    for family, somewhere in ((socket.AF_INET, "198.41.0.4"), (socket.AF_INET6, "2001:503:ba3e::2:30")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((somewhere, 53))
                found.add(probe.getsockname()[0])
            except OSError:
                pass
    return found


@pytest.fixture
def host(tmp_path):
    """Servers of the host on every kind of socket, which answer whoever comes: what a guest should ask of the probe."""
    tcp = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", 0))
    abstract, path = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(2))
    abstract.bind(ABSTRACT)
    shared = tmp_path / "shared"
    shared.mkdir()
    path.bind(str(shared / "socket"))
    came = []

    def answer(server):
        while True:
            peer, _ = server.accept()
            with peer:
                greeting = peer.recv(100)
                if greeting == b"the end":
                    return
                came.append(("stream", greeting))
                peer.send(b"you are out")

    def reply():
        while (got := udp.recvfrom(100))[0] != b"the end":
            came.append(("datagram", got[0]))
            udp.sendto(b"you are out", got[1])

    for server in (tcp, abstract, path):
        server.listen()
    threads = [threading.Thread(target=answer, args=(server,)) for server in (tcp, abstract, path)] + [threading.Thread(target=reply)]
    for thread in threads:
        thread.start()
    yield {"tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "shared": shared, "came": came}
    ends = [(socket.AF_INET6, socket.SOCK_STREAM, tcp.getsockname()), (socket.AF_INET6, socket.SOCK_DGRAM, ("::1", udp.getsockname()[1])),
            (socket.AF_UNIX, socket.SOCK_STREAM, ABSTRACT), (socket.AF_UNIX, socket.SOCK_STREAM, str(shared / "socket"))]
    for family, kind, address in ends:
        with socket.socket(family, kind) as end:
            end.connect(address)
            end.send(b"the end")
    for thread in threads:
        thread.join()
    for server in (tcp, udp, abstract, path):
        server.close()


def probe(msb, host, *flags):
    msb.ok("create", "python", "--name", "airgap", "-v", f"{host['shared']}:/shared", *flags)
    gateways = msb.run("exec", "airgap", "--", "sed", "-n", "s/^nameserver //p", "/etc/resolv.conf").out.split()
    asked = {"addresses": sorted({*addresses_of_host(), *gateways, "172.16.0.1", "93.184.216.34", "2001:503:ba3e::2:30"}),
             "names": ["example.com", "host.microsandbox.internal"], "tcp": host["tcp"], "udp": host["udp"],
             "unix": [ABSTRACT.replace("\0", "@"), "/shared/socket"]}
    return json.loads(msb.ok("exec", "airgap", "--", "python3", "-", json.dumps(asked), input=PROBE))


def outcomes(found, prefix):
    return {name: outcome for name, outcome in found["outcomes"].items() if name.startswith(prefix + " ")}


def expect_nothing_but_documented_devices(found):
    assert found["ports"] == ["agent"] and found["outcomes"]["port"] == "EBUSY"
    assert set(found["virtio"]) - {NET} <= {BLOCK, CONSOLE, ENTROPY, BALLOON, FS}, found["virtio"]
    assert found["virtio"].count(CONSOLE) == 1
    assert not {"mem", "port", "kvm", "vhost-net", "vhost-vsock"} & set(found["dev"])
    assert set(found["dev"]) <= {
        "autofs", "console", "core", "fd", "full", "fuse", "hwrng", "kmsg", "loop-control", "mqueue", "net", "null", "ptmx", "pts", "random",
        "shm", "stderr", "stdin", "stdout", "tty", "ttyS0", "urandom", "userfaultfd", "vda", "vdb", "vsock", "zero",
        *(name for name in found["dev"] if name.startswith("vport"))}


def expect_no_local_way_out(found, host):
    assert outcomes(found, "unix") == {"unix @msb-airgap-test": "ECONNREFUSED", "unix /shared/socket": "ECONNREFUSED"}
    vsock = outcomes(found, "vsock")
    assert len(vsock) == 252
    assert {outcome for name, outcome in vsock.items()} <= {
        "ENODEV", "ENETUNREACH", "ECONNRESET", "EINVAL", "ESOCKTNOSUPPORT", "EOPNOTSUPP", "EADDRNOTAVAIL"}, vsock
    assert host["came"] == []


def test_without_a_card_nothing_leads_out(msb, host):
    found = probe(msb, host, "--no-net")
    assert found["interfaces"] == ["lo"] and NET not in found["virtio"]
    ip = {**outcomes(found, "tcp"), **outcomes(found, "udp")}
    # Its own loopback is there, and empty.
    refused = {name for name, outcome in ip.items() if outcome == "ECONNREFUSED"}
    assert refused == {"tcp 127.0.0.1", "tcp ::1", "udp 127.0.0.1", "udp ::1"}
    assert set(ip.values()) == {"ECONNREFUSED", "ENETUNREACH"}
    assert not any("." in found or ":" in found for found in outcomes(found, "name").values())
    expect_no_local_way_out(found, host)
    expect_nothing_but_documented_devices(found)


def test_a_card_that_leads_nowhere_leads_nowhere(msb, host):
    found = probe(msb, host, "--net", "none", *BOTH_FAMILIES)
    assert found["interfaces"] == ["eth0", "lo"]
    assert set(outcomes(found, "tcp").values()) == {"ECONNREFUSED"}
    assert set(outcomes(found, "udp").values()) <= {"ECONNREFUSED", "silence"}
    assert not outcomes(found, "name")["name example.com"].startswith(("93.", "2"))
    expect_no_local_way_out(found, host)
    expect_nothing_but_documented_devices(found)
