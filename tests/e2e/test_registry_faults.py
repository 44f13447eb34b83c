"""What registries and images may do wrong: each has an error of its own, and nothing is left of it."""

import base64
import json
import pathlib
import subprocess
import tarfile

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
    fresh.fails("pull", reference, code=2)
    fresh.fails("create", reference, code=2)


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


def _files_of(fresh, reference, tmp_path):
    """name -> content of the files in an image, as `save` gives it back."""
    fresh.ok("save", reference, "-o", tmp_path / "saved.tar")
    found = {}
    with tarfile.open(tmp_path / "saved.tar") as archive:
        for name in json.load(archive.extractfile("manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                found.update({entry.name: layer.extractfile(entry).read() for entry in layer if entry.isreg()})
    return found


def _left_behind(fresh):
    return list((fresh.home / "cache/layers").glob("*.erofs")) + list(fresh.home.glob("cache/tmp/*"))


@pytest.mark.parametrize("name", ["absolute", "link-parent", "relative-link-parent"])
def test_a_path_that_points_outside_stays_inside(fresh, faulty, name, tmp_path):
    """Links and roots are the layer's own, as in a container's root."""
    fresh.ok("pull", f"{faulty.address}/evil/{name}")
    assert not pathlib.Path("/tmp/msb-escaped").exists()
    assert _files_of(fresh, f"{faulty.address}/evil/{name}", tmp_path) == {"tmp/msb-escaped": b"x"}


@pytest.mark.parametrize("name, phrase", [
    ("dotdot", '"../../../../tmp/msb-escaped" has ".."'), ("inner-dotdot", 'has ".."'), ("hardlink-outside", 'has ".."'),
    ("whiteout-root", "whiteout of nothing"), ("link-loop", "leads nowhere"), ("hardlink-missing", "not among the entries before it"),
    ("huge-size", "cut off"), ("absurd-size", "size"), ("negative-size", "bad size"), ("bad-xattr", "64 KiB"),
    ("deep", "nested too deeply"), ("rubbish", "checksum"), ("cut", "cut off")])
def test_a_malicious_layer_is_refused_and_leaves_nothing(fresh, faulty, name, phrase):
    fresh.fails("pull", f"{faulty.address}/evil/{name}", says=phrase)
    assert not pathlib.Path("/tmp/msb-escaped").exists()
    assert _left_behind(fresh) == []


def test_a_million_entries_are_too_many_and_fill_no_memory(fresh, faulty):
    limit = ["prlimit", f"--data={768 << 20}", fresh.binary, "pull", f"{faulty.address}/evil/million"]
    ran = subprocess.run(limit, env=fresh.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1, ran
    assert ran.stderr.startswith("error: ") and "one too many: a layer may have 1000000" in ran.stderr, ran.stderr
    assert _left_behind(fresh) == []


def test_a_layer_of_nothing_but_zeros_is_empty(fresh, faulty):
    fresh.ok("pull", f"{faulty.address}/evil/bomb")


def test_a_broken_configuration_file_names_the_key(fresh):
    (fresh.home / "config.json").write_text("{")
    fresh.fails("pull", "busybox", says="config.json")
    fresh.configure({"registries": {"mirrors": {"docker.io": "127.0.0.1:1"}}})
    fresh.fails("pull", "busybox", says="registries.mirrors")
