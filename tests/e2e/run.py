#!/usr/bin/env python3
"""Proves on a real cluster with KEDA that answers reach replicas.

    KUBECONFIG=… SCALER_ADDRESS=host:port tests/e2e/run.py [--mark-ready] [--keep]

SCALER_ADDRESS is where the cluster's KEDA operator reaches this machine: tidetable is started here, on that port, with a metrics
source of ours whose load we set. Needed: kubectl and openssl on the PATH, target/release/tidetable (or TIDETABLE), KEDA 2.18 and
Kubernetes 1.35 or newer. Without a kubelet (an API server, a controller manager and KEDA alone), --mark-ready plays one.

Everything happens in the namespace tidetable-e2e, which is deleted at the end unless --keep. README.md beside this says how to
run it on kind. Each proof prints a line; the first that fails ends the run with 1.
"""

import argparse
import contextlib
import http.server
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARY = os.environ.get("TIDETABLE", str(ROOT / "target/release/tidetable"))
NAMESPACE = "tidetable-e2e"
PER_REPLICA = 100
# From a load to the replicas: the query's step, the poll, an HPA sync, and what a busy machine adds.
PATIENCE = 120


class Load(http.server.BaseHTTPRequestHandler):
    """A metrics source whose one series is what we say, now and at every instant before."""

    now = 0.0

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.reply(urllib.parse.urlparse(self.path).path, urllib.parse.parse_qs(body))

    def do_GET(self):
        parsed = urllib.parse.urlparse(self.path)
        self.reply(parsed.path, urllib.parse.parse_qs(parsed.query))

    def reply(self, path, asked):
        value = str(Load.now)
        if path.endswith("query_range"):
            start, end, step = (float(asked[key][0]) for key in ("start", "end", "step"))
            count = int((end - start) / step) + 1
            points = [[start + step * at, value] for at in range(count)]
            data = {"resultType": "matrix", "result": [{"metric": {}, "values": points}]}
        else:
            at = float(asked.get("time", [time.time()])[0])
            data = {"resultType": "vector", "result": [{"metric": {}, "value": [at, value]}]}
        body = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def kubectl(*words, given=None, check=True):
    ran = subprocess.run(["kubectl", "-n", NAMESPACE, *words], input=given, text=True, capture_output=True, check=False)
    if check and ran.returncode != 0:
        sys.exit(f"kubectl {' '.join(words)}: {ran.stderr}")
    return ran.stdout


def apply(*objects):
    kubectl("apply", "-f", "-", given="\n---\n".join(json.dumps(each) for each in objects))


def wanted(name):
    return int(kubectl("get", "deployment", name, "-o", "jsonpath={.spec.replicas}") or 0)


def proven(what):
    print(f"ok: {what}", flush=True)


def reach(name, replicas, what, within=PATIENCE):
    """Waits until so many replicas are wanted, and then that it stays so for two syncs."""
    end = time.monotonic() + within
    while wanted(name) != replicas:
        if time.monotonic() > end:
            sys.exit(f"failed: {what}: {name} has {wanted(name)} replicas after {within} s, not {replicas}")
        time.sleep(1)
    for _ in range(30):
        if wanted(name) != replicas:
            sys.exit(f"failed: {what}: {name} did not stay at {replicas} replicas")
        time.sleep(1)
    proven(what)


def need(replicas):
    """A load that so many replicas bear, and no fewer."""
    Load.now = max(0, replicas * PER_REPLICA - 1)


class Scaler:
    """tidetable on this machine."""

    def __init__(self, folder, address, source):
        self.folder, self.source, self.tls, self.process = folder, source, None, None
        self.port = address.rsplit(":", 1)[1]

    def configure(self):
        target = {
            "demand": {"source": "main", "query": "load", "step": "15s"},
            "capacity": {"perReplica": PER_REPLICA},
            "leadTime": "auto",  # and so the cluster is read
            "timezone": "UTC",
            "mode": "shadow",  # what the load needs, exactly; declared floors count all the same
            "scaleDownHold": "15s",
        }
        config = {
            "sources": {"main": {"prometheus": {"url": self.source}}},
            "targets": {
                "steady": {**target, "scaledObject": f"{NAMESPACE}/steady", "replicas": {"min": 1, "max": 60}},
                "sleepy": {**target, "scaledObject": f"{NAMESPACE}/sleepy", "replicas": {"min": 0, "max": 60}},
            },
        }
        if self.tls:
            config["server"] = {"tls": self.tls}
        path = self.folder / "tidetable.yaml"
        path.write_text(json.dumps(config))
        return path

    def start(self):
        command = [BINARY, "serve", "--config", str(self.configure()), f"--grpc=0.0.0.0:{self.port}", "--http=127.0.0.1:0"]
        log = open(self.folder / "log", "a")
        self.process = subprocess.Popen(command, stderr=log)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None


def rendered(scaler, name, address, tolerance=True, authentication=None):
    """The ScaledObject as `tidetable render` prints it, made quick; without metrics-server its cpu trigger would stop every
    scale-down."""
    command = [BINARY, "render", "--config", str(scaler.configure()), name, "--scaler-address", address]
    text = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    made = json.loads(kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", given=text))
    spec = made["spec"]
    spec.update(pollingInterval=5, cooldownPeriod=5)
    spec["triggers"] = [trigger for trigger in spec["triggers"] if trigger["type"] == "external"]
    if authentication:
        spec["triggers"][0]["authenticationRef"] = {"name": authentication}
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    behavior["scaleDown"].update(stabilizationWindowSeconds=0, policies=[{"type": "Percent", "value": 100, "periodSeconds": 15}])
    if not tolerance:
        for way in behavior.values():
            way.pop("tolerance", None)
    return made


def deployment(name):
    pod = {"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}]}
    labels = {"app": name}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def mark_ready(stop):
    """What a kubelet would say of every pod."""
    while not stop.wait(1):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds]
        patch = json.dumps({"status": {"phase": "Running", "conditions": conditions}})
        for pod in json.loads(kubectl("get", "pods", "-o", "json"))["items"]:
            if not any(each["type"] == "Ready" for each in pod.get("status", {}).get("conditions", [])):
                kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "-p", patch, check=False)


