"""A registry on loopback that is wrong on purpose. The repository's name says how.

    errors/401, errors/403, errors/429, errors/500 ...   that status for every manifest
    private/image       needs user "someone" with password "secret" (Basic)
    token/image         needs a Bearer token from /token, which wants the same user
    broken/truncated    the layer's transfer always ends after half of it
    broken/resumes      the same, but the rest can be had with a Range request
    broken/once500      a 500 before each thing is served
    broken/corrupt      the layer's bytes are others than its digest says
    broken/diffid       the layer's diff id in the config is wrong
    broken/missing      the layer's blob is not there
    broken/manifest     the manifest is no JSON
    evil/*              layers made to hurt, see _evil()
"""

import base64
import gzip
import http.server
import json
import tarfile
import threading

from images.oci import Blob, Image, Layer, digest

_GOOD = base64.b64encode(b"someone:secret").decode()


def _plain():
    return Layer().directory("etc").add("etc/hello", data=b"hello\n" * 50000)


def _raw_tar(size_field):
    """One file whose size is whatever the 12 bytes say."""
    header = bytearray(512)
    header[0:5] = b"large"
    header[100:108] = b"0000644\0"
    header[108:116] = header[116:124] = b"0000000\0"
    header[124:136] = size_field
    header[136:148] = b"00000000000\0"
    header[148:156] = b" " * 8
    header[156:157] = b"0"
    header[257:265] = b"ustar\x0000"
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def _evil():
    """name -> bytes of a tar. None of these may reach anything outside the layer, whatever else happens."""
    escape = Layer().symlink("out", "/tmp").add("out/msb-escaped", data=b"x")
    relative = Layer().directory("a").symlink("a/up", "../../../../tmp").add("a/up/msb-escaped", data=b"x")
    deep = Layer().add("/".join(["d"] * 1500) + "/f", data=b"x")
    return {
        "dotdot": Layer().add("../../../../tmp/msb-escaped", data=b"x").bytes(),
        "inner-dotdot": Layer().add("a/../../../../tmp/msb-escaped", data=b"x").bytes(),
        "absolute": Layer().add("/tmp/msb-escaped", data=b"x").bytes(),
        "link-parent": escape.bytes(),
        "relative-link-parent": relative.bytes(),
        "hardlink-outside": Layer().hard_link("passwd", "../../../../etc/passwd").bytes(),
        "hardlink-missing": Layer().hard_link("here", "nowhere").bytes(),
        "huge-size": _raw_tar(b"77777777777\0"),
        "absurd-size": _raw_tar(b"\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"),
        "negative-size": _raw_tar(b"\xff" * 12),
        "bad-xattr": Layer().add("f", data=b"x", xattrs={"user." + "n" * 300: "v" * 70000}).bytes(),
        "deep": deep.bytes(),
        "whiteout-root": Layer().add(".wh..").add(".wh...").add(".wh.").bytes(),
        "rubbish": b"this is no tar archive at all, but long enough to hold a header" * 100,
        "cut": _plain().bytes()[:3000],
        "link-loop": Layer().symlink("a", "b").symlink("b", "a").add("a/f", data=b"x").bytes(),
        "bomb": bytes(1 << 26),  # 64 MiB of zeros, an end-of-archive marker that goes on and on
    }


def _million():
    """A layer of a million files and more: half a gigabyte of tar in a blob of a megabyte or two (gzip's members add up)."""
    layer = Layer()
    for n in range(1000):
        layer.add(f"file{n}")
    blob = Blob(b"")
    blob.data = gzip.compress(layer.bytes()[:1000 * 512], 6, mtime=0) * 1001
    blob.digest = digest(blob.data)
    return blob


