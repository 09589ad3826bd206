"""The OpenFeature SDK of Python with the provider that is asked for; README.md has the protocol."""

import json
import logging
import sys

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

logging.disable(logging.CRITICAL)


def provider(mode, host, port):
    if mode == "ofrep":
        return OFREPProvider(f"http://{host}:{port}")
    resolver = ResolverType.RPC if mode == "rpc" else ResolverType.IN_PROCESS
    return FlagdProvider(
        host=host, port=int(port), resolver_type=resolver, deadline_ms=5000, retry_backoff_max_ms=500
    )


def answer(client, request):
    evaluate = {
        "boolean": client.get_boolean_details,
        "string": client.get_string_details,
        "number": client.get_float_details,
        "integer": client.get_integer_details,
        "object": client.get_object_details,
    }[request["type"]]
    attributes = dict(request["context"])
    context = EvaluationContext(attributes.pop("targetingKey", None), attributes)
    details = evaluate(request["key"], request["default"], context)
    return json.dumps(
        {
            "value": details.value,
            "variant": details.variant or "",
            "reason": str(getattr(details.reason, "value", details.reason) or ""),
            "error": str(getattr(details.error_code, "value", details.error_code) or ""),
        }
    )


def answer_all(client, request):
    done = 0
    with open(request["requests"]) as requests, open(request["results"], "w") as results:
        for line in requests:
            results.write(answer(client, json.loads(line)) + "\n")
            done += 1
    return json.dumps({"done": done})


def main():
    api.set_provider_and_wait(provider(*sys.argv[1:4]))
    client = api.get_client()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print((answer_all if "requests" in request else answer)(client, request), flush=True)
    api.shutdown()


main()
