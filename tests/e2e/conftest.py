"""Fixtures of the end-to-end tests. See harness.py for what `Msb` can do.

    MSB_TEST_BINARY     the msb to test; build/msb when not set
    MSB_TEST_MACHINE    portable (when not set) or kvm: goes to every run and create as --machine
    MSB_TEST_IMAGES     a registry storage; that of tests/images/build when not set
"""

import pathlib
import sys
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from faulty_registry import FaultyRegistry  # noqa: E402
from harness import Msb, registry_storage  # noqa: E402
from loopback import RegistryProcess  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _past_any_proxy():
    """What tests ask for themselves is on loopback, whatever proxy this machine has."""
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))


@pytest.fixture(scope="session")
def registry():
    """Address of a registry on loopback with the images of tests/images/build."""
    with RegistryProcess(registry_storage()) as server:
        yield server.address


@pytest.fixture(scope="session")
def faulty():
    """A registry that misbehaves in the ways its repositories' names say."""
    with FaultyRegistry() as server:
        yield server


@pytest.fixture(scope="session")
def _shared_home(registry, tmp_path_factory):
    msb = Msb(tmp_path_factory.mktemp("home"), registry)
    yield msb
    msb.close()


@pytest.fixture
def msb(_shared_home):
    """msb with a home whose image cache the tests of one worker share; sandboxes left running are removed."""
    yield _shared_home
    _shared_home.remove_all(keep=["box"])


@pytest.fixture
def fresh(registry, tmp_path):
    """msb with a home of its own, empty."""
    msb = Msb(tmp_path / "home", registry)
    yield msb
    msb.close()


@pytest.fixture(scope="module")
def box(_shared_home):
    """A running busybox sandbox for the tests of one file, which leave it as they found it."""
    _shared_home.ok("create", "busybox", "--name", "box", "--replace")
    yield "box"
    _shared_home.run("rm", "-f", "box")


@pytest.fixture
def shared(_shared_home):
    """Like `msb`, for tests that use `box`: leaves running sandboxes alone."""
    return _shared_home