class FaultyRegistry:
    def __init__(self):
        self.manifests, self.blobs, self.requests = {}, {}, []
        self._failed_once = set()
        self._make_images()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            def do_HEAD(self):
                registry.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def _add(self, name, *blobs, image=None):
        image = image or Image(list(blobs), {"Cmd": ["/bin/true"]})
        self.manifests[name] = (image.manifest, image.media_type)
        self.blobs[digest(image.config)] = image.config
        for blob in image.blobs:
            self.blobs[blob.digest] = blob.data

    def _make_images(self):
        for name in ("private/image", "token/image", "broken/truncated", "broken/resumes", "broken/once500", "broken/corrupt",
                     "broken/missing"):
            # Layers of their own, so that no cache hides the next fault; not compressible, so that a half is a lot.
            noise = b"".join(digest(f"{name}{n}".encode()).encode() for n in range(8000))
            self._add(name, Blob(_plain().add("noise", data=noise).bytes()))
        wrong = Blob(_plain().add("name", data=b"diffid").bytes())
        wrong.diff_id = digest(b"something else")
        self._add("broken/diffid", wrong)
        self.manifests["broken/manifest"] = (b"<html>welcome to our wifi</html>", "text/html")
        for name, tar in _evil().items():
            self._add("evil/" + name, Blob(tar))
        self._add("evil/million", _million())

    def layer_of(self, repository):
        return json.loads(self.manifests[repository][0])["layers"][0]["digest"]

    # ---- answers ---------------------------------------------------------------------------------------------------

    def answer(self, request):
        path, _, query = request.path.partition("?")
        self.requests.append((request.command, path, request.headers.get("Range"), request.headers.get("Authorization")))
        if path in ("/v2", "/v2/"):
            return self._send(request, 200, b"{}")
        if path == "/token":
            good = request.headers.get("Authorization") == "Basic " + _GOOD
            return self._send(request, 200 if good else 401, json.dumps({"token": "opensesame"}).encode() if good else b"{}")
        parts = path.split("/")
        repository, kind, target = "/".join(parts[2:4]), parts[4] if len(parts) > 4 else "", parts[-1]
        if repository.startswith("errors/"):
            return self._send(request, int(repository[-3:]), b'{"errors":[{"code":"X","message":"said by the registry"}]}',
                              {"Retry-After": "3600"} if repository.endswith("429") else {})
        if not self._authorised(request, repository):
            return None
        if repository == "broken/once500" and path not in self._failed_once:
            self._failed_once.add(path)
            return self._send(request, 500, b"")
        if kind == "manifests" and repository in self.manifests and target in ("latest", digest(self.manifests[repository][0])):
            return self._send(request, 200, self.manifests[repository][0], {"Content-Type": self.manifests[repository][1]})
        if kind == "tags" and repository in self.manifests:
            return self._send(request, 200, json.dumps({"name": repository, "tags": ["latest"]}).encode())
        if kind == "blobs" and target in self.blobs:
            return self._send_blob(request, repository, target)
        return self._send(request, 404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}')

    def _authorised(self, request, repository):
        said = request.headers.get("Authorization")
        if repository == "private/image" and said != "Basic " + _GOOD:
            self._send(request, 401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})
            return False
        if repository == "token/image" and said != "Bearer opensesame":
            challenge = f'Bearer realm="http://{self.address}/token",service="faulty",scope="repository:token/image:pull"'
            self._send(request, 401, b"{}", {"WWW-Authenticate": challenge})
            return False
        return True

    def _send_blob(self, request, repository, target):
        data = self.blobs[target]
        if repository in ("broken/truncated", "broken/resumes") and target == self.layer_of(repository):
            start = 0
            wanted = request.headers.get("Range")
            if wanted and repository == "broken/resumes":
                start = int(wanted.removeprefix("bytes=").partition("-")[0])
                return self._send(request, 206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
            request.send_response(200)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data[:len(data) // 2])
            request.close_connection = True
            return None
        if repository == "broken/corrupt" and target == self.layer_of(repository):
            data = data[:-20] + bytes(20)
        if repository == "broken/missing" and target == self.layer_of(repository):
            return self._send(request, 404, b"{}")
        return self._send(request, 200, data)

    def _send(self, request, status, body, headers=None):
        request.send_response(status)
        for key, value in (headers or {}).items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
