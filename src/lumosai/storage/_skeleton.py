"""What the events of most runs have in common: the dictionary that they are compressed against.

A stored format: what was compressed against it can be read with these very bytes only. Another one is of another form.
"""

from __future__ import annotations

from typing import Final

_HEAD: Final = '","parent_run_id":null,"seq":1,"at":17,"span_id":"","parent_span_id":"","agent":"assistant",'

SKELETON: Final = f"""
{{"type":"error","run_id":"{_HEAD}"error_type":"ModelConnectionError","message":"","retryable":true,"result":{{"run_id":"",\
"finish_reason":"error","thread_id":"
{{"type":"run_cancelled","run_id":"{_HEAD}"reason":"cancelled","result":{{"run_id":"","finish_reason":"cancelled",
{{"type":"run_paused","run_id":"{_HEAD}"reason":"approval","pending":[{{"type":"tool_call","id":"call_
{{"type":"run_resumed","run_id":"{_HEAD}"epoch":2}}
{{"type":"approval_requested","run_id":"{_HEAD}"call":{{"type":"tool_call","id":"call_","arguments_hash":"","expires_at":
{{"type":"approval_resolved","run_id":"{_HEAD}"call_id":"","decision":"granted","by":"","reason":""
{{"type":"retrying","run_id":"{_HEAD}"what":"model","attempt":2,"reason":"","delay_s":0.5,"discard":true}}
{{"type":"model_changed","run_id":"{_HEAD}"from":"","to":"","tool_mode":"text","reason":"","discard":true}}
{{"type":"output_complete","run_id":"{_HEAD}"value":{{"
{{"type":"output_delta","run_id":"{_HEAD}"attempt":1,"delta":"
{{"type":"input_received","run_id":"{_HEAD}"message":{{"role":"user","parts":[{{"type":"text","text":"
{{"type":"tool_progress","run_id":"{_HEAD}"call_id":"call_","text":"
{{"type":"image","data":"","media_type":"image/png"}},{{"type":"reasoning","text":"","signature":"","provider":"
{{"type":"run_started","run_id":"","root_id":"","parent_run_id":null,"seq":1,"at":17,"span_id":"","parent_span_id":null,\
"agent":"assistant","v":1,"agent_version":"","definition_hash":"","input":[{{"role":"user","parts":[{{"type":"text",\
"text":""}}],"id":"01"}}],"settings":{{}},"limits":{{"max_tool_calls":50,"max_input_tokens":null,"max_output_tokens":null,\
"max_total_tokens":null,"max_cost_usd":null,"deadline_s":null,"max_steps":10,"tool_timeout_s":30.0,"tool_concurrency":8,\
"max_tool_result_chars":50000,"max_output_retries":2,"max_identical_failures":3,"approval_wait_s":null}},"tool_choice":null,\
"output_schema":null,"model":"openai:gpt-","thread_id":"","branch":0,"resource_id":"","scope":{{"tenant":"","owner":""}},\
"save_to_memory":true,"memory_options":{{"last_messages":20}},"trace_id":"","parent_trace":"","deadline":17,"queued_ms":0.0
{{"type":"memory_recalled","run_id":"{_HEAD}"plan":[{{"kind":"history","message_id":"01"}},{{"kind":"input",\
"message_id":"01"}}],"count":20,"duration_ms":0.
{{"type":"memory_saved","run_id":"{_HEAD}"message_ids":["01"]}}
{{"type":"step_started","run_id":"{_HEAD}"index":0,"tool_mode":"native"}}
{{"type":"model_call_started","run_id":"{_HEAD}"model_call_id":"01","purpose":"answer","step":0,"attempt":1,\
"provider":"openai","model":"gpt-","endpoint":"https://api.openai.com/v1","settings":{{"temperature":0.0,\
"max_output_tokens":1000}},"system":"You are a helpful assistant.","tool_mode":"native","prompt_hashes":["","#01","#01"],\
"tools_hash":"
{{"type":"reasoning_delta","run_id":"{_HEAD}"message_id":"01","part":0,"delta":"
{{"type":"tool_call_delta","run_id":"{_HEAD}"message_id":"01","part":0,"call_id":"call_0","name":"","delta":"{{\\"
{{"type":"text_delta","run_id":"{_HEAD}"message_id":"01","part":0,"delta":"
{{"type":"model_call_complete","run_id":"{_HEAD}"model_call_id":"01","message":{{"role":"assistant","parts":[\
{{"type":"tool_call","id":"call_","name":"","arguments":{{"","signature":""}}],"id":"01"}},"response_id":"chatcmpl-","model":"",\
"usage":{{"input_tokens":100,"output_tokens":10,"reasoning_tokens":0,"cache_read_tokens":0,"cache_write_tokens":0,\
"total_tokens":110}},"cost_usd":"0.00","price_version":"20","finish_reason":"tool_calls","time_to_first_chunk_ms":0.,\
"duration_ms":1,"error":"","error_type":"
{{"type":"tool_call_start","run_id":"{_HEAD}"call":{{"type":"tool_call","id":"call_","name":"","arguments":{{}}}},\
"idempotency_key":"01:0:call_","queued_ms":0.0
{{"type":"tool_call_complete","run_id":"{_HEAD}"call_id":"call_","name":"","result":{{"type":"tool_result","call_id":"call_",\
"name":"","content":"","is_error":true}},"is_error":true,"error_type":"timeout","duration_ms":0.
{{"type":"model_call_complete","run_id":"{_HEAD}"model_call_id":"01","message":{{"role":"assistant","parts":[\
{{"type":"text","text":"."}}],"id":"01"}},"response_id":"chatcmpl-","model":"gpt-","usage":{{"input_tokens":10,"output_tokens":1,\
"total_tokens":11}},"cost_usd":"0.000","finish_reason":"stop","time_to_first_chunk_ms":1,"duration_ms":1
{{"type":"step_complete","run_id":"{_HEAD}"index":0,"usage":{{"input_tokens":10,"output_tokens":1,"total_tokens":11}},\
"duration_ms":1
{{"type":"generation_complete","run_id":"{_HEAD}"result":{{"run_id":"01","finish_reason":"stop","thread_id":"","message_ids":\
["01","01.r","01"],"steps":1,"tool_calls":1,"usage":{{"input_tokens":10,"output_tokens":1,"total_tokens":11}},\
"cost_usd":"0.00","model":"","duration_ms":1
""".encode()

