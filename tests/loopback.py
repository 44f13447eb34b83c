"""A docker-registry on loopback, as a context manager. It dies with the process that started it."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile

_CONFIG = """\
version: 0.1
log: {{level: info, formatter: text, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  cache: {{blobdescriptor: inmemory}}
  delete: {{enabled: {writable}}}
  maintenance: {{uploadpurging: {{enabled: false}}, readonly: {{enabled: {readonly}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """For preexec_fn: the child gets SIGTERM when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class RegistryProcess:
    def __init__(self, storage, port=0, writable=False):
        program = shutil.which("docker-registry")
        if not program:
            raise SystemExit("docker-registry is missing: run `make setup`")
        with tempfile.NamedTemporaryFile("w", suffix=".yml", delete=False) as config:
            config.write(_CONFIG.format(storage=storage, port=port, writable=str(writable).lower(),
                                        readonly=str(not writable).lower()))
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "OTEL_"))}
        self._process = subprocess.Popen([program, "serve", config.name], stdin=subprocess.DEVNULL, env=environment,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        self.address = self._wait_until_listening()
        os.unlink(config.name)
        # Whatever it says from here on is of no interest, but its pipe must not fill up.
        self._drain = subprocess.Popen(["cat"], stdin=self._process.stderr, stdout=subprocess.DEVNULL)
        self._process.stderr.close()

    def _wait_until_listening(self):
        said = []
        for line in self._process.stderr:
            said.append(line.decode(errors="replace"))
            found = re.search(r"listening on (127\.0\.0\.1:\d+)", said[-1])
            if found:
                return found.group(1)
        raise RuntimeError("docker-registry ended at once:\n" + "".join(said[-10:]))

    def wait(self):
        return self._process.wait()

    def close(self):
        self._process.terminate()
        self._process.wait()
        self._drain.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
