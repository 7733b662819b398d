"""
The service's errors: `{"error": {"code", "message", "metadata"}}`, the code equal to the HTTP status.

An availability error also says in `error.availability` whether asking again can help.
"""

from collections.abc import Mapping
from typing import Any

from emulators.openrouter.wire import Json, WireResponse

# Status -> (error_type, message), as the service's table of statuses words them. 409 and 504 have no type of their own.
MEANINGS = {
    400: ("invalid_request", "Bad request"),
    401: ("authentication", "No auth credentials found"),
    402: ("payment_required", "Insufficient credits"),
    403: ("permission_denied", "Forbidden"),
    404: ("not_found", "Not found"),
    408: ("timeout", "Request timed out"),
    409: ("unmapped", "Conflict"),
    412: ("precondition_failed", "Precondition failed"),
    413: ("payload_too_large", "Payload too large"),
    422: ("unprocessable", "Unprocessable entity"),
    429: ("rate_limit_exceeded", "Rate limit exceeded"),
    500: ("server", "Internal server error"),
    502: ("provider_unavailable", "Provider returned error"),
    503: ("provider_overloaded", "No provider available"),
    504: ("timeout", "Gateway timeout"),
    524: ("timeout", "Edge network timeout"),
    529: ("provider_overloaded", "Provider overloaded"),
}
# Code -> (status, message).
AVAILABILITIES = {
    "model_not_found": (400, "The model does not exist"),
    "wrong_endpoint": (400, "The model is not served at this endpoint"),
    "no_endpoints": (404, "No endpoints found for the model"),
    "model_deprecated": (404, "The model has been deprecated"),
    "model_unavailable_upstream": (404, "The model is no longer available from its provider"),
    "privacy_restricted": (404, "No endpoints found matching your data policy"),
    "constraint_filtered": (404, "No endpoints found that can handle the requested parameters"),
    "free_variant_ended": (404, "The free variant of the model has ended"),
    "region_restricted": (403, "The model is not available in your region"),
    "capacity_exhausted": (429, "The model is at capacity"),
    "temporarily_unavailable": (503, "The model is temporarily unavailable"),
}
RETRYABLE = frozenset({"capacity_exhausted", "temporarily_unavailable"})
ERROR_TYPES = frozenset(
    {
        *("context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded", "string_too_long"),
        *("content_policy_violation", "refusal", "invalid_prompt"),
        *(error_type for error_type, _ in MEANINGS.values()),
    }
)


class ServiceError(Exception):
    """A request the service refuses or fails: raised anywhere, answered by `response`."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        retry_after: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        error_type, usual_message = MEANINGS[status]
        super().__init__(message or usual_message)
        self.status = status
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        self.error: Json = {
            "code": status,
            "message": message or usual_message,
            "metadata": {"error_type": error_type, **(metadata or {})},
        }

    def response(self) -> WireResponse:
        return WireResponse({"error": self.error}, status_code=self.status, headers=self.headers)


def unavailable(
    code: str, models: list[str], message: str | None = None, *, retry_after: int | None = None, **details: Any
) -> ServiceError:
    """An availability error of *code* for the *models* asked for; *details* join its `availability`."""
    status, usual_message = AVAILABILITIES[code]
    error = ServiceError(status, message or usual_message, retry_after=retry_after)
    patience = {} if retry_after is None else {"retry_after": retry_after}
    error.error |= {
        "error_type": error.error["metadata"]["error_type"],
        "http_status": status,
        "availability": {
            "code": code,
            "retryable": code in RETRYABLE,
            **patience,
            "requested_models": models,
            **details,
        },
    }
    return error
