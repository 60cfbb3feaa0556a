"""Sends orders as a shop's web site would: a plain Kafka client, an Avro codec, and the registry over plain HTTP.

Nothing of Quadrille's is used. Records get the client's default partitioner, `consistent_random`; the order that is sent
three times is sent once with `murmur2_random` too. For each record that the broker has, a JSON line goes to --out.
"""

import argparse
import io
import json
import struct
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

import fastavro
from confluent_kafka import Producer

HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main():
    args = arguments()
    with open(args.schema, encoding="utf-8") as file:
        source = json.load(file)
    schema = fastavro.parse_schema(source)
    subject = f"{args.topic}-{source['namespace']}.{source['name']}"
    frame = struct.pack(">bI", 0, schema_id(args.registry, subject, source))

    sent = []
    default = Sender(args, sent)
    murmur2 = Sender(args, sent, partitioner="murmur2_random")
    for number in range(args.orders):
        order = order_of(number)
        value = io.BytesIO()
        value.write(frame)
        fastavro.schemaless_writer(value, schema, order)
        # Every other order comes out of a trace.
        trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01" if number % 2 == 0 else None
        senders = [default]
        if order["order_id"] == args.thrice:
            senders = [murmur2, default, default]
        for sender in senders:
            sender.send(order["order_id"], value.getvalue(), trace)
    default.flush()
    murmur2.flush()

    with open(args.out, "w", encoding="utf-8") as out:
        for record in sent:
            print(json.dumps(record), file=out)


def order_of(number):
    lines = [{"sku": "SOLD-OUT-1" if number in (3, 4) else f"sku-{number}", "quantity": 2, "unit_price_cents": 1250}]
    return {
        "order_id": f"python-{number}",
        "customer_id": "DECLINED-1" if number in (5, 6) else f"customer-{number}",
        "lines": lines,
        "amount_cents": 2500,
        "currency": "EUR",
    }


class Sender:
    def __init__(self, args, sent, **settings):
        self.topic = args.topic
        self.sent = sent
        self.producer = Producer({"bootstrap.servers": args.bootstrap, "linger.ms": 5, **settings})

    def send(self, key, value, trace):
        event = str(uuid.uuid4())
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event,
            "ce_source": "/web-site",
            "ce_type": "OrderPlaced",
            "ce_time": datetime.now(timezone.utc).isoformat(),
            "content-type": "application/avro",
        }
        if trace:
            headers["traceparent"] = trace

        def delivered(error, message):
            if error is not None:
                raise RuntimeError(f"{key} was not delivered: {error}")
            self.sent.append({"order": key, "ce_id": event, "partition": message.partition(), "traceparent": trace})

        self.producer.produce(self.topic, key=key, value=value, headers=headers, on_delivery=delivered)

    def flush(self):
        left = self.producer.flush(30)
        if left:
            raise RuntimeError(f"{left} records were not delivered")


def schema_id(registry, subject, source):
    """Looks the schema up; where it is not known under this subject, registers it."""
    try:
        return post(f"{registry}/subjects/{subject}", source)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    return post(f"{registry}/subjects/{subject}/versions", source)


def post(url, source):
    body = json.dumps({"schema": json.dumps(source)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/vnd.schemaregistry.v1+json"})
    with HTTP.open(request, timeout=10) as answer:
        return json.load(answer)["id"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "registry", "topic", "schema", "thrice", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--orders", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
