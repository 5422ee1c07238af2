"""A stand-in for the Kubernetes API server: no cluster runs here. It answers the requests of
`sparkpod check` as https://kubernetes.io/docs/reference/ says: SelfSubjectAccessReview, and the
metadata of objects."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping, Optional

from stand_in import Answer, Authority, Request, StandIn

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class KubernetesStandIn(StandIn):
    """Allows what is not in denied (resource → verbs), has objects ("pods/NAME") in a namespace,
    and lets nobody read the resources in unreadable."""

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
    ) -> None:
        self.token, self.namespace = token, namespace
        self.denied = dict(denied or {})
        self.objects, self.unreadable, self.padding = objects, unreadable, padding
        super().__init__(authority, delay=delay)

    def reviews(self) -> set[tuple[str, str]]:
        """Return what was asked for: (resource, verb)."""
        bodies = [json.loads(r.body) for r in self.requests if r.path == REVIEWS]
        found = [body["spec"]["resourceAttributes"] for body in bodies]
        return {(item["resource"], item["verb"]) for item in found}

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
        if request.method == "POST" and request.path == REVIEWS:
            review = json.loads(request.body)
            assert review["kind"] == "SelfSubjectAccessReview"
            assert request.headers["Content-Type"] == "application/json"
            wanted = review["spec"]["resourceAttributes"]
            allowed = wanted["namespace"] == self.namespace and wanted[
                "verb"
            ] not in self.denied.get(wanted["resource"], set())
            reason = 'RBAC: allowed by RoleBinding "spark/spark"' if allowed else ""
            return self._json(201, {**review, "status": {"allowed": allowed, "reason": reason}})
        match = re.fullmatch(r"/api/v1/namespaces/([^/]+)/([^/]+)/([^/]+)", request.path)
        if request.method == "GET" and match:
            namespace, resource, name = match.groups()
            if namespace != self.namespace or resource in self.unreadable:
                message = f'{resource} "{name}" is forbidden: User "system:serviceaccount:spark:x"'
                return self._failure(403, "Forbidden", message)
            if f"{resource}/{name}" not in self.objects:
                return self._failure(404, "NotFound", f'{resource} "{name}" not found')
            assert "as=PartialObjectMetadata" in request.headers["Accept"]
            kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            return self._json(200, {**kind, "metadata": {"name": name, "namespace": namespace}})
        return self._failure(404, "NotFound", "the server could not find the requested resource")
