"""A stand-in for the Kubernetes API server: no cluster runs here. It answers what sparkpod asks as
https://kubernetes.io/docs/reference/ says: SelfSubjectAccessReview, the metadata of objects, lists
in pages, and deletions."""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.parse
from typing import Any, Mapping, Optional, Sequence

from stand_in import Answer, Authority, Request, StandIn

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

# In a pod's place, with a service account's folder where every pod has it.
IN_POD = """
mount -t tmpfs none /var/run && mkdir -p "$(dirname "$FOLDER")" && cp -r "$ACCOUNT" "$FOLDER" &&
exec "$@"
"""

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

Metadata = dict[str, Any]


def metadata(
    name: str, labels: Mapping[str, str], owner: str = "", *, ending: bool = False
) -> Metadata:
    """Return the metadata of an object that the pod with the uid owner owns."""
    value: Metadata = {"name": name, "uid": f"uid-of-{name}", "labels": dict(labels)}
    if owner:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": "driver", "uid": owner}
        value["ownerReferences"] = [{**reference, "controller": True}]
    if ending:
        value["deletionTimestamp"] = "2026-11-22T00:00:00Z"
    return value


def executor(name: str, uid: str, app: str = "spark-1", *, ending: bool = False) -> Metadata:
    """An executor's pod of the driver in the pod with that uid."""
    labels = {"spark-role": "executor", "spark-app-selector": app, "sparkpod-driver-uid": uid}
    return metadata(name, labels, uid, ending=ending)


def config_map(name: str, uid: str, app: str = "spark-1") -> Metadata:
    """A ConfigMap of executors, as the driver makes one."""
    return metadata(name, {"spark-role": "executor", "spark-app-selector": app}, uid)


def claim(name: str, uid: str, app: str = "spark-1") -> Metadata:
    """A claim that the driver owns."""
    return metadata(name, {"spark-app-selector": app}, uid)


def chosen(item: Metadata, selector: str) -> bool:
    """Say whether a label selector (KEY=VALUE or KEY, comma-separated) chooses an object."""
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if key not in item["labels"] or (equals and item["labels"][key] != value):
            return False
    return True


