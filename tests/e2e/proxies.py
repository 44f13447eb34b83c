"""Proxies on loopback that wait to be asked: HTTP (CONNECT, and plain requests) and SOCKS 5, each with a login."""

import base64
import contextlib
import socket
import socketserver
import struct
import threading

USER, PASSWORD = "me", "p@ss:word"
LOGIN = "me:p%40ss%3Aword"


def carry(one, other):
    """Bytes both ways until both have ended."""
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()
    other.close()


class HttpProxy(socketserver.StreamRequestHandler):
    scheme = "http"

    def handle(self):
        line = self.rfile.readline().decode()
        method, target, _ = line.split()
        headers = []
        while (header := self.rfile.readline().decode().strip()):
            headers.append(header)
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if f"Proxy-Authorization: Basic {login}" not in headers:
            return self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        plain = target.removeprefix("http://")
        where, _, path = plain.partition("/")
        try:
            upstream = self.server.reach(where)
        except OSError:
            return self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        if method == "CONNECT":
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = [header for header in headers if not header.startswith("Proxy-")] + ["Connection: close"]
            upstream.sendall("\r\n".join([f"{method} /{path} HTTP/1.1", *kept, "", ""]).encode())
        carry(self.connection, upstream)


class SocksProxy(socketserver.StreamRequestHandler):
    scheme = "socks5"

    def handle(self):
        count = self.rfile.read(2)[1]
        assert 2 in self.rfile.read(count)
        self.wfile.write(b"\5\2")
        user = self.rfile.read(self.rfile.read(2)[1])
        password = self.rfile.read(self.rfile.read(1)[0])
        good = (user, password) == (USER.encode(), PASSWORD.encode())
        self.wfile.write(b"\1\0" if good else b"\1\1")
        if not good:
            return
        kind = self.rfile.read(4)[3]
        assert kind in (1, 4), "a name was asked for"
        address = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, self.rfile.read(4 if kind == 1 else 16))
        port = struct.unpack(">H", self.rfile.read(2))[0]
        try:
            upstream = self.server.reach(f"{address}:{port}")
        except OSError:
            return self.wfile.write(b"\5\5\0\1" + bytes(6))
        self.wfile.write(b"\5\0\0\1" + bytes(6))
        carry(self.connection, upstream)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads, block_on_close = True, False

    def __init__(self, handler, routes):
        super().__init__(("127.0.0.1", 0), handler)
        self.routes, self.asked = routes, []
        self.place = f"{handler.scheme}://%s127.0.0.1:{self.server_address[1]}"
        self.url = self.place % f"{LOGIN}@"

    def reach(self, where):
        """A connection to whom it leads: `routes` says {"1.2.3.4:80": "127.0.0.1:8080"}; others are themselves."""
        self.asked.append(where)
        host, _, port = self.routes.get(where, where).rpartition(":")
        return socket.create_connection((host, int(port)), timeout=30)


@contextlib.contextmanager
def proxy(handler, routes=()):
    with Server(handler, dict(routes)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
