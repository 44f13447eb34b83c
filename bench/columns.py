"""Tables with a column for each of native, ours and reference, every one measured in a nested machine of its own."""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "bench"), str(TOP / "tests/nested")]

from machine import Failure, Job, Shape, run  # noqa: E402
from reference import VERSION, fetch_reference, files_of  # noqa: E402

HUNG = 75  # of the script inside: a guest did not come up, which the emulation of VMRUN is known for
PRODUCTS = ("native", "ours", "reference")


def parser_for(documentation, products=PRODUCTS):
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=products)
    parser.set_defaults(products=products)
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE", help="JSON of what was measured: read first, and written")
    return parser


def measure(script, options, words, shape, extra=()):
    """{product: what `script PRODUCT PROGRAM ARGUMENTS` printed as JSON}, beginning with what --keep remembers."""
    columns = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    for product in options.products:
        if options.only not in (None, product):
            continue
        program = fetch_reference() if product == "reference" else TOP / "build/msb"
        needs = [*map(str, extra), *map(str, files_of(program) if product == "reference" else [])]
        columns[product] = _measured([f"bench/{script}", product, str(program), *map(str, words)], needs, shape)
        if options.keep:
            options.keep.write_text(json.dumps(columns, indent=1) + "\n")
    return columns


def _measured(words, extra, shape):
    for _ in range(2):
        with tempfile.TemporaryFile() as said:
            try:
                code = run(Job(["python3", *words], extra=extra), shape, timeout=3600, stdout=said)
            except Failure as failure:
                raise SystemExit(f"bench: {failure}") from None
            said.seek(0)
            if code == 0:
                return json.loads(said.read())
        if code != HUNG:
            break
    raise SystemExit(f"bench: {' '.join(words)} failed ({code})")


@contextlib.contextmanager
def compiled(source):
    """A static program of one C file in bench/."""
    with tempfile.TemporaryDirectory(prefix="msb-bench-") as folder:
        program = pathlib.Path(folder) / pathlib.Path(source).stem
        subprocess.run(["cc", "-O2", "-static", "-o", program, TOP / "bench" / source], check=True)
        yield program


def print_table(columns, rows):
    """`rows` are (what it is, a function from a column to a number, one from a number to text)."""
    print(f"| what | natively | ours | reference {VERSION} | times as fast |\n| --- | --- | --- | --- | --- |")
    for label, of, form in rows:
        found = {}
        for product, column in columns.items():
            with contextlib.suppress(KeyError):
                found[product] = of(column)
        cells = [form(found[product]) if product in found else "—" for product in PRODUCTS]
        better = f"{found['reference'] / found['ours']:.2f}" if {"ours", "reference"} <= found.keys() else "—"
        print(f"| {label} | {' | '.join(cells)} | {better} |")
