"""What registries and images may do wrong: each has an error of its own, and nothing is left of it."""

import base64
import json
import pathlib

import pytest


@pytest.mark.parametrize("status, phrase", [(401, "refuses access"), (403, "refuses access"), (404, "no image"), (429, "429"),
                                            (500, "500"), (503, "503")])
def test_a_status_is_explained(fresh, faulty, status, phrase):
    fresh.fails("pull", f"{faulty.address}/errors/{status}", says=phrase)


def test_an_unknown_image_and_an_unknown_tag(fresh, registry):
    fresh.fails("pull", f"{registry}/library/no-such-image", says="no-such-image")
    fresh.fails("pull", f"{registry}/library/python:2.0", says=["2.0", "3.1"])


@pytest.mark.parametrize("reference", ["UPPER", "a//b", "a:b:c", "python:", "python@sha256:12", "x" * 300, "-flag/x", "ex ample"])
def test_a_malformed_reference(fresh, reference):
    outcome = fresh.run("pull", "--", reference) if reference.startswith("-") else fresh.run("pull", reference)
    assert outcome.code in (1, 2), repr(outcome)
    assert outcome.err.startswith("error: "), repr(outcome)


def test_nobody_answers(fresh):
    fresh.fails("pull", "127.0.0.1:1/library/busybox", says="127.0.0.1:1")


@pytest.mark.parametrize("repository, phrase", [("broken/truncated", "bytes"), ("broken/corrupt", ""), ("broken/diffid", "diff id"),
                                                ("broken/missing", "incomplete"), ("broken/manifest", "manifest")])
def test_a_broken_image_is_refused_and_leaves_nothing(fresh, faulty, repository, phrase):
    fresh.fails("pull", f"{faulty.address}/{repository}", says=phrase)
    assert fresh.json("image", "ls") == []
    assert list((fresh.home / "cache/layers").glob("*.erofs")) == []
    assert list(fresh.home.glob("cache/tmp/*")) == []


def test_an_interrupted_transfer_resumes_where_it_was(fresh, faulty):
    fresh.ok("pull", f"{faulty.address}/broken/resumes")
    layer = faulty.layer_of("broken/resumes")
    ranges = [wanted for _, path, wanted, _ in faulty.requests if path.endswith(layer) and wanted]
    assert ranges and all(int(wanted.removeprefix("bytes=").rstrip("-")) > 0 for wanted in ranges)


def test_a_passing_server_error_is_retried(fresh, faulty):
    fresh.ok("pull", f"{faulty.address}/broken/once500")


@pytest.mark.parametrize("repository", ["private/image", "token/image"])
def test_credentials_from_dockers_configuration(fresh, faulty, repository):
    fresh.fails("pull", f"{faulty.address}/{repository}")
    login = {"auths": {faulty.address: {"auth": base64.b64encode(b"someone:wrong").decode()}}}
    fresh.docker_config.write_text(json.dumps(login))
    fresh.fails("pull", f"{faulty.address}/{repository}", says="credentials")
    login["auths"][faulty.address]["auth"] = base64.b64encode(b"someone:secret").decode()
    fresh.docker_config.write_text(json.dumps(login))
    fresh.ok("pull", f"{faulty.address}/{repository}")


def test_credentials_from_a_helper(fresh, faulty, tmp_path):
    helper = tmp_path / "docker-credential-tests"
    helper.write_text('#!/bin/sh\nread host\necho "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"someone\\",\\"Secret\\":\\"secret\\"}"\n')
    helper.chmod(0o755)
    fresh.docker_config.write_text(json.dumps({"credHelpers": {faulty.address: "tests"}}))
    fresh.ok("pull", f"{faulty.address}/private/image", env={"PATH": f"{tmp_path}:{fresh.environment['PATH']}"})


def test_credentials_from_the_configuration_file(fresh, faulty):
    fresh.configure({"registries": {"hosts": {faulty.address: {"auth": {"username": "someone", "password_env": "THE_PASSWORD"}}}}})
    fresh.ok("pull", f"{faulty.address}/private/image", env={"THE_PASSWORD": "secret"})


def test_a_mirror_is_asked_first_and_the_registry_after_it(fresh, faulty, registry):
    fresh.configure({"registries": {"mirrors": {registry: [faulty.address]}}})
    fresh.ok("pull", f"{registry}/library/busybox")
    assert any("library/busybox" in path for _, path, _, _ in faulty.requests)


@pytest.mark.parametrize("name", ["dotdot", "inner-dotdot", "absolute", "link-parent", "relative-link-parent", "hardlink-outside",
                                  "whiteout-root"])
def test_a_layer_that_reaches_outside_reaches_nothing(fresh, faulty, name):
    escaped = pathlib.Path("/tmp/msb-escaped")
    assert not escaped.exists()
    outcome = fresh.run("pull", f"{faulty.address}/evil/{name}")
    assert not escaped.exists()
    assert outcome.code in (0, 1), repr(outcome)
    if outcome.code == 1:
        assert outcome.err.startswith("error: "), repr(outcome)


@pytest.mark.parametrize("name", ["hardlink-missing", "huge-size", "absurd-size", "negative-size", "bad-xattr", "deep", "rubbish", "cut"])
def test_a_malicious_layer_is_refused_and_leaves_nothing(fresh, faulty, name):
    fresh.fails("pull", f"{faulty.address}/evil/{name}")
    assert list((fresh.home / "cache/layers").glob("*.erofs")) == []
    assert list(fresh.home.glob("cache/tmp/*")) == []


def test_a_layer_of_nothing_but_zeros_is_empty(fresh, faulty):
    fresh.ok("pull", f"{faulty.address}/evil/bomb")


def test_a_broken_configuration_file_names_the_key(fresh):
    (fresh.home / "config.json").write_text("{")
    fresh.fails("pull", "busybox", says="config.json")
    fresh.configure({"registries": {"mirrors": {"docker.io": "127.0.0.1:1"}}})
    fresh.fails("pull", "busybox", says="registries.mirrors")
