"""Writes cpio archives, what a kernel takes as initramfs."""

import io


class Cpio:
    """One archive in memory; everything in it is root's. Archives may be concatenated: a later file replaces an earlier one."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.number = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.number += 1
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        self.buffer.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        self._pad()
        self.buffer.write(data)
        self._pad()

    def _pad(self):
        self.buffer.write(b"\0" * (-self.buffer.tell() % 4))

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return self.buffer.getvalue()
