"""Real servers and clients on both sides of a guest's network: nginx, curl, wrk, dnsmasq, dig. The guest is a Debian with this host's
/usr, so that it has the programs that tools/packages.txt installs here."""

import hashlib
import re
import resource
import socket
import subprocess

import pytest

from servers import BOTH_FAMILIES, need

HOST = "host.microsandbox.internal"
CLIENTS = 1000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def nginx_configuration(folder, listens, root, workers=256):
    """A whole configuration that touches nothing outside `folder` and needs no account. Of `listens` those with ssl have key and
    certificate in it."""
    temporary = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    keys = f"ssl_certificate {folder}/certificate; ssl_certificate_key {folder}/key;"
    servers = "".join(f"server {{ listen {listen}; {keys if 'ssl' in listen else ''} root {root}; location /put/ {{ dav_methods PUT; create_full_put_path on; }} }}\n"
                      for listen in listens)
    return (f"daemon off; user root; pid {folder}/pid; error_log stderr notice; worker_processes 1;\n"
            "worker_rlimit_nofile 4096;\n"
            f"events {{ worker_connections {workers}; }}\n"
            f"http {{ {temporary} access_log off; client_max_body_size 100m; keepalive_requests 1000000;\n{servers} }}\n")


def wait_for(server, word):
    """Until it says so; a server that has ended never will."""
    said = ""
    while word not in said:
        line = server.stderr.readline()
        assert line, f"{server.args} ended: {said}"
        said += line if isinstance(line, str) else line.decode()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """nginx on the host's loopback: (its folder, the address of plain HTTP, the one of HTTP/2 by TLS)."""
    need("/usr/sbin/nginx", "openssl", "curl", "wrk")
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    one, two = free_port(), free_port()
    (folder / "nginx.conf").write_text(nginx_configuration(folder, [f"127.0.0.1:{one}", f"127.0.0.1:{two} ssl http2"], folder))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=tests", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", folder / "key",
                    "-out", folder / "certificate"], check=True, capture_output=True)
    (folder / "big").write_bytes(bytes(range(256)) * (200 << 10))  # 50 MiB
    (folder / "small").write_text("small\n")
    with subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-c", folder / "nginx.conf"], stderr=subprocess.PIPE, text=True) as server:
        try:
            wait_for(server, "start worker process ")
            yield folder, f"http://{HOST}:{one}", f"https://{HOST}:{two}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def guest(_shared_home, web):
    """A sandbox with the programs of the host that may reach it, and has a port published."""
    _shared_home.ok("create", "debian", "--name", "real", "-v", "/usr:/usr:ro", "-v", f"{web[0]}:/web:ro", "--net", "public,host", "-p", "0:8080",
                    "--max-connections", "2048", *BOTH_FAMILIES)
    yield _shared_home
    _shared_home.run("rm", "-f", "real")


CURL = ["curl", "-sS", "--fail", "--no-progress-meter", "--cacert", "/web/certificate"]


def curl(guest, *words):
    return guest.ok("exec", "real", "--", *CURL, *words)


def shell(guest, script):
    return guest.ok("exec", "real", "--", "bash", "-o", "pipefail", "-c", script)


@pytest.mark.parametrize("version, site", [("--http1.1", 1), ("--http2", 2)], ids=["http1", "https2"])
def test_a_large_file_arrives_whole(guest, web, version, site):
    expected = hashlib.sha256((web[0] / "big").read_bytes()).hexdigest()
    assert shell(guest, f"{' '.join(CURL)} {version} {web[site]}/big | sha256sum").split()[0] == expected


@pytest.mark.parametrize("version, site", [("--http1.1", 1), ("--http2", 2)], ids=["http1", "https2"])
def test_an_upload_arrives_whole(guest, web, version, site):
    upload = f"{' '.join(CURL)} {version} -T /tmp/upload {web[site]}/put/upload"
    out = shell(guest, f"head -c 20000000 /dev/urandom > /tmp/upload && {upload} && sha256sum /tmp/upload")
    assert out.split()[0] == hashlib.sha256((web[0] / "put/upload").read_bytes()).hexdigest()


@pytest.mark.parametrize("version, site, says", [("--http1.1", 1, "1.1"), ("--http2", 2, "2")], ids=["http1", "https2"])
def test_one_connection_serves_many_requests(guest, web, version, site, says):
    out = curl(guest, version, "-o", "/dev/null", "-w", "%{http_version} %{num_connects}\\n", f"{web[site]}/small?[1-50]")
    assert out.splitlines() == [f"{says} 1"] + [f"{says} 0"] * 49


def test_many_streams_of_http2_share_a_connection(guest, web):
    out = curl(guest, "--http2", "-Z", "--parallel-max", "20", "-r", "0-999999", "-o", "/dev/null", "-w",
               "%{http_version} %{size_download} %{num_connects}\\n", f"{web[2]}/big?[1-20]")
    assert sorted(out.splitlines()) == ["2 1000000 0"] * 19 + ["2 1000000 1"]


