"""The manifests: valid for several releases of Kubernetes, and minded of how the hub starts, lives and ends."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hub.exit_codes import EXIT_SETTINGS
from hub.roles import ROLES
from schemas.durations import parse_duration
from schemas.settings import SETTINGS
from tests.deploy.places import DEPLOY

FOLDER = DEPLOY / "kubernetes"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
OBJECTS: list[dict[str, Any]] = [one for path in FILES for one in yaml.safe_load_all(path.read_text())]
DEPLOYMENTS = {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == "Deployment"}
WEB = DEPLOYMENTS["tickhub-web"]
NAMES = {one.name for one in SETTINGS}
DRAIN_TIMEOUT_S = parse_duration(next(one.default for one in SETTINGS if one.name == "DRAIN_TIMEOUT"))


def pods() -> list[Any]:
    return [one["spec"]["template"]["spec"] for one in OBJECTS if one["kind"] in ("Deployment", "Job")]


def only(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in OBJECTS if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("release", ["1.30", "1.34", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_object_is_valid(path: Path, release: str) -> None:
    for one in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(one, release, strict=True)


def test_kustomize_takes_everything_but_secrets_and_what_is_optional() -> None:
    text = (FOLDER / "kustomization.yaml").read_text()
    named = {*yaml.safe_load(text)["resources"], "secret.example.yaml", "networkpolicy.yaml"}
    assert named == {path.name for path in FILES}
    assert "# - networkpolicy.yaml" in text


def test_each_role_has_a_deployment_of_its_own() -> None:
    assert {name: one["spec"]["template"]["spec"]["containers"][0]["args"] for name, one in DEPLOYMENTS.items()} == {
        f"tickhub-{role}": [role] for role in ROLES
    }


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_pod_has_time_to_drain(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    stop = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert pod["terminationGracePeriodSeconds"] > int(stop[1]) + 3 * DRAIN_TIMEOUT_S


def test_a_rollout_of_web_never_has_fewer_pods_than_before() -> None:
    assert WEB["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert only("PodDisruptionBudget", "tickhub-web")["spec"]["selector"] == WEB["spec"]["selector"]


def test_no_probe_asks_for_what_all_pods_share() -> None:
    container = WEB["spec"]["template"]["spec"]["containers"][0]
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")} == {
        "/health"
    }


def test_every_pod_is_confined() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
        assert "/var/lib/tickhub" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_wrong_settings_end_the_migration_at_once() -> None:
    (rule,) = only("Job", "tickhub-migrate")["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [EXIT_SETTINGS])


def test_settings_and_secrets_have_names_that_the_hub_knows() -> None:
    assert only("ConfigMap", "tickhub")["data"].keys() <= NAMES
    secret = only("Secret", "tickhub")["stringData"]
    assert secret.keys() <= NAMES
    assert {"JWT_SECRET", "REDIS_URL", "DATABASE_URL"} <= secret.keys()


def test_the_ingress_waits_for_longer_than_heartbeats_take_and_hides_the_figures() -> None:
    ingress = only("Ingress", "tickhub")
    heartbeat_s = parse_duration(next(one.default for one in SETTINGS if one.name == "HEARTBEAT_INTERVAL"))
    for name in ("read", "send"):
        assert (
            int(ingress["metadata"]["annotations"][f"nginx.ingress.kubernetes.io/proxy-{name}-timeout"])
            > 2 * heartbeat_s
        )
    places = {one["path"]: one["backend"]["service"]["name"] for one in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert places == {"/": "tickhub", "/metrics": "tickhub-nowhere", "/health/detailed": "tickhub-nowhere"}
    assert "selector" not in only("Service", "tickhub-nowhere")["spec"]
    assert only("Service", "tickhub")["spec"]["selector"] == WEB["spec"]["selector"]["matchLabels"]