class KubernetesStandIn(StandIn):
    """Allows what is not in denied (resource → verbs), has objects ("pods/NAME") in a namespace,
    and lets nobody read the resources in unreadable. What is in store (resource → metadata) can be
    listed and deleted. The first requests get the statuses in failing; of the continue tokens, the
    first few (expired) are too old."""

    def __init__(
        self,
        authority: Authority,
        *,
        token: str,
        namespace: str = "spark",
        denied: Optional[Mapping[str, set[str]]] = None,
        objects: tuple[str, ...] = (),
        unreadable: tuple[str, ...] = (),
        padding: int = 0,
        delay: float = 0,
        store: Optional[Mapping[str, Sequence[Metadata]]] = None,
        failing: Sequence[int] = (),
        expired: int = 0,
    ) -> None:
        self.token, self.namespace = token, namespace
        self.denied = dict(denied or {})
        self.objects, self.unreadable, self.padding = objects, unreadable, padding
        self.store = {
            resource: {item["name"]: item for item in items}
            for resource, items in (store or {}).items()
        }
        self.failing, self.expired = list(failing), expired
        self._lock = threading.Lock()
        super().__init__(authority, delay=delay)

    def reviews(self) -> set[tuple[str, str]]:
        """Return what was asked for: (resource, verb)."""
        bodies = [json.loads(r.body) for r in self.requests if r.path == REVIEWS]
        found = [body["spec"]["resourceAttributes"] for body in bodies]
        return {(item["resource"], item["verb"]) for item in found}

    def names(self, resource: str) -> set[str]:
        """Return what is there of a resource and not being deleted."""
        with self._lock:
            items = list(self.store.get(resource, {}).values())
        return {item["name"] for item in items if "deletionTimestamp" not in item}

    def put(self, resource: str, item: Metadata) -> None:
        """Make an object."""
        with self._lock:
            self.store.setdefault(resource, {})[item["name"]] = item

    def _failure(self, code: int, reason: str, message: str) -> Answer:
        status = {
            **{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"},
            **{"message": message, "reason": reason, "code": code},
        }
        return self._json(code, status)

    def _json(self, code: int, value: Any) -> Answer:
        body = b" " * self.padding + json.dumps(value).encode()
        return Answer(code, body, {"Content-Type": "application/json"})

    def answer(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._failure(401, "Unauthorized", "Unauthorized")
        if self.failing:
            return self._failure(self.failing.pop(0), "InternalError", "an error on the server")
        if request.method == "POST" and request.path == REVIEWS:
            return self._review(request)
        path, _, query = request.path.partition("?")
        match = re.fullmatch(r"/api/v1/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?", path)
        if not match:
            return self._failure(404, "NotFound", "the server could not find this resource")
        namespace, resource, name = match.groups()
        options = dict(urllib.parse.parse_qsl(query))
        verbs = {"GET": ("list", "get"), "DELETE": ("deletecollection", "delete")}
        denied = verbs[request.method][bool(name)] in self.denied.get(resource, set())
        if namespace != self.namespace or resource in self.unreadable or denied:
            message = f'{resource} "{name}" is forbidden: User "system:serviceaccount:spark:x"'
            return self._failure(403, "Forbidden", message)
        with self._lock:
            if request.method == "DELETE":
                return self._delete(request, resource, name, options)
            if name:
                return self._get(request, resource, name)
            return self._list(request, resource, options)

    def _review(self, request: Request) -> Answer:
        review = json.loads(request.body)
        assert review["kind"] == "SelfSubjectAccessReview"
        assert request.headers["Content-Type"] == "application/json"
        wanted = review["spec"]["resourceAttributes"]
        denied = self.denied.get(wanted["resource"], set())
        allowed = wanted["namespace"] == self.namespace and wanted["verb"] not in denied
        reason = 'RBAC: allowed by RoleBinding "spark/spark"' if allowed else ""
        return self._json(201, {**review, "status": {"allowed": allowed, "reason": reason}})

    def _get(self, request: Request, resource: str, name: str) -> Answer:
        if f"{resource}/{name}" not in self.objects:
            return self._failure(404, "NotFound", f'{resource} "{name}" not found')
        assert "as=PartialObjectMetadata;" in request.headers["Accept"]
        kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        return self._json(200, {**kind, "metadata": {"name": name, "namespace": self.namespace}})

    def _list(self, request: Request, resource: str, options: Mapping[str, str]) -> Answer:
        assert "as=PartialObjectMetadataList;" in request.headers["Accept"]
        after = base64.b64decode(options.get("continue", "")).decode()
        if after and self.expired:
            self.expired -= 1
            return self._failure(410, "Expired", "The provided continue parameter is too old")
        selector, limit = options.get("labelSelector", ""), int(options["limit"])
        items = self.store.get(resource, {})
        left = [items[n] for n in sorted(items) if n > after and chosen(items[n], selector)]
        page, position = left[:limit], {"resourceVersion": "1"}
        if len(left) > limit:
            position["continue"] = base64.b64encode(page[-1]["name"].encode()).decode()
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        found = [{"metadata": item} for item in page] or None  # Go writes null for no items
        return self._json(200, {**kind, "metadata": position, "items": found})

    def _delete(
        self, request: Request, resource: str, name: Optional[str], options: Mapping[str, str]
    ) -> Answer:
        items, wanted = self.store.get(resource, {}), json.loads(request.body)
        assert (wanted["kind"], wanted["propagationPolicy"]) == ("DeleteOptions", "Background")
        if name is None:
            gone = [n for n, item in items.items() if chosen(item, options["labelSelector"])]
        elif name not in items:
            return self._failure(404, "NotFound", f'{resource} "{name}" not found')
        elif items[name]["uid"] != wanted["preconditions"]["uid"]:
            return self._failure(409, "Conflict", "the UID in the precondition does not match")
        else:
            gone = [name]
        for each in gone:
            del items[each]
        return self._json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
