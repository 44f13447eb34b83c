"""Random operations on two directories, which must always agree: one on a share, one on the guest's own tmpfs.

    share_model.py SHARE MODEL SEED STEPS      runs in the guest as root; the first disagreement is an error
"""

import ctypes
import errno
import hashlib
import mmap
import os
import random
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
NAMES = ["a", "b", "c", "\u00e4", "with blank", "n" * 200]
NOREPLACE, EXCHANGE, KEEP_SIZE, PUNCH_HOLE = 1, 2, 1, 2
LONGEST = 300_000


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


class Both:
    """One operation done on both sides; their results, errors included, must be equal."""

    def __init__(self, tops):
        self.tops = tops
        self.open = {}  # slot -> (path, the two descriptors)

    def do(self, action):
        results = []
        for side, top in enumerate(self.tops):
            try:
                results.append(action(side, lambda path: f"{top}/{path}"))
            except OSError as error:
                results.append(errno.errorcode[error.errno])
        assert results[0] == results[1], f"the share says {results[0]!r}, the model {results[1]!r}"
        return results[0]


def picture(top):
    """Everything that both must agree on."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            about = [oct(status.st_mode), status.st_uid, status.st_gid]
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    about += [status.st_nlink, status.st_size, hashlib.sha256(file.read()).hexdigest()]
            elif stat.S_ISLNK(status.st_mode):
                about = ["link", os.readlink(path)]
            found[os.path.relpath(path, top)] = about
    return found


class Steps:
    def __init__(self, both, dice):
        self.both, self.dice = both, dice

    def path(self):
        return "/".join(self.dice.choice(NAMES) for _ in range(self.dice.choice((1, 1, 2, 2, 3))))

    def data(self):
        return self.dice.randbytes(self.dice.choice((1, 10, 4096, 70_000)))

    def offset(self):
        return self.dice.randrange(LONGEST)

    def open_file(self):
        slot, path = self.dice.randrange(6), self.path()
        flags = self.dice.choice((os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_CREAT | os.O_TRUNC,
                                  os.O_RDWR | os.O_CREAT | os.O_APPEND, os.O_RDONLY))
        self.close(slot)
        opened = {}

        def action(side, at):
            opened[side] = os.open(at(path), flags | os.O_NONBLOCK, 0o640)  # it may be a FIFO
            if stat.S_ISDIR(os.fstat(opened[side]).st_mode):
                return os.close(opened.pop(side))
            return "opened"

        if self.both.do(action) == "opened":
            self.both.open[slot] = opened

    def close(self, slot=None):
        slot = self.dice.randrange(6) if slot is None else slot
        for descriptor in self.both.open.pop(slot, {}).values():
            os.close(descriptor)

    def on_open(self, action):
        if self.both.open:
            opened = self.both.open[self.dice.choice(sorted(self.both.open))]
            self.both.do(lambda side, at: action(opened[side]))

    def write(self):
        data, offset = self.data(), self.offset()
        self.on_open(lambda file: os.pwrite(file, data, offset))

    def append(self):
        data = self.data()
        self.on_open(lambda file: (os.lseek(file, 0, os.SEEK_END), os.write(file, data)) if os.fstat(file).st_size < LONGEST else None)

    def read(self):
        offset = self.offset()
        self.on_open(lambda file: (os.fstat(file).st_size, os.fstat(file).st_nlink, os.pread(file, 100_000, offset)))

    def truncate_open(self):
        size = self.offset()
        self.on_open(lambda file: os.ftruncate(file, size))

    def allocate(self):
        offset, length = self.offset() & ~4095, self.dice.randrange(1, 20) * 4096
        mode = self.dice.choice((0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE))
        self.on_open(lambda file: checked(libc.fallocate(file, mode, ctypes.c_long(offset), ctypes.c_long(length))))

    def map(self):
        data, place = self.dice.randbytes(100), self.dice.random()

        def action(file):
            size = os.fstat(file).st_size
            if size < 200:
                return None
            with mmap.mmap(file, size) as view:
                start = int(place * (size - 100))
                before = bytes(view[start:start + 100])
                view[start:start + 100] = data
                return before

        self.on_open(action)

    def sync(self):
        self.on_open(os.fsync)

    def truncate(self):
        path, size = self.path(), self.offset()
        self.both.do(lambda side, at: os.truncate(at(path), size))

    def unlink(self):
        path = self.path()
        self.both.do(lambda side, at: os.unlink(at(path)))

    def mkdir(self):
        path = self.path()
        self.both.do(lambda side, at: os.mkdir(at(path), 0o751))

    def rmdir(self):
        path = self.path()
        self.both.do(lambda side, at: os.rmdir(at(path)))

    def rename(self):
        old, new, flags = self.path(), self.path(), self.dice.choice((0, 0, NOREPLACE, EXCHANGE))
        self.both.do(lambda side, at: checked(libc.renameat2(-100, at(old).encode(), -100, at(new).encode(), flags)))

    def link(self):
        old, new = self.path(), self.path()
        self.both.do(lambda side, at: os.link(at(old), at(new), follow_symlinks=False))

    def symlink(self):
        path, target = self.path(), self.dice.choice(NAMES)
        self.both.do(lambda side, at: os.symlink(target, at(path)))

    def mknod(self):
        path, kind = self.path(), self.dice.choice((stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR))
        self.both.do(lambda side, at: os.mknod(at(path), kind | 0o604, os.makedev(1, 3)))

    def mode(self):
        path, mode = self.path(), self.dice.choice((0o600, 0o755, 0o000, 0o4711, 0o2750, 0o1777))
        self.both.do(lambda side, at: os.chmod(at(path), mode))

    def owner(self):
        path, user, group = self.path(), self.dice.randrange(70_000), self.dice.randrange(70_000)
        self.both.do(lambda side, at: os.chown(at(path), user, group))

    def times(self):
        path, when = self.path(), self.dice.randrange(2**40)
        self.both.do(lambda side, at: (os.utime(at(path), ns=(when, when)), os.stat(at(path)).st_mtime_ns))

    def look(self):
        path = self.path()
        self.both.do(lambda side, at: (oct(os.stat(at(path)).st_mode), os.stat(at(path)).st_uid, os.stat(at(path)).st_rdev))

    def list(self):
        path = self.path()
        self.both.do(lambda side, at: sorted(os.listdir(at(path))))


STEPS = [Steps.open_file] * 6 + [Steps.write] * 6 + [Steps.mkdir] * 3 + [
    Steps.close, Steps.append, Steps.append, Steps.read, Steps.read, Steps.truncate_open, Steps.allocate, Steps.map, Steps.map, Steps.sync,
    Steps.truncate, Steps.unlink, Steps.rmdir, Steps.rename, Steps.rename, Steps.link, Steps.symlink, Steps.mknod, Steps.mode, Steps.owner,
    Steps.times, Steps.look, Steps.list]


def main():
    share, model, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dice = random.Random(seed)
    steps = Steps(Both((share, model)), dice)
    step = None
    try:
        for number in range(count):
            step = dice.choice(STEPS)
            step(steps)
            if number % 250 == 249:
                left, right = picture(share), picture(model)
                assert left == right, {path: (left.get(path), right.get(path)) for path in left.keys() | right.keys() if left.get(path) != right.get(path)}
    except AssertionError as error:
        sys.exit(f"seed {seed}, step {number} ({step.__name__}): {error}")
    print(len(picture(share)))


main()
