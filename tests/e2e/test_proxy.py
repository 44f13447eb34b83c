"""A host behind a proxy: what its guests reach, and where its images come from."""

import pytest

from proxies import LOGIN, HttpProxy, SocksProxy, proxy
from servers import own_address, web_server
from test_network import HOST, denials

# Of nobody here: whoever reads a page from it came through the proxy.
FAR = "93.184.216.34:80"


def page(msb, name, where):
    return msb.run("exec", name, "--", "wget", "-qO-", f"http://{where}/")


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_a_guest_goes_through_the_proxy_and_to_the_host_directly(msb, kind):
    with web_server() as port, proxy(kind, {FAR: f"127.0.0.1:{port}"}) as way:
        msb.ok("create", "busybox", "--name", "far", "--net-proxy", way.url, "--net", "public,host")
        assert page(msb, "far", FAR).out == f"hello {FAR}"
        assert way.asked == [FAR]
        assert page(msb, "far", f"{HOST}:{port}").out == f"hello {HOST}:{port}"
        assert page(msb, "far", "10.0.0.1:80").code != 0
        assert way.asked == [FAR], "the host's own is not asked of the proxy, nor what is denied"


def test_a_port_that_is_closed_behind_the_proxy_is_refused(msb):
    with proxy(SocksProxy, {FAR: "127.0.0.1:1"}) as way:
        outcome = msb.run("run", "--net-proxy", way.url, "busybox", "--", "wget", "-qO-", f"http://{FAR}/")
        assert outcome.code != 0 and "refused" in outcome.err.lower(), repr(outcome)
        assert way.asked == [FAR]


def test_the_environments_proxy_is_looked_up_at_each_start(msb):
    address = own_address()
    with web_server(address) as port, proxy(HttpProxy) as way:
        near = f"{address}:{port}"

        def out(*flags, **env):
            return msb.ok("run", "--net-rule", f"allow@{address}", *flags, "busybox", "--", "wget", "-qO-", f"http://{near}/", env=env)

        assert out(HTTPS_PROXY=way.url) == f"hello {near}"
        assert way.asked == [near]
        assert out(ALL_PROXY=way.url) == f"hello {near}"
        assert way.asked == [near, near]
        way.asked.clear()
        out()
        out("--net-proxy", "none", HTTPS_PROXY=way.url)
        out(HTTPS_PROXY=way.url, NO_PROXY=f"localhost,{address}")
        assert way.asked == []


def test_the_settings_name_a_proxy_for_guests_and_pulls(fresh, registry):
    fresh.configure({"network": {"proxy": "http://me:wrong@127.0.0.1:1"}, "registries": {"mirrors": {"docker.io": [registry]}}})
    fresh.ok("create", "busybox", "--name", "box")  # what is on loopback is pulled past it
    assert "refused" in page(fresh, "box", FAR).err
    (trouble,) = [event["error"] for event in denials(fresh, "box") if "error" in event]
    assert "the proxy http://me:***@127.0.0.1:1 cannot be reached" in trouble
    fresh.configure({"network": {"proxy": "https://me:secret@proxy:1"}})
    outcome = fresh.fails("create", "busybox", "--name", "other", "--pull", "never", says=["network.proxy", "***@proxy", "TLS"])
    assert "secret" not in outcome.err


def test_a_password_is_kept_and_never_shown(fresh):
    with web_server() as port, proxy(HttpProxy, {FAR: f"127.0.0.1:{port}"}) as way:
        fresh.ok("create", "busybox", "--name", "kept", "--net-proxy", way.url)
        fresh.ok("stop", "kept")
        fresh.ok("start", "kept")
        assert page(fresh, "kept", FAR).out == f"hello {FAR}"
        shown = way.place % "me:***@"
        assert fresh.inspect("kept")["network"]["proxy"] == shown
        assert fresh.inspect("kept")["config"]["config"]["network"]["proxy"] == shown
        said = fresh.ok("inspect", "kept") + fresh.ok("inspect", "kept", "--format", "json") + fresh.ok("ps") + fresh.ok("ls", "--format", "json")
        assert shown in said
        logs = "".join(path.read_text(errors="replace") for path in (fresh.home / "sandboxes/kept/logs").iterdir())
        for secret in ("p@ss", "p%40ss"):
            assert secret not in said and secret not in logs
            assert not any(secret in command for command in fresh.processes().values())


def test_a_wrong_password_is_told_once(msb):
    with proxy(HttpProxy) as way:
        msb.ok("create", "busybox", "--name", "wrong", "--net-proxy", way.place % "me:secret@")
        for _ in range(3):
            assert "refused" in page(msb, "wrong", FAR).err.lower()
        (trouble,) = [event["error"] for event in denials(msb, "wrong") if "error" in event]
        assert "wants another user or password" in trouble and "secret" not in trouble


def test_a_proxy_that_is_none_is_refused_before_anything_starts(fresh):
    for text, phrase in [("https://me:secret@proxy:1", "TLS"), ("ftp://me:secret@proxy:1", "socks5"), ("me:secret@proxy", "no port")]:
        outcome = fresh.fails("run", "--net-proxy", text, "busybox", "--", "true", code=2, says=[phrase])
        assert "secret" not in outcome.err
    assert fresh.names() == set()


def test_images_are_pulled_through_the_proxy(fresh, registry):
    # A name that only the proxy knows; over plain HTTP, which it may be asked for as well.
    with proxy(HttpProxy, {"registry.invalid:5000": registry}) as way:
        image = "registry.invalid:5000/library/busybox"
        insecure = {"hosts": {"registry.invalid:5000": {"insecure": True}}}
        fresh.configure({"registries": insecure})
        fresh.fails("pull", image, says="registry.invalid")
        fresh.ok("pull", image, env={"http_proxy": way.url, "https_proxy": way.url})
        assert set(way.asked) == {"registry.invalid:5000"}
        fresh.ok("image", "rm", image)
        way.asked.clear()
        fresh.configure({"network": {"proxy": way.url}, "registries": insecure})
        fresh.ok("pull", image)
        assert way.asked
        wrong = fresh.fails("pull", "--force", image, env={"no_proxy": "invalid"}, says="registry.invalid")
        assert LOGIN not in wrong.err
