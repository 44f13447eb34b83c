"""The disks of the nested test bed's machine: what a job brings, the images, and scratch. `init` says which is which."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
# Variables of the caller that the command gets too.
PASSED = re.compile(r"(MSB_TEST_|E2E_|GTEST_|NESTED_|FUZZ_|ASAN_|UBSAN_|TERM$|MSB_LOG)")
# All disks of a job are as large (and sparse): a machine kept running with some others' sizes need not notice.
BYTES = 16 << 30


def empty(path):
    with open(path, "ab") as file:
        file.truncate(BYTES)
    return path


def _erofs(image, folder):
    subprocess.run(["mkfs.erofs", "--all-root", "--quiet", "-x-1", image, folder], check=True)
    return empty(image)


def _copy(source, target):
    """A hard link where that works: the disk is made from it at once, and the copy then removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _files(job):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP, stdout=subprocess.PIPE, check=True).stdout
    found = {TOP / name.decode() for name in listed.split(b"\0") if name}
    found.add(TOP / "build/msb")
    named = list(job.extra) + [word for word in job.command if (TOP / word).is_file() and not word.startswith("-")]
    for name in named:
        path = pathlib.Path(os.path.normpath(TOP / name))
        if path.is_dir() and not path.is_symlink():
            found.update(entry for entry in path.rglob("*") if entry.is_symlink() or entry.is_file())
        elif name in job.extra or path.is_relative_to(TOP):
            found.add(path)
    return sorted(path for path in found if path.is_symlink() or path.is_file())


def _environment(job):
    """What `start` reads."""
    variables = {key: value for key, value in os.environ.items() if PASSED.match(key)}
    variables.update(job.environment)
    if job.images:
        variables["MSB_TEST_IMAGES"] = job.images
    command = shlex.join(job.command)
    if job.user:
        command = "setpriv --reuid=user --regid=user --init-groups --inh-caps=-all -- " + command
    lines = [f"export {key}={shlex.quote(value)}" for key, value in sorted(variables.items())]
    lines += [f"NOW={time.time():.3f}", f"COMMAND_USER={'user' if job.user else 'root'}", f"CHECKOUT={shlex.quote(str(TOP))}",
              f"IMAGES={shlex.quote(job.images or '')}", f"TERMINAL={'yes' if job.tty else ''}",
              f"command() {{ setsid -w {'-c ' if job.tty else ''}{command}; }}"]
    return "\n".join(lines) + "\n"


def job_disk(job, work):
    folder = work / "job"
    tree = folder / "tree"
    for path in _files(job):
        _copy(path, tree / path.relative_to("/"))
    shutil.copy2(HERE / "start", folder / "start")
    (folder / "environment").write_text(_environment(job))
    (folder / "seed").write_bytes(os.urandom(512))
    return _erofs(work / "job.img", folder)


def images_disk(storage, cache):
    """The registry storage as a disk, made once: its path names its contents."""
    storage = pathlib.Path(storage)
    image = cache / f"images-{storage.parent.name}.disk"
    if not image.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="draft-") as folder:
            _erofs(pathlib.Path(folder) / "images.disk", storage).rename(image)
    return image


def scratch_disk(work):
    path = empty(work / "scratch.img")
    options = "lazy_itable_init=1,nodiscard,root_owner=0:0"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m0", "-E", options, path], check=True)
    return path
