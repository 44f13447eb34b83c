"""What the tests of networks have on the host: servers for HTTP and DNS, addresses."""

import contextlib
import http.server
import shutil
import socket
import struct
import threading

import pytest

# Flags for a sandbox that has both families, whatever the host of the test has.
BOTH_FAMILIES = ("--net-ipv4-pool", "172.30.0.0/16", "--net-ipv6-pool", "fd77:6d73::/48")


def need(*programs):
    """tools/setup installs them all; the nested test bed has few."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def own_address():
    """An address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.41.0.4", 53))
        except OSError:
            pytest.skip("the host has no address but loopback")
        return probe.getsockname()[0]


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"hello {self.headers.get('Host')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def web_server(address="127.0.0.1"):
    server = http.server.ThreadingHTTPServer((address, 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def name_server(answers):
    """A DNS server on loopback: {name: address or addresses}, read anew for every query; other names do not exist.
    Yields its address and what it was asked."""
    asked = []
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def question(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        return ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0], query[12:at + 5]

    def addresses(name, kind):
        given = answers.get(name, ())
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        for address in [given] if isinstance(given, str) else given:
            if family == (socket.AF_INET6 if ":" in address else socket.AF_INET):
                yield socket.inet_pton(family, address)

    def serve():
        while True:
            query, client = server.recvfrom(4096)
            if not query:
                return
            name, kind, section = question(query)
            asked.append(name)
            found = list(addresses(name, kind))
            flags = 0x8180 if name in answers else 0x8183
            reply = query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + section
            for address in found:
                reply += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(address)) + address
            server.sendto(reply, client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}", asked
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", server.getsockname())
        thread.join()
        server.close()
