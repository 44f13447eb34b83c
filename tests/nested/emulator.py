"""The QEMU that runs the test bed: the system's, in a copy without a defect of its SVM emulation.

When VMRUN injects an interrupt, QEMU (7.2 to 10 at least) delivers it and leaves `exception_index` set. If anything stops the CPU's
loop before the guest's next exit, the same interrupt is delivered a second time, as an exception, and Linux in the guest then waits for a
timer for ever: one start of a guest in 50, one in 5 with -icount. The cure is to leave out one store, that of the vector into
`exception_index` before the call of do_interrupt_x86_hardirq, which has the vector as an argument. A copy of the program with that store
overwritten by a no-op is kept in the cache. Where its code looks different, the system's QEMU is used as it is, and guests hang now and then.
"""

import hashlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

PROGRAM = "qemu-system-x86_64"
# mov %reg,exception_index(%rbx); movl $0,exception_is_int(%rbx); movq $-1,exception_next_eip(%rbx); ...; mov $1,%edx; mov %rbx,%rdi; call
STORE = re.compile(rb"(\x89[\xb3\x83\x8b\x93\xbb].{2}\xff\xff)\xc7\x83.{4}\0{4}\x48\xc7\x83.{4}\xff{4}"
                   rb"(?=.{0,24}?\xba\x01\0\0\0\x48\x89\xdf\xe8)", re.DOTALL)
NO_OP = b"\x66\x0f\x1f\x44\x00\x00"


def repaired(program):
    """The program's bytes without that store; None when it is not there exactly once."""
    found = list(STORE.finditer(program))
    if len(found) != 1:
        return None
    start, end = found[0].span(1)
    return program[:start] + NO_OP + program[end:]


def emulator(cache):
    """Path of the QEMU to use; `cache` is the folder that keeps the copy."""
    system = shutil.which(PROGRAM)
    if not system:
        raise SystemExit(f"tests/nested: {PROGRAM} is missing: run `make setup`")
    system = pathlib.Path(system).resolve()
    program = system.read_bytes()
    key = hashlib.sha256(program + pathlib.Path(__file__).read_bytes()).hexdigest()[:20]
    result = cache / f"qemu-{key}"
    if not result.exists():
        cured = repaired(program)
        if cured is None:
            print(f"tests/nested: {system} is used as it is: guests hang at their start now and then", file=sys.stderr)
            return system
        with tempfile.TemporaryDirectory(dir=cache, prefix="draft-") as folder:
            draft = pathlib.Path(folder) / "qemu"
            (draft / "bin").mkdir(parents=True)
            (draft / "bin" / PROGRAM).write_bytes(cured)
            (draft / "bin" / PROGRAM).chmod(0o755)
            # QEMU finds firmware and modules relative to itself.
            for name in ("lib", "share"):
                (draft / name).symlink_to(system.parent.parent / name)
            try:
                draft.rename(result)
            except OSError:  # somebody else was faster
                if not result.exists():
                    raise
    return result / "bin" / PROGRAM
