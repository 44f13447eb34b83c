"""Root file systems from Debian packages: mmdebstrap with this machine's own apt sources, one tar each."""

import glob
import os
import subprocess
import tarfile

from images.oci import Layer

_LEAN = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("man", "doc", "locale", "info", "lintian")]
# What mmdebstrap writes for the benefit of the machine it ran on.
_NOT_IN_IMAGE = ("etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
                 "var/log/", "var/cache/", "dev/", "etc/hostname", "etc/resolv.conf", "var/lib/apt/lists/")


def suite():
    for line in open("/etc/os-release", encoding="utf-8"):
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip().strip('"')
    raise SystemExit("tests/images: /etc/os-release names no release: these images are made from Debian or Ubuntu packages")


def _sources():
    names = ["/etc/apt/sources.list"] + glob.glob("/etc/apt/sources.list.d/debian*") + glob.glob("/etc/apt/sources.list.d/ubuntu*")
    found = [name for name in names if os.path.isfile(name) and name.endswith((".list", ".sources")) and os.path.getsize(name)]
    if not found:
        raise SystemExit("tests/images: no apt sources in /etc/apt")
    return found


def _apt_options():
    """The machine's way to its mirror (proxy, date checks) holds for mmdebstrap too."""
    dump = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, check=True, text=True).stdout
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    return ["--aptopt=" + line.rstrip(";") for line in dump.splitlines() if line.startswith(wanted) and '""' not in line]


def start_mmdebstrap(target, variant, packages=()):
    """A running mmdebstrap that writes `target`, a tar."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = ["mmdebstrap", "--quiet", f"--mode={mode}", f"--variant={variant}", "--format=tar", *_LEAN, *_apt_options()]
    if packages:
        command.append("--include=" + ",".join(packages))
    environment = dict(os.environ, SOURCE_DATE_EPOCH="0", DEBIAN_FRONTEND="noninteractive")
    return subprocess.Popen(command + [suite(), target, *_sources()], env=environment, stdin=subprocess.DEVNULL)


def _entries(path):
    """name -> (entry, data) of a mmdebstrap tar, without what belongs to the machine, in the merged-/usr layout."""
    found = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            entry.name = entry.name.removeprefix("./").rstrip("/")
            top = entry.name.split("/")[0]
            if top in ("bin", "sbin", "lib", "lib64") and (entry.name != top or entry.isdir()):
                entry.name = "usr/" + entry.name
            if not entry.name or entry.name == "." or (entry.name + "/").startswith(_NOT_IN_IMAGE) or entry.name.startswith(_NOT_IN_IMAGE):
                continue
            if entry.islnk():
                entry.linkname = entry.linkname.removeprefix("./")
            found[entry.name] = (entry, archive.extractfile(entry).read() if entry.isreg() else b"")
    return found


def _write(layer, entries):
    import io
    for _, (entry, data) in entries:
        entry.mtime = 0
        entry.uname = entry.gname = ""
        entry.pax_headers = {key: value for key, value in entry.pax_headers.items() if key.startswith("SCHILY.xattr.")}
        layer.add_info(entry, io.BytesIO(data))


def base_layer(path):
    layer = Layer()
    _write(layer, _entries(path).items())
    for folder in ("dev", "proc", "sys", "var/log", "var/cache"):
        layer.directory(folder)
    return layer


def overlay_layer(path, base):
    """What the tar `path` adds to the tar `base`."""
    below = _entries(base)
    layer = Layer()
    added = [(name, pair) for name, pair in _entries(path).items() if name not in below]
    # A hard link needs its first name in the same layer.
    names = {name for name, _ in added}
    _write(layer, [(name, pair) for name, pair in added if not pair[0].islnk() or pair[0].linkname in names])
    return layer
