"""The Kubernetes manifests: by the schemas of Kubernetes, and by what a pod of erlmcp must be.

No cluster can be had here, so this is what is tested: the files, and that erlmcp takes the configuration in
them. That the pod's container starts with a root file system that cannot be written is tested by podman.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from erlmcp.config.load import load

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "kustomization.yaml"})
VALIDATE = ROOT / "build/kubernetes-validate/bin/kubernetes-validate"
MANIFESTS = {each["kind"]: each for each in (yaml.safe_load(file.read_text()) for file in FILES)}


@pytest.fixture(scope="module")
def validate():
    """Judges a file by the schemas of a release of Kubernetes."""
    if not VALIDATE.exists():
        why = "kubernetes-validate is not installed; scripts/system-parts.sh does that"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)

    def judge(file, release):
        command = [VALIDATE, "--strict", "-k", release, file]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return judge


@pytest.mark.parametrize("release", ["1.29", "1.37"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_kubernetes_takes_each_file(validate, file, release):
    done = validate(file, release)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [("replicas: 2", "replicas: two"), ("readinessProbe:", "readynessProbe:"), ("apps/v1", "apps/v9")],
)
def test_what_kubernetes_would_refuse_is_seen(validate, tmp_path, old, new):
    text = (FOLDER / "deployment.yaml").read_text()
    assert old in text
    broken = tmp_path / "deployment.yaml"
    broken.write_text(text.replace(old, new))
    done = validate(broken, "1.37")
    assert done.returncode or "passed" not in done.stdout + done.stderr


def faults(manifests):
    """What is wrong with the manifests together; empty when they are as they must be."""
    deployment = manifests["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    inside, around = container.get("securityContext", {}), pod.get("securityContext", {})
    labels = deployment["template"]["metadata"]["labels"]
    settings = load(FOLDER / "erlmcp.toml").settings
    grace_s = pod.get("terminationGracePeriodSeconds", 30)
    stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
    drained = settings.drain_timeout_s + float(stop[-1])
    mounted = {each["name"]: each for each in container["volumeMounts"]}
    rules = {
        "it must not be root": around.get("runAsNonRoot") is True and around.get("runAsUser", 0) > 0,
        "its root must be read-only": inside.get("readOnlyRootFilesystem") is True,
        "it must not gain rights": inside.get("allowPrivilegeEscalation") is False,
        "it must have no capabilities": inside.get("capabilities", {}).get("drop") == ["ALL"],
        "system calls must be filtered": around.get("seccompProfile") == {"type": "RuntimeDefault"},
        "it must have no account of the cluster": pod.get("automountServiceAccountToken") is False,
        "it must be asked whether it starts, lives and is ready": {
            "startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(),
        "a pod that drains must not be restarted": container.get("livenessProbe", {}).get("exec", {}).get(
            "command", [])[-1:] == ["--live"],
        "it must go on until nobody sends any more": float(stop[-1]) > 0,
        "it must be given the time to drain": drained < grace_s,
        "memory must be bounded": "memory" in container["resources"].get("limits", {}),
        "one pod too few must never be": deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0,
        "its secrets must be files": all("value" in each for each in container["env"]) and mounted[
            "secrets"]["readOnly"],
        "the service must find it": manifests["Service"]["spec"]["selector"].items() <= labels.items(),
        "its budget must leave one": manifests["PodDisruptionBudget"]["spec"]["minAvailable"] >= 1,
        "more pods than the budget needs must run": manifests["HorizontalPodAutoscaler"]["spec"][
            "minReplicas"] > manifests["PodDisruptionBudget"]["spec"]["minAvailable"],
        "both directions must be closed": set(manifests["NetworkPolicy"]["spec"]["policyTypes"])
        == {"Ingress", "Egress"},
        "the issuers of tokens must be reachable": not settings.auth.issuers
        or 443 in [port["port"] for rule in manifests["NetworkPolicy"]["spec"]["egress"]
                   for port in rule["ports"]],
        "only MCP must be reachable": [port["port"] for rule in manifests["NetworkPolicy"]["spec"]["ingress"]
                                       for port in rule["ports"]] == ["mcp"],
    }  # fmt: skip
    return [rule for rule, holds in rules.items() if not holds]


def test_the_manifests_are_as_they_must_be():
    assert faults(MANIFESTS) == []


def _pod(manifests):
    return manifests["Deployment"]["spec"]["template"]["spec"]


def _container(manifests):
    return _pod(manifests)["containers"][0]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda m: _pod(m)["securityContext"].update(runAsUser=0), "root"),
        (lambda m: _container(m)["securityContext"].pop("readOnlyRootFilesystem"), "read-only"),
        (lambda m: _container(m)["securityContext"].pop("allowPrivilegeEscalation"), "gain rights"),
        (lambda m: _container(m)["securityContext"].pop("capabilities"), "capabilities"),
        (lambda m: _pod(m)["securityContext"].pop("seccompProfile"), "filtered"),
        (lambda m: _pod(m).pop("automountServiceAccountToken"), "account"),
        (lambda m: _container(m).pop("startupProbe"), "asked"),
        (lambda m: _container(m).pop("readinessProbe"), "asked"),
        (lambda m: m["NetworkPolicy"]["spec"]["egress"].pop(), "issuers"),
        (lambda m: m["PodDisruptionBudget"]["spec"].update(minAvailable=0), "leave one"),
        (lambda m: _container(m)["volumeMounts"][1].update(readOnly=False), "files"),
        (lambda m: _container(m)["livenessProbe"]["exec"]["command"].pop(), "restarted"),
        (lambda m: _container(m).pop("lifecycle"), "nobody sends"),
        (lambda m: _pod(m).pop("terminationGracePeriodSeconds"), "time to drain"),
        (lambda m: _container(m)["resources"].pop("limits"), "memory"),
        (lambda m: m["Deployment"]["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1), "too few"),
        (lambda m: _container(m)["env"].append({"name": "K", "valueFrom": {}}), "files"),
        (lambda m: m["Service"]["spec"]["selector"].update(app="other"), "find it"),
        (lambda m: m["PodDisruptionBudget"]["spec"].update(minAvailable=2), "budget needs"),
        (lambda m: m["NetworkPolicy"]["spec"]["policyTypes"].remove("Egress"), "directions"),
        (lambda m: m["NetworkPolicy"]["spec"]["ingress"][0]["ports"].append({"port": 9090}), "reachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_rule_is_seen_to_be_broken(spoil, fault):
    manifests = copy.deepcopy(MANIFESTS)
    spoil(manifests)
    assert any(fault in each for each in faults(manifests))


def test_erlmcp_takes_the_configuration_in_them():
    done = subprocess.run(
        [sys.executable, "-m", "erlmcp.cli.main", "check-config", "--config", str(FOLDER / "erlmcp.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_kustomize_is_told_of_every_file():
    told = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert sorted(told["resources"]) == [file.name for file in FILES]
    assert told["configMapGenerator"][0]["files"] == ["erlmcp.toml"]
