"""A stand-in for Microsoft Entra ID's token endpoints and for Azure Data Lake Storage Gen2: there is
no Azure here. Answers have the shape of the public documentation's:
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/filesystem/get-properties
"""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any, Optional

from stand_in import Answer, Authority, Request, StandIn

TENANT = "00000000-1111-2222-3333-444444444444"
CLIENT = "55555555-6666-7777-8888-999999999999"
ACCESS_TOKEN = "eyJ0.the-access-token-of-the-stand-in.sig"

# Code → error, HTTP status, beginning of the description.
FAILURES = {
    7000215: (
        "invalid_client",
        401,
        "Invalid client secret provided. Ensure the secret being sent"
        " in the request is the client secret value, not the client secret ID, for a secret"
        f" added to app '{CLIENT}'.",
    ),
    7000222: (
        "invalid_client",
        401,
        f"The provided client secret keys for app '{CLIENT}' are expired.",
    ),
    700016: (
        "unauthorized_client",
        400,
        f"Application with identifier '{CLIENT}' was not found in the directory 'Example'.",
    ),
    90002: ("invalid_request", 400, f"Tenant '{TENANT}' not found."),
    700213: (
        "invalid_client",
        401,
        "No matching federated identity record found for presented"
        " assertion subject 'system:serviceaccount:spark:x'.",
    ),
    90014: ("invalid_request", 400, "The required field 'scope' is missing from the credential."),
}


class AzureStandIn(StandIn):
    """Issues a token for secret or assertion, unless token_error is a code of FAILURES, and has the
    containers, unless storage_error is a (status, x-ms-error-code)."""

    def __init__(
        self,
        authority: Authority,
        *,
        secret: str = "",
        assertion: str = "",
        containers: tuple[str, ...] = ("lake",),
        token_error: int = 0,
        storage_error: Optional[tuple[int, str]] = None,
        padding: int = 0,
        delay: float = 0,
        clock_offset: float = 0,
    ) -> None:
        self.secret, self.assertion, self.containers = secret, assertion, containers
        self.token_error, self.storage_error, self.padding = token_error, storage_error, padding
        super().__init__(authority, delay=delay, clock_offset=clock_offset)

    def _json(self, status: int, value: Any) -> Answer:
        body = b" " * self.padding + json.dumps(value).encode()
        return Answer(status, body, {"Content-Type": "application/json; charset=utf-8"})

    def _failure(self, code: int) -> Answer:
        error, status, text = FAILURES[code]
        trace, correlation = "6f3b6a4e-0000-4000-8000-000000000001", "6f3b6a4e-0000-4000-8000-02"
        when = "2026-11-22 10:00:00Z"
        description = (
            f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {when}"
        )
        body = {
            **{"error": error, "error_description": description, "error_codes": [code]},
            **{"timestamp": when, "trace_id": trace, "correlation_id": correlation},
            "error_uri": f"https://login.microsoftonline.com/error?code={code}",
        }
        return self._json(status, body)

    def _token(self, request: Request, is_v2: bool) -> Answer:
        form = dict(urllib.parse.parse_qsl(request.body, strict_parsing=True))
        storage = "https://storage.azure.com/"
        if self.token_error:
            return self._failure(self.token_error)
        assert form["grant_type"] == "client_credentials"
        if form.get("scope") != f"{storage}.default" if is_v2 else form.get("resource") != storage:
            return self._failure(90014)
        if form["client_id"] != CLIENT:
            return self._failure(700016)
        if self.assertion:
            jwt = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            assert form["client_assertion_type"] == jwt and "client_secret" not in form
            if form["client_assertion"] != self.assertion:
                return self._failure(700213)
        elif form["client_secret"] != self.secret:
            return self._failure(7000215)
        token = {"token_type": "Bearer", "access_token": ACCESS_TOKEN}
        if is_v2:
            return self._json(200, {**token, "expires_in": 3599, "ext_expires_in": 3599})
        times = {
            "expires_in": "3599",
            "ext_expires_in": "3599",
            "expires_on": "1",
            "not_before": "1",
        }
        return self._json(200, {**token, **times, "resource": storage})

    def _container(self, request: Request, name: str) -> Answer:
        status, code = self.storage_error or (200, "")
        if request.headers.get("Authorization") != f"Bearer {ACCESS_TOKEN}":
            status, code = 401, "InvalidAuthenticationInfo"
        elif not code and name not in self.containers:
            status, code = 404, "FilesystemNotFound"
        headers = {"x-ms-request-id": "6f3b6a4e-0000-4000-8000-000000000003"}
        headers["x-ms-version"] = request.headers["x-ms-version"]
        if code:
            return Answer(status, b"", {**headers, "x-ms-error-code": code})
        return Answer(status, b"", {**headers, "x-ms-namespace-enabled": "true"})

    def answer(self, request: Request) -> Answer:
        login = re.fullmatch(rf"/{TENANT}/oauth2/(v2\.0/)?token", request.path)
        if request.method == "POST" and login:
            return self._token(request, login.group(1) is not None)
        storage = re.fullmatch(r"/([^/?]+)\?resource=filesystem", request.path)
        if request.method == "HEAD" and storage:
            return self._container(request, storage.group(1))
        return self._failure(90002)
