"""Errors of servers that speak OpenAI's APIs, as they are documented and as products send them."""

STATUS_FAULTS = {
    "400": (
        400,
        {"message": "Unknown parameter: 'x'.", "type": "invalid_request_error", "code": "unknown_parameter"},
    ),
    "401": (
        401,
        {
            "message": "Incorrect API key provided: {key}.",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        },
    ),
    "403": (
        403,
        {"message": "Your project has no access to this model.", "type": "permission_error", "code": None},
    ),
    "404": (
        404,
        {
            "message": "The model `x` does not exist.",
            "type": "invalid_request_error",
            "code": "model_not_found",
        },
    ),
    "408": (408, {"message": "Request timeout.", "type": "timeout", "code": None}),
    "413": (413, {"message": "Payload is over the limit.", "type": "invalid_request_error", "code": None}),
    "429": (
        429,
        {"message": "Rate limit reached for {key}.", "type": "requests", "code": "rate_limit_exceeded"},
    ),
    "429-date": (429, {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}),
    "quota": (
        429,
        {"message": "You exceeded your quota.", "type": "insufficient_quota", "code": "insufficient_quota"},
    ),
    "500": (500, {"message": "The server had an error.", "type": "server_error", "code": None}),
    "502": (502, {"message": "Bad gateway.", "type": "server_error", "code": None}),
    "503": (503, {"message": "Loading model.", "type": "server_error", "code": None}),
    "504": (504, {"message": "Gateway timeout.", "type": "server_error", "code": None}),
    "529": (529, {"message": "Overloaded.", "type": "overloaded_error", "code": None}),
    "context": (
        400,
        {
            "message": "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        },
    ),
    "context-vllm": (
        400,
        {
            "message": "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    "image": (
        400,
        {"message": "image exceeds 5 MB maximum: 7 MB", "type": "invalid_request_error", "code": None},
    ),
    "flat-vllm": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "context-llama.cpp": (
        400,
        {
            "code": 400,
            "message": "request (9000 tokens) exceeds the available size (4096 tokens)",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 9000,
            "n_ctx": 4096,
        },
    ),
    "tier": (
        429,
        {
            "message": "Request too large for gpt-x in organization org-x on tokens per min (TPM): Limit 30000, Requested 50000.",
            "type": "tokens",
            "code": "rate_limit_exceeded",
        },
    ),
    "flagged": (
        400,
        {
            "message": "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_prompt",
        },
    ),
    "schema": (
        400,
        {
            "message": "Invalid schema for response_format 'answer': schema must be a JSON Schema of 'type: \"object\"'.",
            "type": "invalid_request_error",
            "param": "response_format",
            "code": None,
        },
    ),
    "filtered": (
        400,
        {"message": "The prompt was filtered.", "type": "invalid_request_error", "code": "content_filter"},
    ),
}
"""Faults that are an HTTP status and an error object; ``{key}`` quotes the Authorization header, as careless servers do."""
