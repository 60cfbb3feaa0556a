"""Reads topics from their beginning to their end as anybody's consumer would, with `read_committed`.

Values are decoded with the schema that the registry, asked over plain HTTP, has under the ID in their frame. A value that
cannot be decoded, or a missing CloudEvents header, ends the program. For each event a JSON line goes to --out.
"""

import argparse
import functools
import io
import json
import struct
import time
import urllib.request

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE_S = 60
REQUIRED = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_correlationid", "ce_causationid",
            "content-type", "quadrille-flow", "quadrille-run"]


def main():
    args = arguments()
    with open(args.out, "w", encoding="utf-8") as out:
        for message in records(args.bootstrap, args.topics):
            print(json.dumps(event(args.registry, message), default=str), file=out)


def records(bootstrap, topics):
    """All that is committed in `topics` now."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "nobody",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    })
    known = consumer.list_topics(timeout=20).topics
    unread = {(topic, number) for topic in topics for number in known[topic].partitions}
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in unread])
    deadline = time.monotonic() + PATIENCE_S
    while unread:
        if time.monotonic() > deadline:
            raise SystemExit(f"no end of {sorted(unread)}")
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            unread.discard((message.topic(), message.partition()))
        else:
            raise SystemExit(f"{message.topic()}/{message.partition()}: {message.error()}")
    consumer.close()


def event(registry, message):
    where = f"{message.topic()}/{message.partition()}/{message.offset()}"
    headers = {name: value.decode() for name, value in message.headers() or []}
    missing = [name for name in REQUIRED if not headers.get(name)]
    if missing or headers["ce_specversion"] != "1.0":
        raise SystemExit(f"{where} is no event: {missing} is missing in {headers}")
    magic, number = struct.unpack(">bI", message.value()[:5])
    if magic != 0:
        raise SystemExit(f"{where} has no frame: {message.value()[:16]!r}")
    body = io.BytesIO(message.value()[5:])
    schema = writer_schema(registry, number)
    value = fastavro.schemaless_reader(body, schema)
    if body.read():
        raise SystemExit(f"{where} has more bytes than its schema {number} reads")
    record = schema["name"].rsplit(".", 1)[-1]
    return {"where": where, "topic": message.topic(), "key": message.key().decode(), "record": record,
            "headers": headers, "value": value}


@functools.cache
def writer_schema(registry, number):
    with HTTP.open(f"{registry}/schemas/ids/{number}", timeout=10) as answer:
        return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "registry", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("topics", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    main()