def test_a_thousand_clients_of_a_published_port_are_served_without_an_error(guest):
    folder = "/tmp/nginx"
    configuration = nginx_configuration(folder, ["8080 backlog=4096"], folder, workers=4096)
    guest.ok("exec", "real", "--", "sh", "-c", f"mkdir {folder}; echo served > {folder}/page; cat > {folder}/nginx.conf",
             input=configuration)
    server = guest.spawn("exec", "real", "--", "/usr/sbin/nginx", "-e", "stderr", "-c", f"{folder}/nginx.conf")
    wait_for(server, "start worker process ")
    (port,) = guest.inspect("real")["ports"]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wrk = subprocess.run(
        ["wrk", "-t2", f"-c{CLIENTS}", "-d5s", "--timeout", "60s", f"http://127.0.0.1:{port.split(':')[0]}/page"], text=True, timeout=120,
        check=True, stdout=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))).stdout
    server.terminate()
    server.communicate()
    assert "Socket errors" not in wrk and "Non-2xx" not in wrk, wrk
    assert int(re.search(r"(\d+) requests in", wrk).group(1)) >= CLIENTS, wrk


# ---- names ---------------------------------------------------------------------------------------------------------------

TEXT = [f"{number}-" + "t" * 200 for number in range(5)]


@pytest.fixture(scope="module")
def names(_shared_home):
    """dnsmasq on the host's loopback, and a sandbox that asks it: the port."""
    need("/usr/sbin/dnsmasq", "dig")
    port = free_port()
    records = ["--host-record=www.example.com,93.184.216.34,2606:2800:21f:cb07:6820:80da:af6b:8b2c", "--cname=alias.example.com,www.example.com",
               "--txt-record=long.example.com," + ",".join(TEXT), "--dns-rr=odd.example.com,65280,deadbeef00ff",
               "--mx-host=example.com,mail.example.com,10", "--srv-host=_http._tcp.example.com,www.example.com,8080,1,2",
               "--local=/example.com/"]
    command = ["/usr/sbin/dnsmasq", "--keep-in-foreground", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces",
               "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--log-facility=-", "--user=root", *records]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            wait_for(server, "started")
            _shared_home.ok("create", "debian", "--name", "asking", "-v", "/usr:/usr:ro", "--dns-nameserver", f"127.0.0.1:{port}",
                            "--net", "public", "--net-rule", "deny@*.evil.example.com", *BOTH_FAMILIES)
            yield port
        finally:
            server.terminate()
            _shared_home.run("rm", "-f", "asking")


def dig(msb, *words):
    return msb.ok("exec", "asking", "--", "dig", *words)


def dig_on_host(port, *words):
    return subprocess.run(["dig", "@127.0.0.1", "-p", str(port), *words], stdout=subprocess.PIPE, check=True, text=True).stdout


QUESTIONS = [("www.example.com", "A"), ("www.example.com", "AAAA"), ("alias.example.com", "A"), ("long.example.com", "TXT"), ("example.com", "MX"),
             ("_http._tcp.example.com", "SRV"), ("odd.example.com", "TYPE65280"), ("missing.example.com", "A"), ("www.example.com", "TXT")]


@pytest.mark.parametrize("how", [[], ["+noedns"], ["+bufsize=4096"], ["+tcp"]], ids=["edns", "plain", "large", "tcp"])
def test_dig_sees_in_the_guest_what_it_sees_on_the_host(_shared_home, names, how):
    asked = [*how, "+noall", "+question", "+answer", "+comments", "+nottlid", *(word for question in QUESTIONS for word in question)]

    def told(text):
        # But for what is the resolver's own: ids, how it asked.
        lines = (re.sub(r", id: \d+", "", line) for line in text.splitlines())
        return [line for line in lines if line and not re.match(";; (flags|Got answer|OPT|Truncated)|; (EDNS|COOKIE)", line)]

    here = told(dig_on_host(names, *asked))
    assert told(dig(_shared_home, *asked)) == here
    answers = "\n".join(here)
    assert "\\# 6 DEADBEEF00FF" in answers and all(text in answers for text in TEXT) and answers.count("status: NXDOMAIN") == 1, answers


def test_a_long_answer_is_cut_for_those_who_asked_for_little(_shared_home, names):
    cut = dig(_shared_home, "long.example.com", "TXT", "+noedns", "+ignore")
    assert re.search(r"flags: qr [a-z ]*\btc\b", cut), cut
    retried = dig(_shared_home, "long.example.com", "TXT", "+noedns")
    assert "retrying in TCP mode" in retried and all(text in retried for text in TEXT), retried
    assert all(text in dig(_shared_home, "long.example.com", "TXT", "+bufsize=4096", "+ignore") for text in TEXT)


def test_a_denied_name_says_why_to_those_who_can_read_it(_shared_home, names):
    denied = dig(_shared_home, "data.evil.example.com", "A")
    assert "status: NXDOMAIN" in denied and "EDE: 15" in denied, denied
    plain = dig(_shared_home, "data.evil.example.com", "A", "+noedns")
    assert "status: NXDOMAIN" in plain and "EDE" not in plain, plain
