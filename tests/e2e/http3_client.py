"""Runs inside a guest, by test_network_http3.py: fetches HOST PORT /SIZE by HTTP/3 and prints the SHA-256 of what came."""

import asyncio
import hashlib
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def begin(self):
        self.http, self.digest, self.done = H3Connection(self._quic), hashlib.sha256(), asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for told in self.http.handle_event(event):
            if isinstance(told, DataReceived):
                self.digest.update(told.data)
            if told.stream_ended and not self.done.done():
                self.done.set_result(self.digest.hexdigest())

    async def get(self, authority, path):
        request = {b":method": b"GET", b":scheme": b"https", b":authority": authority.encode(), b":path": path.encode()}
        self.http.send_headers(self._quic.get_next_available_stream_id(), list(request.items()), end_stream=True)
        self.transmit()
        return await self.done


async def main(host, port, path):
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)

    def make(*arguments, **options):
        client = Client(*arguments, **options)
        client.begin()
        return client

    async with connect(host, int(port), configuration=configuration, create_protocol=make) as client:
        print(await client.get(host, path))


asyncio.run(main(*sys.argv[1:]))
