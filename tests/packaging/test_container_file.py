"""The container file: what it must be is read from it; where podman can, it is built and run as a pod would.

Building takes podman, root and a local base image with Python (``ERLMCP_CONTAINER_BASE``), such as one that
``debootstrap --include=python3,python3-venv`` and ``podman import`` make: CI has none of them.
"""

import json
import os
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from threading import Event

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy/container/Containerfile"
LOCK = ROOT / "deploy/container/requirements.lock"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
BASE = os.environ.get("ERLMCP_CONTAINER_BASE", "")
LIMIT_S = 60.0


def instructions(text):
    """Each instruction with its words, continued lines joined, comments left out."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [
        (line.split(None, 1)[0].upper(), line.split(None, 1)[1].strip()) for line in lines if line.strip()
    ]


def faults(text):
    """What is wrong with a container file; empty when it is as it must be."""
    found = instructions(text)
    last = found[max(number for number, (name, _) in enumerate(found) if name == "FROM") :]
    given = dict(last)
    wrong = []
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", given.get("USER", "")):
        wrong.append("it must run as a user who is a number and not root")
    if given.get("STOPSIGNAL") != "SIGTERM":
        wrong.append("it must be stopped by SIGTERM, which drains")
    if not all(given.get(name, "").startswith("[") for name in ("ENTRYPOINT", "CMD")):
        wrong.append("it must not go through a shell, which would keep the signal")
    if '["erlmcp", "health"' not in given.get("HEALTHCHECK", ""):
        wrong.append("it must say whether it is well")
    bases = [words for name, words in found if name in ("ARG", "FROM")]
    if any(words.endswith(":latest") or re.search(r"python$", words) for words in bases):
        wrong.append("its base must be named with a version")
    if not any("--require-hashes" in words for name, words in found if name == "RUN"):
        wrong.append("what it installs must be locked by hash")
    if any(name == "ADD" or re.search(r"(?i)password|secret|token|_key", words) for name, words in found):
        wrong.append("nothing secret and nothing from elsewhere must get in")
    if any(name == "COPY" and "--from" not in words and words.split()[0] == "." for name, words in found):
        wrong.append("only named files must get in")
    return wrong


def test_the_container_file_is_as_it_must_be():
    assert faults(FILE.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("USER 10001:10001\n", "", "not root"),
        ("USER 10001:10001", "USER erlmcp", "not root"),
        ("USER 10001:10001", "USER 0:0", "not root"),
        ("STOPSIGNAL SIGTERM\n", "", "SIGTERM"),
        ('ENTRYPOINT ["erlmcp", "serve"]', "ENTRYPOINT erlmcp serve", "shell"),
        ("HEALTHCHECK", "# HEALTHCHECK", "well"),
        ('CMD ["erlmcp", "health"', 'CMD ["erlmcp", "version"', "well"),
        (":3.13-slim-bookworm", ":latest", "version"),
        ('"--require-hashes", ', "", "hash"),
        ("WORKDIR /app", "ENV SESSION_KEY=abc", "secret"),
        ("COPY deploy/container/requirements.lock", "COPY . ", "named files"),
    ],
)
def test_what_is_broken_in_it_is_seen(old, new, fault):
    text = FILE.read_text()
    assert old in text
    assert any(fault in each for each in faults(text.replace(old, new)))


def test_what_it_installs_is_what_is_tested():
    pins = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE | re.IGNORECASE)
    tested = set(pins.findall((ROOT / "requirements.lock").read_text()))
    shipped = set(pins.findall(LOCK.read_text()))
    assert shipped <= tested
    assert {"mcp", "uvloop", "redis", "fastmcp"} <= {name for name, _ in shipped}
    assert not {"pytest", "mypy", "gonogo"} & {name for name, _ in shipped}


def podman(*words, check=True, timeout=900):
    done = subprocess.run(
        ["podman", *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT
    )
    assert not check or done.returncode == 0, done.stderr[-2_000:]
    return done


@pytest.fixture(scope="module")
def image():
    """The image, built from the base that was given."""
    if not BASE or shutil.which("podman") is None:
        pytest.skip("needs podman and ERLMCP_CONTAINER_BASE, a local image with Python")
    subprocess.run(["make", "wheels"], cwd=ROOT, check=True, capture_output=True, timeout=600)
    name = f"localhost/erlmcp-test:{uuid.uuid4().hex[:12]}"
    trusted = ["--volume", f"{AUTHORITIES}:{AUTHORITIES}:ro", "--env", f"PIP_CERT={AUTHORITIES}"]
    ignored = ["--ignorefile", FILE.with_suffix(".ignore")]
    podman("build", "--network=host", "--format=docker", *trusted, *ignored, "-f", FILE, "-t", name,
           "--build-arg", f"BASE={BASE}", ".")  # fmt: skip
    yield name
    podman("rmi", "--force", name)


@pytest.fixture
def container(image, tmp_path):
    """A running container, with nothing that it may write to but a small /run."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/server.py").write_text(
        "from mcp.server.mcpserver import MCPServer\n\nmcp = MCPServer('sums')\n\n\n"
        "@mcp.tool()\nasync def add(a: int, b: int) -> int:\n    return a + b\n"
    )
    (tmp_path / "etc").mkdir()
    shutil.copy(ROOT / "deploy/kubernetes/erlmcp.toml", tmp_path / "etc")
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    mounts = ["-v", f"{tmp_path}/app:/app:ro", "-v", f"{tmp_path}/etc:/etc/erlmcp:ro"]
    bounds = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    bounds += ["--tmpfs=/run/erlmcp:mode=1777,size=16m", "--network=none"]
    bounds += ["--health-interval=disable"]  # podman would want systemd to look at it by itself
    name = podman("run", "--detach", *bounds, *mounts, image).stdout.strip()
    yield name
    podman("rm", "--force", name)


def _until(ask):
    """Wait until a command in the container goes well."""
    deadline, tried = time.monotonic() + LIMIT_S, Event()
    while (done := ask()).returncode:
        assert time.monotonic() < deadline, done.stderr
        tried.wait(0.5)
    return done


@pytest.mark.slow
@pytest.mark.timeout(1_500)  # an image is built
def test_it_serves_without_root_and_without_a_place_to_write_and_drains(container):
    ready = _until(lambda: podman("exec", container, "erlmcp", "health", check=False))
    assert json.loads(ready.stdout)["status"] == "ready"
    assert podman("healthcheck", "run", container).stdout.strip() in {"", "healthy"}
    assert podman("exec", container, "id", "-u").stdout.strip() == "10001"
    assert podman("exec", container, "touch", "/app/x", check=False).returncode
    podman("stop", "--time=40", container)
    state = json.loads(podman("inspect", container).stdout)[0]["State"]
    assert state["ExitCode"] == 0, podman("logs", container).stderr[-2_000:]
