"""Makes OCI images from nothing but tar entries and puts them into a registry over its HTTP API."""

import gzip
import hashlib
import http.client
import io
import json
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution."
INDEX = OCI + "index.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """A tar archive written entry by entry; every entry is root's and dated 1970 unless it says otherwise."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, link="", device=(0, 0), owner=(0, 0), xattrs=None):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
        entry.devmajor, entry.devminor = device
        entry.uid, entry.gid = owner
        for key, value in (xattrs or {}).items():
            entry.pax_headers["SCHILY.xattr." + key] = value
        self._tar.addfile(entry, io.BytesIO(data))
        return self

    def add_info(self, entry, data):
        self._tar.addfile(entry, data)

    def directory(self, name, mode=0o755, **rest):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **rest)

    def symlink(self, name, target):
        return self.add(name, tarfile.SYMTYPE, link=target, mode=0o777)

    def hard_link(self, name, target):
        return self.add(name, tarfile.LNKTYPE, link=target)

    def device(self, name, kind, major, minor):
        return self.add(name, kind, device=(major, minor), mode=0o660)

    def whiteout(self, name):
        folder, _, leaf = name.rpartition("/")
        return self.add((folder + "/" if folder else "") + ".wh." + leaf)

    def opaque(self, folder):
        return self.add(folder + "/.wh..wh..opq")

    def bytes(self):
        self._tar.close()
        return self._buffer.getvalue()


class Blob:
    """A layer's tar with its diff id and its compressed form."""

    def __init__(self, tar, compression="gzip"):
        self.diff_id = digest(tar)
        if compression == "gzip":
            self.data = gzip.compress(tar, 6, mtime=0)
        elif compression == "zstd":
            self.data = subprocess.run(["zstd", "-q", "-3", "-c"], input=tar, stdout=subprocess.PIPE, check=True).stdout
        else:
            self.data = tar
        self.digest = digest(self.data)
        self.compression = compression

    def descriptor(self, docker):
        suffix = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[self.compression]
        media = DOCKER.replace("distribution", "image") + "rootfs.diff.tar.gzip" if docker else OCI + "layer.v1.tar" + suffix
        return {"mediaType": media, "size": len(self.data), "digest": self.digest}


class Image:
    def __init__(self, blobs, config=None, architecture="amd64", docker=False):
        self.blobs, self.docker, self.architecture = blobs, docker, architecture
        self.config = json.dumps({
            "created": "1970-01-01T00:00:00Z", "architecture": architecture, "os": "linux", "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for blob in blobs]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(blobs))],
        }, sort_keys=True).encode()
        self.media_type = DOCKER + "manifest.v2+json" if docker else OCI + "manifest.v1+json"
        config_type = "application/vnd.docker.container.image.v1+json" if docker else OCI + "config.v1+json"
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.media_type,
            "config": {"mediaType": config_type, "size": len(self.config), "digest": digest(self.config)},
            "layers": [blob.descriptor(docker) for blob in blobs],
        }, sort_keys=True).encode()


def index(images):
    manifests = [{"mediaType": image.media_type, "size": len(image.manifest), "digest": digest(image.manifest),
                  "platform": {"os": "linux", "architecture": image.architecture}} for image in images]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, sort_keys=True).encode()


class Registry:
    """Pushes to a registry on loopback."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address)

    def _request(self, method, path, body=None, headers=None, expected=(200, 201, 202)):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        text = response.read()
        if response.status not in expected:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:300]!r}")
        return response

    def push_blob(self, repository, data):
        if self._request("HEAD", f"/v2/{repository}/blobs/{digest(data)}", expected=(200, 404)).status == 200:
            return
        upload = self._request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        path = "/" + upload.split("/", 3)[3] if "://" in upload else upload
        path += ("&" if "?" in path else "?") + "digest=" + digest(data)
        self._request("PUT", path, data, {"Content-Type": "application/octet-stream"})

    def push_manifest(self, repository, tag, manifest, media_type):
        self._request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": media_type})

    def push(self, repository, tags, *images):
        """One image, or several (one per architecture) under an index."""
        for image in images:
            for blob in image.blobs:
                self.push_blob(repository, blob.data)
            self.push_blob(repository, image.config)
            self.push_manifest(repository, digest(image.manifest), image.manifest, image.media_type)
        for tag in tags:
            if len(images) == 1:
                self.push_manifest(repository, tag, images[0].manifest, images[0].media_type)
            else:
                self.push_manifest(repository, tag, index(images), INDEX)
