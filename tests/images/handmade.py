"""Images written entry by entry: busybox, the stand-in for alpine, and the one with every oddity of layers."""

import subprocess
import tarfile

from images.oci import Blob, Image, Layer

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\nworker:x:1000:1000::/home/worker:/bin/sh\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\nworker:x:1000:\nextra:x:1001:worker\n"


def busybox_layer():
    program = open("/bin/busybox", "rb").read()
    applets = subprocess.run(["/bin/busybox", "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    layer = Layer()
    for folder in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var"):
        layer.directory(folder)
    layer.directory("tmp", 0o1777).directory("home/worker", owner=(1000, 1000))
    layer.add("bin/busybox", data=program, mode=0o755)
    for applet in applets:
        if applet != "busybox":
            layer.symlink("bin/" + applet, "busybox")
    return layer.add("etc/passwd", data=PASSWD).add("etc/group", data=GROUP)


def busybox(busybox_blob):
    """An index with two architectures; the arm64 one exists so that choosing it by mistake shows."""
    config = {"Env": [PATH], "Cmd": ["sh"]}
    other = Layer().add("etc/wrong-architecture", data=b"arm64\n")
    return Image([busybox_blob], config), Image([Blob(other.bytes())], config, architecture="arm64")


def alpine(busybox_blob):
    """Served where examples say alpine. It is busybox with a name, as a Docker schema 2 manifest."""
    release = Layer().add("etc/os-release", data=b'ID=alpine-stand-in\nNAME="busybox in place of Alpine"\n')
    release.add("etc/hosts", data=b"127.0.0.1 localhost\n10.9.8.7 from-the-image\n")
    return Image([busybox_blob, Blob(release.bytes())], {"Env": [PATH], "Cmd": ["/bin/sh"]}, docker=True)


def configured(busybox_blob):
    """Every field of the image's configuration that a sandbox inherits."""
    return Image([busybox_blob], {
        "Env": [PATH, "COLOUR=blue", "SHAPE=round"], "Entrypoint": ["/bin/echo", "entry"], "Cmd": ["default", "words"],
        "User": "worker", "WorkingDir": "/home/worker", "Labels": {"maker": "tests", "colour": "blue"}})


def layers(busybox_blob):
    """44 layers: whiteouts, opaque folders, hard links, long names, xattrs, devices, sparse files, changes of type."""
    made = [Layer()]
    first = made[0].directory("odd").directory("odd/opaque").directory("odd/gone-folder").directory("odd/was-folder")
    first.add("odd/opaque/hidden", data=b"hidden").add("odd/gone", data=b"gone").add("odd/gone-folder/inside", data=b"gone")
    first.add("odd/was-folder/inside", data=b"x").add("odd/was-file", data=b"a file").add("odd/changed", data=b"old")
    first.add("odd/linked", data=b"one inode\n", mode=0o640, owner=(1000, 1001)).hard_link("odd/linked-too", "odd/linked")
    first.add("odd/setuid", data=b"#!/bin/sh\nid -u\n", mode=0o4755)
    first.add("odd/n" + "a" * 250, data=b"long name")
    first.add("odd/" + "/".join(["deep" * 10] * 12) + "/end", data=b"long path")
    first.symlink("odd/long-link", "/" + "x" * 900)
    first.add("odd/\u00fcml\u00e4ut \u2713 space", data=b"utf-8")
    first.add("odd/attributes", data=b"x", xattrs={"user.colour": "blue", "user.empty": ""})
    first.add("odd/capable", data=b"x", mode=0o755, xattrs={"security.capability": "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"})
    first.device("odd/null", tarfile.CHRTYPE, 1, 3).device("odd/disk", tarfile.BLKTYPE, 8, 1).device("odd/fifo", tarfile.FIFOTYPE, 0, 0)
    first.add("odd/empty").add("odd/page", data=b"p" * 4096).add("odd/page-and-one", data=b"q" * 4097)
    first.add("odd/holes", data=b"start" + bytes(3 << 20) + b"end")
    made.append(Layer().whiteout("odd/gone").whiteout("odd/gone-folder"))
    made.append(Layer().directory("odd/opaque").opaque("odd/opaque").add("odd/opaque/shown", data=b"shown"))
    made.append(Layer().add("odd/was-folder", data=b"now a file").whiteout("odd/was-file"))
    made.append(Layer().directory("odd/was-file").add("odd/was-file/inside", data=b"now a folder").add("odd/changed", data=b"new"))
    made.append(Layer().add("odd/gone", data=b"back again"))
    for number in range(len(made), 43):
        made.append(Layer().add(f"many/{number:02}", data=f"{number}\n".encode()).add("many/last", data=f"{number}\n".encode()))
    kinds = ("gzip", "zstd", "none")
    blobs = [busybox_blob] + [Blob(layer.bytes(), kinds[n % 3]) for n, layer in enumerate(made)]
    return Image(blobs, {"Env": [PATH], "Cmd": ["sh"]})