_RUN: Final = '"run_id":"%(run)b","root_id":"%(run)b","parent_run_id":null,"seq":'


def _event(kind: str, rest: str, parent: str = '""') -> str:
    """The beginning of an event of a run with its commonest fields."""
    return f'{{"type":"{kind}",{_RUN}1,"at":17,"span_id":"","parent_span_id":{parent},"agent":"%(agent)b",{rest}\n'


def _top(kind: str, rest: str) -> str:
    """As `_event`, of one in the run's own span."""
    return _event(kind, rest, "null")


FRAME: Final = "".join(
    (
        _event(
            "error",
            '"error_type":"ModelConnectionError","message":"","retryable":true,"result":{"run_id":"%(run)b",'
            '"finish_reason":"error","thread_id":"',
        ),
        _top("run_cancelled", '"reason":"cancelled","result":{"run_id":"%(run)b","finish_reason":"cancelled",'),
        _top("run_paused", '"reason":"approval","pending":[{"type":"tool_call","id":"call_'),
        _top("run_resumed", '"epoch":2}'),
        _event("approval_requested", '"call":{"type":"tool_call","id":"call_","arguments_hash":"","expires_at":'),
        _event("approval_resolved", '"call_id":"","decision":"granted","by":"","reason":""'),
        _event("retrying", '"what":"model","attempt":2,"reason":"","delay_s":0.5,"discard":true}'),
        _event("model_changed", '"from":"","to":"","tool_mode":"text","reason":"","discard":true}'),
        _top("output_complete", '"value":{"'),
        _event("output_delta", '"attempt":1,"delta":"'),
        _top("input_received", '"message":{"role":"user","parts":[{"type":"text","text":"'),
        _event("tool_progress", '"call_id":"call_","text":"'),
        '{"type":"image","data":"","media_type":"image/png"},{"type":"reasoning","text":"","signature":"","provider":"',
        _event("reasoning_delta", '"message_id":"","part":0,"delta":"'),
        _event("tool_call_delta", '"message_id":"","part":0,"call_id":"call_","name":"","delta":"{\\"'),
        _event(
            "tool_call_start",
            '"call":{"type":"tool_call","id":"call_","name":"","arguments":{}},"idempotency_key":"%(run)b:0:call_",'
            '"queued_ms":0.0',
        ),
        _event(
            "tool_call_complete",
            '"call_id":"call_","name":"","result":{"type":"tool_result","call_id":"call_","name":"","content":"",'
            '"is_error":true},"is_error":true,"error_type":"timeout","duration_ms":0.',
        ),
        _top(
            "run_started",
            '"v":1,"agent_version":"","definition_hash":"%(definition)b","input":[{"role":"user","parts":[{"type":"text",'
            '"text":"',
        ),
        (
            '"}],"id":"%(first)b"}],"settings":{},"limits":{"max_tool_calls":50,"max_input_tokens":null,'
            '"max_output_tokens":null,"max_total_tokens":null,"max_cost_usd":null,"deadline_s":null,"max_steps":10,'
            '"tool_timeout_s":30.0,"tool_concurrency":8,"max_tool_result_chars":50000,"max_output_retries":2,'
            '"max_identical_failures":3,"approval_wait_s":null},"tool_choice":null,"output_schema":null,'
            '"model":"openai:gpt-","thread_id":"%(thread)b","branch":0,"resource_id":"","scope":{"tenant":"","owner":""},'
            '"save_to_memory":true,"memory_options":{"last_messages":20},"branch":0,"scope":{},"trace_id":"",'
            '"parent_trace":"","deadline":17,"queued_ms":0.0\n'
        ),
        _top(
            "memory_recalled",
            '"plan":[{"kind":"system","tokens":9,"reason":"instructions","role":"system"},],"count":10,"duration_ms":0.1,'
            '"tokens":100,"counted":"estimate"}',
        ),
        "history\thistory\tuser\nhistory\thistory\tassistant\ninput\tasked now\tuser",
        _top("memory_saved", '"message_ids":["%(first)b"]}'),
        _event("step_started", '"index":0,"tool_mode":"native"}'),
        _event(
            "model_call_started",
            '"model_call_id":"01","purpose":"answer","step":0,"attempt":1,"provider":"openai","model":"gpt-",'
            '"endpoint":"https://api.openai.com/v1","settings":{"temperature":0.0,"max_output_tokens":1000},"system":"You '
            'are a helpful assistant.","tool_mode":"native","tools_hash":"","endpoint":"","settings":{},"system":"',
        ),
        '","prompt_hashes":["%(hashes)b#%(prompt)b"],"tools_hash":"',
        (
            '{"type":"tool_call","id":"call_","name":"","arguments":{"","signature":""}}],"id":"01"},'
            '"response_id":"chatcmpl-","model":"","usage":{"input_tokens":100,"output_tokens":10,"reasoning_tokens":0,'
            '"cache_read_tokens":0,"cache_write_tokens":0,"total_tokens":110},"cost_usd":"0.00","price_version":"20",'
            '"finish_reason":"tool_calls","time_to_first_chunk_ms":0.,"duration_ms":1,"error":"","error_type":"'
        ),
        _event("text_delta", '"message_id":"%(last)b","part":0,"delta":"'),
        _event(
            "model_call_complete",
            '"model_call_id":"01","message":{"role":"assistant","parts":[{"type":"text","text":"',
        ),
        (
            '"}],"id":"%(last)b"},"response_id":"chatcmpl-","model":"gpt-","usage":{},"usage":{"input_tokens":10,'
            '"output_tokens":1,"total_tokens":11},"cost_usd":"0.000","finish_reason":"stop","time_to_first_chunk_ms":1.1,'
            '"duration_ms":1.1}\n'
        ),
        _event("step_complete", '"index":0,"usage":{},"duration_ms":1.1}'),
        _top("memory_saved", '"message_ids":["%(last)b"]}'),
        _top(
            "generation_complete",
            '"result":{"run_id":"%(run)b","finish_reason":"stop","thread_id":"%(thread)b","message_ids":["%(own)b"],'
            '"steps":1,"tool_calls":1,"usage":{},"usage":{"input_tokens":10,"output_tokens":1,"total_tokens":11},'
            '"cost_usd":"0.00","model":"gpt-","duration_ms":1.1}}',
        ),
    )
).encode()
"""The same of one run: its own id, agent, definition, thread and messages stand where `%` and a name do."""
