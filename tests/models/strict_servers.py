"""What the servers of `/chat/completions` refuse, as functions of a request: the refusal's status and body, or None.

Written by their documentation, their validators and the errors that their users report; each says which. Used with
`ChatServer`, so that a request which the real server would refuse is refused in a test, in the very words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.servers import Reply, Request

Refusal = tuple[int, dict[str, Any]] | None
Check = Callable[[dict[str, Any], str], Refusal]


def strict(check: Check, *replies: Reply) -> Callable[[Request], Reply]:
    """A script for `ChatServer`: what `check` refuses is refused, else the replies come in order, the last repeated."""
    left = list(replies or [Reply("ok")])

    def answer(request: Request) -> Reply:
        refusal = check(request.json or {}, request.path)
        if refusal is not None:
            return Reply(status=refusal[0], body=json.dumps(refusal[1], ensure_ascii=False).encode())
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def _said(message: str, status: int = 400, **more: Any) -> Refusal:
    return status, {"error": {"message": message, "type": "invalid_request_error", **more}}


def _assistants(body: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    return [(i, m) for i, m in enumerate(body["messages"]) if m["role"] == "assistant"]


def _forced(body: dict[str, Any]) -> bool:
    return body.get("tool_choice", "auto") not in ("auto", "none")


# Mistral: mistral-common's `protocol/instruct/validator.py` in serving mode, and the API's models, which forbid extras.

_MISTRAL = set(
    "model temperature top_p max_tokens stream stop random_seed metadata messages response_format tools tool_choice"
    " presence_penalty frequency_penalty n prediction parallel_tool_calls prompt_mode reasoning_effort guardrails"
    " safe_prompt".split()
)
_AFTER = {
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}


def mistral(body: dict[str, Any], _path: str) -> Refusal:
    for key in body:
        if key not in _MISTRAL:
            problem = {"type": "extra_forbidden", "loc": ["body", key], "msg": "Extra inputs are not permitted"}
            return 422, {"detail": [problem]}
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("auto", "none", "any"):
        problem = {"type": "enum", "loc": ["body", "tool_choice"], "msg": "Input should be 'auto', 'none' or 'any'"}
        return 422, {"detail": [problem]}
    if body.get("reasoning_effort", "high") not in ("none", "high"):
        return 422, {"detail": [{"loc": ["body", "reasoning_effort"], "msg": "Input should be 'none' or 'high'"}]}
    wrong = _mistral_messages(body["messages"])
    return (
        (400, {"object": "error", "message": wrong, "type": "invalid_request_error", "code": "3230"}) if wrong else None
    )


def _mistral_messages(messages: Sequence[dict[str, Any]]) -> str:
    waiting = 0
    for number, message in enumerate(messages):
        role, last = message["role"], number == len(messages) - 1
        before = messages[number - 1]["role"] if number else None
        if before is not None and role not in _AFTER[before]:
            return f"Unexpected role '{role}' after role '{before}'"
        if role == "tool":
            waiting -= 1
            if not re.fullmatch(r"[a-zA-Z0-9]{9}", message["tool_call_id"]):
                return f"Tool call id was {message['tool_call_id']} but must be a-z, A-Z, 0-9, with a length of 9."
        if role == "assistant":
            calls = message.get("tool_calls") or ()
            if not message.get("content") and not calls:
                return "Assistant message must have either content or tool_calls, but not none."
            if waiting:
                return "Not the same number of function calls and responses"
            waiting = len(calls)
            for call in calls:
                if not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]):
                    return f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."
            if last and not message.get("prefix"):
                return "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
        if message.get("prefix") and not last:
            return "Assistant message with prefix True must be last message"
    return "Not the same number of function calls and responses" if waiting else ""


def deepseek(body: dict[str, Any], path: str) -> Refusal:
    """https://api-docs.deepseek.com/guides/thinking_mode and …/guides/chat_prefix_completion."""
    thinks = (
        body.get("thinking", {"type": "disabled" if body["model"] == "deepseek-chat" else "enabled"})["type"]
        == "enabled"
    )
    format_ = (body.get("response_format") or {}).get("type", "text")
    if format_ not in ("text", "json_object"):
        return _said("This response_format type is unavailable now", code="invalid_request_error")
    if thinks and _forced(body):
        return _said("Thinking mode does not support this tool_choice")
    for _, message in _assistants(body):
        if thinks and message.get("tool_calls") and not message.get("reasoning_content"):
            return _said("The reasoning_content in the thinking mode must be passed back to the API.")
        if message.get("prefix") and not path.startswith("/beta/"):
            return _said("prefix is only supported by the beta API, set base_url to https://api.deepseek.com/beta")
    return None


def deepseek_r1(body: dict[str, Any], _path: str) -> Refusal:
    """The reasoner as it was until V3.2: "if the `reasoning_content` field is included … the API will return a 400"."""
    if any("reasoning_content" in m for m in body["messages"]):
        return _said("The reasoning_content is not allowed in the input messages: remove the reasoning_content field")
    return None


def zhipu(body: dict[str, Any], _path: str) -> Refusal:
    """https://docs.z.ai/api-reference/llm/chat-completion; code 1214 of https://docs.bigmodel.cn/cn/api/api-code."""
    if body.get("tool_choice", "auto") != "auto":
        return _said("Tool choice must be auto", code="1210")
    if not any(m["role"] == "user" for m in body["messages"]):
        return 400, {"error": {"code": "1214", "message": "messages 参数非法。请检查文档。"}}
    if any(not m.get("content") and not m.get("tool_calls") for _, m in _assistants(body)):
        return 400, {"error": {"code": "1214", "message": "messages 参数非法。请检查文档。"}}
    return None


