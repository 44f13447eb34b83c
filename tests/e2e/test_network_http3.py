"""HTTP/3 through a guest, for whoever has aioquic (no Debian 12 package has it): PYTHONPATH=SITE tools/e2e -k http3, after
`python3 -m pip install --target SITE aioquic`."""

import asyncio
import hashlib
import pathlib
import subprocess
import threading

import pytest

from servers import BOTH_FAMILIES, need

aioquic = pytest.importorskip("aioquic")

from aioquic.asyncio.protocol import QuicConnectionProtocol  # noqa: E402
from aioquic.asyncio.server import serve  # noqa: E402
from aioquic.h3.connection import H3_ALPN, H3Connection  # noqa: E402
from aioquic.h3.events import HeadersReceived  # noqa: E402
from aioquic.quic.configuration import QuicConfiguration  # noqa: E402

HOST = "host.microsandbox.internal"
BODY = bytes(range(256)) * (4 << 10)  # 1 MiB


class Server(QuicConnectionProtocol):
    http = None

    def quic_event_received(self, event):
        self.http = self.http or H3Connection(self._quic)
        for told in self.http.handle_event(event):
            if isinstance(told, HeadersReceived):
                self.http.send_headers(told.stream_id, [(b":status", b"200")])
                self.http.send_data(told.stream_id, BODY, end_stream=True)
                self.transmit()


@pytest.fixture
def port(tmp_path):
    """Of an HTTP/3 server on the host's IPv4 loopback."""
    need("openssl")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={HOST}", "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"], check=True, capture_output=True)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server._transport.get_extra_info("sockname")[1]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_http3_arrives_whole(msb, port):
    here = pathlib.Path(__file__).parent
    site = pathlib.Path(aioquic.__file__).parent.parent
    msb.ok("create", "debian", "--name", "quic", "-v", "/usr:/usr:ro", "-v", f"{site}:/site:ro", "--net", "host", *BOTH_FAMILIES)
    out = msb.ok("exec", "quic", "-e", "PYTHONPATH=/site", "--", "python3", "-", HOST, port, "/", input=(here / "http3_client.py").read_text())
    assert out.strip() == hashlib.sha256(BODY).hexdigest()
