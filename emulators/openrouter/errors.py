"""The service's errors: `{"error": {"code", "message", "metadata"}}`, the code equal to the HTTP status."""

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


class ServiceError(Exception):
    """A request the service refuses or fails: raised anywhere, answered by `response`."""

    def __init__(self, status: int, message: str | None = None, *, retry_after: int | None = None) -> None:
        error_type, usual_message = MEANINGS[status]
        super().__init__(message or usual_message)
        self.status = status
        self.retry_after = retry_after
        self.error: Json = {
            "code": status,
            "message": message or usual_message,
            "metadata": {"error_type": error_type},
        }

    def response(self) -> WireResponse:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return WireResponse({"error": self.error}, status_code=self.status, headers=headers)