def qwen(body: dict[str, Any], _path: str) -> Refusal:
    """https://help.aliyun.com/en/model-studio/deep-thinking and …/partial-mode."""
    name = body["model"]
    only = re.search(r"^(qwq|qvq)|-thinking", name) is not None
    thinks = only or body.get("enable_thinking", re.search(r"^qwen3-\d", name) is not None)
    if only and not body.get("stream"):
        return _said("This model only support stream mode, please enable the stream parameter to access the model.")
    if thinks and not body.get("stream"):
        return _said("parameter.enable_thinking must be set to false for non-streaming calls")
    if thinks and _forced(body):
        return _said(
            "The tool_choice parameter does not support being set to required or object in thinking mode",
            code="invalid",
        )
    if any("partial" in m for m in body["messages"]) and thinks:
        return _said("Partial mode is not supported when enable_thinking is true")
    return None


def moonshot(body: dict[str, Any], _path: str) -> Refusal:
    """https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model, and its errors as users report them."""
    name = body["model"]
    always = "thinking" in name or re.search(r"kimi-k[3-9]", name) is not None
    switch = re.search(r"kimi-k2\.[5-9]", name) is not None
    thinks = always or (switch and body.get("thinking", {"type": "enabled"})["type"] == "enabled")
    if re.search(r"kimi-(k2\.[5-9]|k[3-9])", name) and body.get("temperature", 1) != 1:
        return _said("invalid temperature: only 1 is allowed for this model")
    if "thinking" in body and "reasoning_effort" in body:
        return _said("cannot specify both 'thinking' and 'reasoning_effort'")
    if thinks and _forced(body):
        return _said("tool_choice 'required' is incompatible with thinking enabled")
    for number, message in _assistants(body):
        if thinks and message.get("tool_calls") and not message.get("reasoning_content"):
            return _said(
                f"thinking is enabled but reasoning_content is missing in assistant tool call message at index {number}"
            )
        if not message.get("content") and not message.get("tool_calls"):
            return _said(f"Invalid request: the message at position {number} with role 'assistant' must not be empty")
    return None


def groq(body: dict[str, Any], _path: str) -> Refusal:
    """https://console.groq.com/docs/openai and …/docs/reasoning; properties of messages as its errors name them."""
    known = {"role", "content", "tool_calls", "tool_call_id"}
    if "gpt-oss" in body["model"]:
        known.add("reasoning")
        if "reasoning_format" in body:
            return _said("reasoning_format is not supported with this model")
    for number, message in enumerate(body["messages"]):
        for key in message:
            if key not in known:
                at = f"messages.{number}"
                return _said(
                    f"'{at}' : for 'role:{message['role']}' the following must be satisfied"
                    f"[('{at}' : property '{key}' is unsupported)]"
                )
    efforts = ("low", "medium", "high") if "gpt-oss" in body["model"] else ("none", "default")
    if body.get("reasoning_effort", efforts[0]) not in efforts:
        return _said(f"reasoning_effort must be one of {', '.join(efforts)}")
    if "qwen" in body["model"] and body.get("tools") and body.get("reasoning_format", "raw") == "raw":
        return _said("reasoning_format must be one of parsed or hidden when tools are used")
    return None


def cohere(body: dict[str, Any], _path: str) -> Refusal:
    """https://docs.cohere.com/docs/compatibility-api."""
    for key in ("parallel_tool_calls", "n", "logit_bias", "store", "metadata", "top_logprobs"):
        if key in body:
            return _said(f"{key} is not supported by the compatibility API")
    if body.get("reasoning_effort", "none") not in ("none", "high"):
        return _said("reasoning_effort must be 'none' or 'high'")
    return None


def xai(body: dict[str, Any], _path: str) -> Refusal:
    """https://docs.x.ai/docs/guides/reasoning: the effort is known to few models."""
    takes = re.search(r"grok-3-mini|grok-4\.[3-9](?!\d)", body["model"]) is not None
    if "reasoning_effort" in body and not takes:
        return 400, {
            "code": "invalid-argument",
            "error": f"Model {body['model']} does not support parameter reasoningEffort.",
        }
    return None


def snowflake(body: dict[str, Any], _path: str) -> Refusal:
    """https://docs.snowflake.com/en/user-guide/snowflake-cortex/open_ai_sdk."""
    if "max_tokens" in body:
        return _said("max_tokens is not supported, use max_completion_tokens instead")
    if body.get("tools") and not body["model"].startswith(("claude", "openai-")):
        return _said("tools are not supported for this model")
    if (body.get("reasoning") or {}).get("effort") and body.get("temperature") != 1:
        return _said("`temperature` may only be set to 1 when thinking is enabled")
    return None


def template(body: dict[str, Any], _path: str) -> Refusal:
    """A model whose chat template insists on turns (Gemma, Mistral's own), behind llama.cpp: an internal error."""
    spoken = 0
    for number, message in enumerate(body["messages"]):
        if message["role"] == "system":
            if number:
                return _said("Jinja Exception: System message must be at the beginning.", 500, code=500)
        elif message["role"] == "user" or (message["role"] == "assistant" and not message.get("tool_calls")):
            if (message["role"] == "user") != (spoken % 2 == 0):
                return _said(
                    "Jinja Exception: After the optional system message, conversation roles must alternate user and "
                    "assistant roles except for tool calls and results.",
                    500,
                    code=500,
                )
            spoken += 1
    return None


def no_prefill(body: dict[str, Any], _path: str) -> Refusal:
    """Claude behind a gateway."""
    if body["messages"][-1]["role"] == "assistant":
        return _said(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    return None
