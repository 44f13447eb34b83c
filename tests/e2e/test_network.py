"""Traffic of real guests: to the host and its names, and from it by published ports. The host of these tests has no
internet; what is public is tried in src/net/gateway_test.cc."""

import json
import socket
import urllib.request

from servers import name_server, own_address, web_server

HOST = "host.microsandbox.internal"


def denials(msb, name):
    return [json.loads(line) for line in msb.ok("logs", name, "--source", "network").splitlines()]


def test_the_guest_has_one_card_and_its_gateway(msb):
    out = msb.ok("run", "busybox", "--", "sh", "-c", "ip -4 addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts")
    assert "inet 172.16." in out and "default via 172.16." in out
    gateway = out.split("default via ")[1].split()[0]
    assert f"nameserver {gateway}" in out
    assert f"{gateway}\t{HOST}" in out


def test_the_gateway_answers_ping(msb):
    msb.ok("run", "busybox", "--", "ping", "-c", "2", "-W", "5", HOST)


def test_the_hosts_loopback_is_reached_by_name_when_allowed(msb):
    with web_server() as port:
        out = msb.ok("run", "--net", "public,host", "busybox", "--", "wget", "-qO-", f"http://{HOST}:{port}/")
        assert out == f"hello {HOST}:{port}"


def test_the_hosts_loopback_is_refused_by_default_and_that_is_told(msb):
    with web_server() as port:
        msb.ok("create", "busybox", "--name", "closed")
        outcome = msb.run("exec", "closed", "--", "wget", "-qO-", f"http://{HOST}:{port}/")
        assert outcome.code != 0 and "refused" in outcome.err.lower(), repr(outcome)
        told = denials(msb, "closed")
        assert any(event.get("port") == port and event["rule"] == "default egress" for event in told), told


def test_a_port_that_nobody_listens_on_is_refused(msb):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        outcome = msb.run("run", "--net", "host", "busybox", "--", "nc", HOST, str(port))
        assert outcome.code != 0, repr(outcome)


def test_without_a_network_there_is_no_card(msb):
    out = msb.ok("run", "--no-net", "busybox", "--", "sh", "-c", "ls /sys/class/net; ping -c 1 -W 1 172.16.0.1 2>&1 || echo unreachable")
    assert out.split()[0] == "lo" and "eth0" not in out
    assert "unreachable" in out


def test_a_published_port_leads_to_the_guest(msb):
    msb.ok("create", "busybox", "--name", "web", "-p", "0:80")
    msb.ok("exec", "web", "--", "sh", "-c", "mkdir /www; echo from the guest > /www/index.html; httpd -p 80 -h /www")
    (port,) = msb.inspect("web")["ports"]
    host = port.rsplit(":", 1)[0]
    host = host if ":" in host else f"127.0.0.1:{host}"
    with urllib.request.urlopen(f"http://{host}/", timeout=30) as page:
        assert page.read() == b"from the guest\n"


def test_a_service_on_the_guests_loopback_is_published_too(msb):
    msb.ok("create", "busybox", "--name", "inner", "-p", "0:8080")
    msb.ok("exec", "inner", "--", "sh", "-c", "mkdir /www; echo inner > /www/index.html; httpd -p 127.0.0.1:8080 -h /www")
    (port,) = msb.inspect("inner")["ports"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port.split(':')[0]}/", timeout=30) as page:
        assert page.read() == b"inner\n"


def test_a_taken_port_is_named_before_anything_boots(msb):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        msb.fails("run", "-p", f"{port}:80", "busybox", "--", "true", says=[str(port), "in use", "-p 0:80"])


def test_names_are_asked_of_the_given_server_and_denied_ones_are_not(msb):
    with name_server({"good.example.com": "93.184.216.34", "x.evil.com": "93.184.216.35"}) as (server, asked):
        rules = ("--dns-nameserver", server, "--net", "public", "--net-rule", "deny@*.evil.com")
        out = msb.ok("run", *rules, "busybox", "--", "sh", "-c", "nslookup good.example.com; nslookup x.evil.com || true")
        assert "93.184.216.34" in out and "93.184.216.35" not in out
        assert "good.example.com" in asked and "x.evil.com" not in asked


def test_answers_with_private_addresses_are_withheld(msb):
    with name_server({"rebind.example.com": "192.168.1.1"}) as (server, _):
        out = msb.run("run", "--dns-nameserver", server, "busybox", "--", "nslookup", "rebind.example.com").out
        assert "192.168.1.1" not in out


def test_an_allowlist_of_names_holds_against_spoofed_ones(msb):
    address = own_address()
    with web_server(address) as port, name_server({"good.example.com": address}) as (server, _):
        msb.ok("create", "busybox", "--name", "listed", "--dns-nameserver", server, "--no-dns-rebind-protection",
               "--net-default", "deny", "--net-rule", f"allow@good.example.com:tcp:{port}")

        def get(where, *header):
            return msb.run("exec", "listed", "--", "wget", "-qO-", *header, f"http://{where}:{port}/")

        assert get(address).code != 0, "an address that was never resolved"
        assert get("good.example.com").out == f"hello good.example.com:{port}"
        assert get("good.example.com", "--header", "Host: evil.example.com").code != 0, "another name at its address"
        assert get("other.example.com").code != 0, "a name that is not listed"


def test_a_restart_has_the_same_network_rules_and_ports(msb):
    msb.ok("create", "busybox", "--name", "again", "-p", "0:80", "--net", "host")
    before = msb.inspect("again")
    msb.ok("stop", "again")
    msb.ok("start", "again")
    after = msb.inspect("again")
    assert len(before["ports"]) == len(after["ports"]) == 1
    with web_server() as port:
        assert msb.ok("exec", "again", "--", "wget", "-qO-", f"http://{HOST}:{port}/") == f"hello {HOST}:{port}"
