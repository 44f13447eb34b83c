#!/usr/bin/env python3
"""The part of bench/net_guest that runs inside the nested test bed.

    bench/net_guest_inside.py native|ours|reference PROGRAM NET_LOAD MIB
"""

import json
import pathlib
import shutil
import subprocess
import sys

from compare_inside import HOME, Product, root_directory
from shares_inside import finished, seconds_of

PORT = "15333"


def main():
    name, program, load, mib = sys.argv[1:]
    # Both products give a guest only those families of addresses that the host has a way out for.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "default", "dev", "lo"], check=True)
    with subprocess.Popen([load, "serve", PORT], stdout=subprocess.PIPE) as server:
        server.stdout.readline()
        try:
            if name == "native":
                ran = finished([load, "run", "127.0.0.1", PORT, mib], None)
            else:
                product = Product(name, program)
                HOME.mkdir(parents=True)
                root = root_directory()
                shutil.copy2(load, pathlib.Path(root) / "bin/net_load")
                product("run", *product.shape, root, "--", "true")  # from then on the root is known
                words = ["run", *product.shape, "--net", "public,host", root, "--", "net_load", "run", "gateway", PORT, mib]
                ran = finished([program, *words], product.environment)
        finally:
            server.kill()
    print(json.dumps(seconds_of(ran)))


main()
