"""pull, load, save, image ls|inspect|rm|prune."""

import json
import subprocess
import tarfile

import pytest


def skopeo(*arguments):
    subprocess.run(["skopeo", "--insecure-policy", *arguments], check=True, stdout=subprocess.DEVNULL)


def test_pull_list_inspect_remove(fresh):
    fresh.ok("pull", "python:3.12")
    fresh.ok("image", "pull", "busybox")
    listed = {image["reference"]: image for image in fresh.json("image", "ls")}
    assert set(listed) == {"docker.io/library/python:3.12", "docker.io/library/busybox:latest"}
    assert "python:3.12" in fresh.ok("image", "ls")
    assert fresh.ok("images", "-q").count("\n") == 2
    detail = fresh.json("image", "inspect", "python:3.12")
    assert detail["config"]["cmd"] == ["python3"]
    assert "LANG=C.UTF-8" in detail["config"]["env"]
    assert detail["architecture"] == "amd64"
    assert len(detail["layers"]) == 2
    fresh.ok("image", "rm", "python:3.12")
    fresh.fails("image", "inspect", "python:3.12", says="python")
    fresh.fails("rmi", "python:3.12", says="python")


def test_layers_are_shared_between_images(fresh):
    fresh.ok("pull", "debian")
    before = set((fresh.home / "cache/layers").iterdir())
    fresh.ok("pull", "python")
    after = set((fresh.home / "cache/layers").iterdir())
    assert before < after
    assert len([path for path in after if path.suffix == ".erofs"]) == 2


def test_the_image_of_this_architecture_is_chosen(msb):
    assert msb.ok("run", "busybox", "--", "sh", "-c", "ls /etc/wrong-architecture 2>&1 | grep -c 'No such file'") == "1\n"


def test_by_digest(msb, registry):
    digest = json.loads(subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{registry}/library/alpine"], stdout=subprocess.PIPE, check=True).stdout)["Digest"]
    assert msb.ok("run", f"alpine@{digest}", "--", "echo", "exactly") == "exactly\n"


def test_a_full_reference_needs_no_mirror(fresh, registry):
    fresh.configure({})
    assert fresh.ok("run", f"{registry}/library/busybox:1", "--", "echo", "direct") == "direct\n"


def test_pull_policies(fresh):
    fresh.fails("run", "busybox", "--pull", "never", "--", "true", says="busybox")
    fresh.ok("run", "busybox", "--pull", "always", "--", "true")
    fresh.ok("run", "busybox", "--pull", "never", "--", "true")
    fresh.fails("run", "busybox", "--pull", "sometimes", "--", "true", code=2, says="sometimes")


def test_an_image_in_use_stays_unless_forced(fresh):
    fresh.ok("create", "busybox", "--name", "user")
    fresh.fails("image", "rm", "busybox", says="user")
    fresh.ok("image", "prune", "-y")
    assert fresh.ok("exec", "user", "--", "echo", "fine") == "fine\n"
    fresh.ok("restart", "user")
    assert fresh.ok("exec", "user", "--", "echo", "fine") == "fine\n"


def test_prune_removes_what_nobody_uses(fresh):
    fresh.ok("pull", "busybox")
    report = fresh.json("image", "prune", "-y")
    assert report["layers_removed"] == 1
    assert report["bytes_reclaimed"] > 1 << 20
    assert fresh.json("image", "ls") == []
    assert list((fresh.home / "cache/layers").glob("*.erofs")) == []


def test_progress_is_not_for_pipes_and_not_for_quiet(fresh):
    outcome = fresh.run("pull", "busybox")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_progress_on_a_terminal(fresh):
    terminal = fresh.terminal("pull", "python")
    terminal.expect("python")
    assert terminal.wait() == 0
    quiet = fresh.terminal("pull", "-q", "busybox")
    assert quiet.wait() == 0
    assert quiet.screen == b""


@pytest.mark.parametrize("format", ["docker", "oci"])
def test_save_and_load_keep_the_image(fresh, tmp_path, format):
    archive = tmp_path / "saved.tar"
    fresh.ok("pull", "tests/configured")
    fresh.ok("save", "tests/configured", "--format", format, "-o", archive)
    fresh.ok("image", "rm", "tests/configured")
    fresh.ok("image", "prune", "-y")
    assert "tests/configured" in fresh.ok("load", "-i", archive)
    assert fresh.ok("run", "--pull", "never", "tests/configured") == "entry default words\n"


def test_others_read_what_save_wrote(fresh, tmp_path):
    fresh.ok("pull", "tests/layers")
    fresh.ok("save", "tests/layers", "-o", tmp_path / "docker.tar")
    fresh.ok("save", "tests/layers", "--format", "oci", "-o", tmp_path / "oci.tar")
    skopeo("copy", "-q", f"docker-archive:{tmp_path}/docker.tar", f"dir:{tmp_path}/a")
    skopeo("copy", "-q", f"oci-archive:{tmp_path}/oci.tar", f"dir:{tmp_path}/b")


def test_an_image_of_many_layers_survives_save_and_load(fresh, tmp_path):
    show = ("run", "--pull", "never", "tests/layers", "--", "sh", "-c",
            "find /odd /many | sort | xargs stat -c '%n %F %a %u:%g %s %h' 2>/dev/null | grep -v ' directory ' | sha256sum")
    fresh.ok("pull", "tests/layers")
    before = fresh.ok(*show)
    fresh.ok("save", "tests/layers", "-o", tmp_path / "a.tar")
    fresh.ok("image", "rm", "tests/layers")
    fresh.ok("image", "prune", "-y")
    fresh.ok("load", "-q", input=(tmp_path / "a.tar").read_bytes())
    assert fresh.ok(*show) == before


def test_load_what_skopeo_made(fresh, registry, tmp_path):
    source = f"docker://{registry}/library/busybox:1"
    skopeo("copy", "-q", "--src-tls-verify=false", source, f"oci:{tmp_path}/layout:mine")
    skopeo("copy", "-q", "--src-tls-verify=false", source, f"docker-archive:{tmp_path}/archive.tar:mine/archived:9")
    fresh.ok("load", "-i", tmp_path / "layout", "-t", "mine/layout:1")
    fresh.ok("load", "-i", tmp_path / "archive.tar")
    assert fresh.ok("run", "--pull", "never", "mine/layout:1", "--", "echo", "layout") == "layout\n"
    assert fresh.ok("run", "--pull", "never", "mine/archived:9", "--", "echo", "archive") == "archive\n"


def test_load_refuses_what_is_no_image(fresh, tmp_path):
    (tmp_path / "text.tar").write_text("this is no archive\n" * 1000)
    fresh.fails("load", "-i", tmp_path / "text.tar")
    fresh.fails("load", "-i", tmp_path / "missing.tar", says="missing.tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    fresh.fails("load", "-i", tmp_path / "empty.tar")
    fresh.fails("save", "never-pulled", "-o", tmp_path / "x.tar", says="never-pulled")


def test_two_pulls_at_once_of_the_same_image(fresh):
    running = [fresh.spawn("pull", "python") for _ in range(4)]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert len(list((fresh.home / "cache/layers").glob("*.erofs"))) == 2
    assert list(fresh.home.glob("cache/tmp/*")) == []
