"""The network's flags and what msb says of a policy. No traffic: see test_network.py for that."""

import json

import pytest


@pytest.mark.parametrize("flags, phrases", [
    (["--net", "pubic"], ["pubic", "did you mean 'public'"]), (["--net", "public,all"], "stands alone"),
    (["--net-rule", "alow@public"], "did you mean 'allow'"), (["--net-rule", "allow@api.github.com:443"], "allow@api.github.com:tcp:443"),
    (["--net-rule", "allow@database"], "domain=database"), (["--net-rule", "deny@*.com"], "two labels"),
    (["--net-rule", "allow@any:icmpv4:1"], "ICMP has no ports"), (["--net-default", "maybe"], "maybe"),
    (["-p", "80"], "a port of the host and one of the guest"), (["-p", "1000-1001:80"], "ranges"),
    (["-p", "80:80", "-p", "80:81"], "127.0.0.1:80/tcp of the host is published twice"),
    (["--no-net", "-p", "80:80"], "without a network"), (["--max-connections", "4097"], "4096"),
    (["--net-ipv4-pool", "10.0.0.0/31"], "10.0.0.0/31"), (["--dns-nameserver", "dns.example"], "dns.example"),
    (["--net-egress-bandwidth", "fast"], "fast"), (["--net-egress-ops-burst", "1"], "limits nothing")])
def test_a_senseless_network_is_refused_before_anything_starts(fresh, flags, phrases):
    fresh.fails("run", *flags, "busybox", "--", "true", code=2, says=phrases)
    assert fresh.names() == set()


@pytest.mark.parametrize("other", [["--net", "public"], ["--net-default", "deny"], ["--net-default-ingress", "deny"]])
def test_no_network_excludes_a_policy(fresh, other):
    fresh.fails("run", "--no-net", *other, "busybox", "--", "true", code=2, says="excludes")


def check(msb, name, destination):
    outcome = msb.run("net", "check", name, destination, "--format", "json")
    verdict = json.loads(outcome.out)
    assert outcome.code == (0 if verdict["allowed"] else 1), repr(outcome)
    return verdict


def test_a_policy_is_explained_and_kept_over_a_restart(fresh):
    fresh.ok("create", "busybox", "--name", "web", "-p", "0:80", "--net-default", "deny", "--net-rule",
             "allow@api.example.com:tcp:443,deny@10.0.0.5,allow@10.0.0.0/8:tcp")
    assert check(fresh, "web", "api.example.com") == {
        "destination": "api.example.com:443/tcp", "allowed": True, "rule": "allow@api.example.com:tcp:443",
        "why": "the name may be asked for, and connected to at the public addresses that DNS gives"}
    assert not check(fresh, "web", "api.example.com:80")["allowed"]
    assert check(fresh, "web", "other.example.com")["rule"] == "default egress"
    assert not check(fresh, "web", "1.1.1.1")["allowed"]
    assert check(fresh, "web", "10.0.0.5:22")["rule"] == "deny@10.0.0.5"
    assert check(fresh, "web", "10.0.0.6:22")["allowed"]
    assert not check(fresh, "web", "10.0.0.6:22/udp")["allowed"]
    policy = "allow@api.example.com:tcp:443, deny@10.0.0.5, allow@10.0.0.0/8:tcp; else deny egress, deny ingress"
    info = json.loads(fresh.ok("inspect", "web", "--format", "json"))
    assert info["network"]["policy"] == policy
    assert policy in fresh.ok("inspect", "web")
    fresh.ok("stop", "web")
    fresh.ok("start", "web")
    assert json.loads(fresh.ok("inspect", "web", "--format", "json"))["network"]["policy"] == policy


def test_the_default_policy_keeps_the_inside_out(fresh):
    fresh.ok("create", "busybox", "--name", "plain")
    fresh.ok("stop", "plain")
    assert check(fresh, "plain", "example.com")["allowed"]
    for inside in ("169.254.169.254:80", "[fd00:ec2::254]:80", "168.63.129.16:80", "10.0.0.1", "192.168.1.1", "127.0.0.1",
                   "[64:ff9b::a9fe:a9fe]:80", "host.microsandbox.internal:8000"):
        assert not check(fresh, "plain", inside)["allowed"], inside
    fresh.fails("net", "check", "plain", "a b", code=2, says="neither an address nor a name")
    fresh.fails("net", "check", "nobody", "example.com", code=1, says="nobody")


def test_a_lone_rule_that_allows_is_warned_of(fresh):
    outcome = fresh.run("run", "--net-rule", "allow@api.example.com", "busybox", "--", "true")
    assert outcome.code == 0
    assert "allow@api.example.com, allow@dns, allow@public; else deny egress" in outcome.err
    assert "--net-default deny" in outcome.err
    quiet = fresh.run("run", "-q", "--net-rule", "allow@api.example.com", "busybox", "--", "true")
    assert "allow@" not in quiet.err
