"""What random operations leave on a share is what they leave on a local file system, and what the host then finds there."""

import hashlib
import pathlib
import stat

import pytest

HERE = pathlib.Path(__file__).resolve().parent
STEPS = 4000


@pytest.mark.parametrize(("seed", "options"), [(1, ""), (2, ":host-perms=mirror"), (3, ":stat-virt=relaxed")])
def test_a_share_behaves_like_a_local_file_system(msb, tmp_path, seed, options):
    (tmp_path / "work").mkdir()
    (tmp_path / "program").mkdir()
    (tmp_path / "program/model.py").write_bytes((HERE / "share_model.py").read_bytes())
    script = f"""
        set -e
        chmod 755 /model
        python3 /program/model.py /work /model {seed} {STEPS}
        cd /model && find . -type f | sort | while read -r path; do sha256sum "$path"; done
    """
    found = msb.ok("run", "python", "-m", "768M", "-v", f"{tmp_path}/program:/program:ro", "-v", f"{tmp_path}/work:/work{options}",
                   "--tmpfs", "/model", "--", "sh", "-c", script).splitlines()
    assert int(found[0]) > 0
    for line in found[1:]:
        digest, path = line.split("  ", 1)
        host = tmp_path / "work" / path
        assert stat.S_ISREG(host.lstat().st_mode)
        assert hashlib.sha256(host.read_bytes()).hexdigest() == digest, path
