"""A service that takes part in a rollout (docs/PARTICIPATE.md): level 1, one boolean flag asked through its
OpenFeature SDK once per unit of work; with OTEL=1 also level 2, its figures by OpenTelemetry.

POUNDLOCK_URL names the server, PGHOST and its like the database, FIRST_ID the first of the 500 rows that this
service owns, STATS_FILE where it says once a second how it fares. SIGTERM ends it.
"""

import json
import os
import random
import signal
import time

import psycopg
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

FLAG = "schema_v2_migration"
STATS_FILE = os.environ["STATS_FILE"]
FIRST_ID = int(os.environ.get("FIRST_ID", "1"))

stats = {"reads_legacy": 0, "reads_new": 0, "writes_legacy": 0, "writes_new": 0, "errors": 0, "lost": 0, "last_error": ""}


def attempt_histogram():
    """Level 2: one sample an attempt, with the flag, the variant and the path as attributes."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import Histogram, MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
    from opentelemetry.sdk.resources import Resource

    exporter = OTLPMetricExporter(
        endpoint=os.environ["POUNDLOCK_URL"] + "/v1/metrics",
        # Fixed buckets are too coarse for a gate that looks for 15 %.
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()},
    )
    provider = MeterProvider(
        metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=1000)],
        resource=Resource.create({"service.name": "python_orders", "service.instance.id": str(os.getpid())}),
    )
    return provider, provider.get_meter("orders").create_histogram("db.client.operation.duration", unit="s")


class Service:
    def __init__(self):
        # A domain of its own: whatever provider the rest of the application uses stays as it is.
        api.set_provider(OFREPProvider(os.environ["POUNDLOCK_URL"]), domain="schema")
        self.flags = api.get_client(domain="schema")
        self.database = psycopg.connect(autocommit=True)
        self.written = {}
        self.metrics, self.attempts = attempt_histogram() if os.environ.get("OTEL") else (None, None)

    def unit_of_work(self, turn):
        row = FIRST_ID + random.randrange(500)
        # The key is the owner of the row, never the request: one owner stays on one side.
        context = EvaluationContext(f"order-{row}", {"context": "internal" if turn % 10 == 0 else "public"})
        is_new = self.flags.get_boolean_value(FLAG, False, context)
        column = "new_status" if is_new else "legacy_status"
        side = "new" if is_new else "legacy"
        began = time.perf_counter()
        error = None
        try:
            if turn % 5 == 0:
                status = f"st_{turn % 1000:03d}"
                self.database.execute(f"UPDATE orders SET {column} = %s WHERE id = %s", (status, row))
                self.written[row] = status
                stats["writes_" + side] += 1
            else:
                found = self.database.execute(f"SELECT id, {column} AS status FROM orders WHERE id = %s", (row,)).fetchone()
                stats["reads_" + side] += 1
                # Only this worker writes these rows: what it wrote it has to read, on either side.
                if row in self.written and found[1] != self.written[row]:
                    stats["lost"] += 1
        except psycopg.Error as failure:
            error = failure
            raise
        finally:
            if self.attempts:
                attributes = {
                    "feature_flag.key": FLAG,
                    "feature_flag.result.variant": "on" if is_new else "off",
                    "poundlock.path": "write_one" if turn % 5 == 0 else "by_id",
                    "poundlock.context": context.attributes["context"],
                }
                if error:
                    attributes["error.type"] = type(error).__name__
                    attributes["db.response.status_code"] = error.sqlstate or ""
                self.attempts.record(time.perf_counter() - began, attributes)

    def run(self):
        running = True

        def stop(*_):
            nonlocal running
            running = False

        signal.signal(signal.SIGTERM, stop)
        turn, saved = 0, 0.0
        while running:
            turn += 1
            try:
                self.unit_of_work(turn)
            except Exception as failure:  # what a user would see
                stats["errors"] += 1
                stats["last_error"] = repr(failure)
            if time.monotonic() - saved > 1:
                saved = time.monotonic()
                save_stats()
            time.sleep(0.002)
        if self.metrics:
            self.metrics.shutdown()
        save_stats()


def save_stats():
    with open(STATS_FILE + ".new", "w") as out:
        json.dump(stats, out)
    os.replace(STATS_FILE + ".new", STATS_FILE)


if __name__ == "__main__":
    Service().run()
