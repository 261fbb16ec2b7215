"""The program that holds llama.cpp, in a process of its own: `_llama.py` starts it and speaks with it over pipes.

A process of its own, because the runtime's constructor holds the interpreter's lock for as long as it loads, because
what crashes it should not crash its user, and because its memory should come back when it ends. It imports nothing of
this package. One line of JSON comes in with the settings, one goes out with the address or the reason why not; then the
program serves until its standard input ends, which it does however the parent ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Loads, says where it serves, and waits for the end."""
    # Ctrl-C at a terminal reaches the whole group of processes; whether to end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.stdin.buffer.readline())
    told = os.fdopen(os.dup(1), "w")
    sys.stdout.flush()
    os.dup2(2, 1)
    try:
        server = serve(settings)
    except Exception as error:  # noqa: BLE001  # whatever the runtime raises is told to the parent
        told.write(json.dumps({"error": str(error) or type(error).__name__}) + "\n")
        told.flush()
        os._exit(1)
    if not settings["verbose"]:
        silence()
    told.write(json.dumps({"url": server.listening_address}) + "\n")
    told.close()
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)  # not through destructors: the runtime's waits until every open answer has ended


def serve(settings: dict[str, Any]) -> Any:
    """The runtime's server, loaded and listening."""
    sys.path.append(settings["packages"])
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.ui = False
    params.endpoint_slots = settings["slots"]
    params.verbosity = 3 if settings["verbose"] else 1
    params.n_ctx = settings["context_tokens"] * settings["parallel"]
    params.n_predict = settings["context_tokens"] // 2
    params.n_parallel = settings["parallel"]
    params.cache_ram_mib = settings["cache_mb"]
    params.sampling.temp = settings["temperature"]
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = settings["threads"]
    if settings["gpu_layers"] is not None:
        params.n_gpu_layers = settings["gpu_layers"]
    if settings["chat_template"] is not None:
        params.chat_template = settings["chat_template"]
    return xllamacpp.Server(params)


def silence() -> None:
    """Nothing more is written to the parent's terminal."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


if __name__ == "__main__":
    main()