def certificates(folder, host):
    """An authority, the scaler's certificate for `host`, and KEDA's."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=e2e")
    kind = "IP" if host.replace(".", "").isdigit() else "DNS"
    for name, alternative in (("server", f"{kind}:{host}"), ("client", "DNS:keda-operator.keda.svc")):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text(f"subjectAltName={alternative}\n")
        sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *sign)


def prove(scaler, address, folder):
    host = address.rsplit(":", 1)[0]
    need(5)
    scaler.start()
    kubectl("apply", "-f", str(ROOT / "charts/tidetable/crds"))
    apply(deployment("steady"), deployment("sleepy"), rendered(scaler, "steady", address))
    reach("steady", 5, "an answer moves ScaledObject, HPA and replicas")

    for replicas in (20, 21, 22, 21):
        need(replicas)
        reach("steady", replicas, f"{replicas} is reached exactly, with tolerance 0")

    for minute in range(11):
        replicas = round(5 + 35 * math.sin(math.pi * minute / 10))
        need(replicas)
        reach("steady", replicas, f"a day in ten steps: {replicas} at step {minute}")

    apply(rendered(scaler, "steady", address, tolerance=False))
    need(20)
    reach("steady", 20, "20 is reached without tolerance 0")
    need(21)
    time.sleep(60)
    if wanted("steady") != 20:
        sys.exit(f"failed: {wanted('steady')} replicas; an HPA without tolerance 0 does not see 21 after 20")
    proven("without tolerance 0 a step of a twentieth is not seen, as `check --online` says; there is no dead-band mode")
    apply(rendered(scaler, "steady", address))
    reach("steady", 21, "and is seen with it")

    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    hold = {"replicas": 30, "until": until, "reason": "end-to-end test"}
    surge = {"apiVersion": "tidetable.dev/v1alpha1", "kind": "SurgeEvent", "metadata": {"name": "hold"}}
    apply({**surge, "spec": {"targets": ["steady"], "hold": hold}})
    reach("steady", 30, "a SurgeEvent's hold is reached")
    kubectl("delete", "surgeevent", "hold")
    reach("steady", 21, "and let go")
    endless = json.dumps({**surge, "spec": {"targets": ["steady"], "hold": {"replicas": 30, "reason": "no end"}}})
    if subprocess.run(["kubectl", "-n", NAMESPACE, "apply", "-f", "-"], input=endless, text=True, capture_output=True, check=False).returncode == 0:
        sys.exit("failed: the API server took a hold without an end")
    proven("a hold without an end is refused")

    scaler.stop()
    time.sleep(60)
    if wanted("steady") != 21:
        sys.exit(f"failed: {wanted('steady')} replicas while the scaler was away")
    proven("replicas hold while the scaler is away")
    scaler.start()
    need(24)
    reach("steady", 24, "and move again when it is back", within=240)  # KEDA's connection backs off for up to 2 min

    need(0)
    apply(rendered(scaler, "sleepy", address))
    reach("sleepy", 0, "no load, no replica, where the minimum is 0")
    need(7)
    reach("sleepy", 7, "and back from zero")

    certificates(folder, host)
    scaler.stop()
    scaler.tls = {
        "cert": str(folder / "server.crt"),
        "key": str(folder / "server.key"),
        "clientCa": str(folder / "ca.crt"),
        "allowedNames": ["keda-operator.keda.svc"],
    }
    scaler.start()
    files = {"ca.crt": "ca.crt", "tls.crt": "client.crt", "tls.key": "client.key"}
    secret = {key: (folder / name).read_text() for key, name in files.items()}
    parameters = {"caCert": "ca.crt", "tlsClientCert": "tls.crt", "tlsClientKey": "tls.key"}
    references = [{"parameter": parameter, "name": "client", "key": key} for parameter, key in parameters.items()]
    apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "client"}, "stringData": secret},
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": "client"},
            "spec": {"secretTargetRef": references},
        },
        rendered(scaler, "steady", address, authentication="client"),
    )
    need(12)
    reach("steady", 12, "with certificates on both sides", within=240)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mark-ready", action="store_true", help="play the kubelet: there is none")
    parser.add_argument("--keep", action="store_true", help="leave the namespace")
    options = parser.parse_args()
    address = os.environ.get("SCALER_ADDRESS") or sys.exit("say where KEDA reaches this machine: SCALER_ADDRESS=host:port")
    if "KUBECONFIG" not in os.environ:
        sys.exit("say which cluster: KUBECONFIG=…; none is taken by accident")
    source = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Load)
    threading.Thread(target=source.serve_forever, daemon=True).start()
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], check=True)
    stop = threading.Event()
    if options.mark_ready:
        threading.Thread(target=mark_ready, args=[stop], daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as last:
        folder = pathlib.Path(folder)
        scaler = Scaler(folder, address, f"http://127.0.0.1:{source.server_port}")
        if not options.keep:
            last.callback(subprocess.run, ["kubectl", "delete", "namespace", NAMESPACE, "--wait=false"], check=False)
        last.callback(scaler.stop)
        last.callback(stop.set)
        prove(scaler, address, folder)
    print("all is proven")


main()
