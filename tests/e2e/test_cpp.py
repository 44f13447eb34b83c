"""The C++ examples, built as a user of the installed library builds them, and run."""

import os
import pathlib
import subprocess

import pytest

from harness import TOP

BUILD = pathlib.Path(os.environ.get("MSB_TEST_BUILD", TOP / "build/release"))
EXAMPLES = sorted(path.stem for path in (TOP / "examples/cpp").glob("*.cc"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The library installed under a prefix, and the examples built against it."""
    prefix = tmp_path_factory.mktemp("prefix")
    build = tmp_path_factory.mktemp("examples")
    subprocess.run(["cmake", "--install", BUILD, "--component", "library", "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    configure = ["cmake", "-S", TOP / "examples/cpp", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
                 "-DCMAKE_CXX_COMPILER=clang++-19"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
    return prefix, build


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(msb, installed, name):
    _, build = installed
    environment = dict(msb.environment, MSB_PATH=msb.binary)
    ran = subprocess.run([build / f"example_{name}"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert ran.stdout
    assert ran.stderr == ""


def test_pkg_config_knows_the_library(installed, tmp_path):
    prefix, _ = installed
    (folder,) = {path.parent for path in pathlib.Path(prefix).rglob("microsandbox.pc")}
    environment = dict(os.environ, PKG_CONFIG_PATH=str(folder))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "microsandbox"], env=environment, check=True, capture_output=True, text=True).stdout
    program = tmp_path / "version.cc"
    program.write_text("#include <microsandbox/sandbox.h>\n#include <cstdio>\nint main() { std::puts(msb::version().c_str()); }\n")
    subprocess.run(["clang++-19", "-std=c++20", program, "-o", tmp_path / "version", *flags.split()], check=True)
    libraries = pathlib.Path(next(pathlib.Path(prefix).rglob("libmicrosandbox.so*"))).parent
    ran = subprocess.run([tmp_path / "version"], env=dict(os.environ, LD_LIBRARY_PATH=str(libraries)), check=True, capture_output=True, text=True)
    assert ran.stdout.count(".") == 2
