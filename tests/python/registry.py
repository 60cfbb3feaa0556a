"""Uses a schema registry through the Python client of Confluent, as a team that writes Python would.

Every step asserts what the client made of the answer. What has been shown goes to --out, a JSON line for each step.
"""

import argparse
import json
import os
import uuid

os.environ["NO_PROXY"] = "127.0.0.1"

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--registry", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    steps = [registers, looks_up, checks_compatibility, writes_and_reads, refers, deletes]
    with open(args.out, "w", encoding="utf-8") as out:
        for step in steps:
            client = SchemaRegistryClient({"url": args.registry})
            step(client)
            out.write(json.dumps({"step": step.__name__}) + "\n")


def unique(hint):
    return f"{hint}-{uuid.uuid4().hex}"


def record(name, *fields):
    return {"type": "record", "name": name, "namespace": "shop", "fields": list(fields)}


def schema(value, references=()):
    return Schema(json.dumps(value), "AVRO", list(references))


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


def refused(code, call, *args, **kwargs):
    try:
        answer = call(*args, **kwargs)
    except SchemaRegistryError as error:
        assert error.error_code == code, f"{code} was expected: {error}"
        return error
    raise AssertionError(f"{code} was expected, and it was answered {answer!r}")


def registers(client):
    subject, other = unique("orders"), unique("orders/copy of")
    order = record(f"Order{uuid.uuid4().hex}", field("id", "string"))
    first = client.register_schema(subject, schema(order))
    assert client.register_schema(subject, schema(order)) == first
    assert client.register_schema(other, schema(order), normalize_schemas=True) == first
    fresh = client.get_schema(first)
    assert json.loads(fresh.schema_str) == order and fresh.schema_type == "AVRO", fresh
    with_note = {**order, "fields": [*order["fields"], field("note", "string", default="")]}
    assert client.register_schema(subject, schema(with_note)) != first
    assert client.get_versions(subject) == [1, 2]
    latest = client.get_latest_version(subject)
    assert latest.version == 2 and latest.subject == subject, latest
    assert {subject, other} <= set(client.get_subjects())
    found = {(used.subject, used.version) for used in client.get_schema_versions(first)}
    assert found == {(subject, 1), (other, 1)}, found


def looks_up(client):
    subject = unique("orders")
    order = record("Order", field("id", "string"))
    refused(40401, client.lookup_schema, subject, schema(order))
    refused(40401, client.get_latest_version, subject)
    refused(40403, client.get_schema, 2_000_000_000)
    registered = client.register_schema(subject, schema(order))
    found = client.lookup_schema(subject, schema(order))
    assert (found.schema_id, found.version, found.subject) == (registered, 1, subject), found
    refused(40403, client.lookup_schema, subject, schema(record("Other")))
    refused(40402, client.get_version, subject, 9)


def checks_compatibility(client):
    subject = unique("orders")
    order = record("Order", field("id", "string"))
    needs = schema(record("Order", field("id", "string"), field("amount", "long")))
    offers = schema(record("Order", field("id", "string"), field("amount", "long", default=0)))
    client.register_schema(subject, schema(order))
    client.set_compatibility(subject, "BACKWARD")
    assert client.get_compatibility(subject) == "BACKWARD"
    assert not client.test_compatibility(subject, needs)
    assert client.test_compatibility(subject, offers)
    assert client.test_compatibility_all_versions(subject, offers)
    error = refused(409, client.register_schema, subject, needs)
    assert error.http_status_code == 409 and "/fields/1" in str(error), error
    client.set_compatibility(subject, "NONE")
    client.register_schema(subject, needs)
    refused(42203, client.set_compatibility, subject, "SOMETIMES")
    refused(42201, client.register_schema, subject, Schema('{"type": "recor"}', "AVRO"))


def writes_and_reads(client):
    topic = unique("orders")
    old = record("Order", field("id", "string"))
    new = record("Order", field("id", "string"), field("note", ["null", "string"], default=None))
    where = SerializationContext(topic, MessageField.VALUE)
    framed = AvroSerializer(client, json.dumps(old))({"id": "4711"}, where)
    assert framed[0] == 0 and client.get_versions(f"{topic}-value") == [1], framed
    read = AvroDeserializer(SchemaRegistryClient(client.config()), json.dumps(new))(framed, where)
    assert read == {"id": "4711", "note": None}, read


def refers(client):
    address, person = unique("address"), unique("person")
    client.register_schema(address, schema({"type": "record", "name": "q.Address", "fields": [field("zip", "string")]}))
    references = [SchemaReference("q.Address", address, 1)]
    refers_to_it = schema(record("Person", field("home", "q.Address")), references)
    person_id = client.register_schema(person, refers_to_it)
    found = client.get_schema(person_id, subject_name=person)
    assert [(r.name, r.subject, r.version) for r in found.references] == [("q.Address", address, 1)], found
    assert client.get_referenced_by(address, 1) == [person_id]
    refused(42206, client.delete_version, address, 1)
    client.delete_subject(person)
    client.delete_subject(person, permanent=True)
    assert client.delete_subject(address) == [1]


def deletes(client):
    subject = unique("orders")
    order = schema(record("Order", field("id", "string")))
    client.register_schema(subject, order)
    client.register_schema(subject, schema(record("Order")))
    assert client.delete_version(subject, 1) == 1
    refused(40402, client.get_version, subject, 1)
    assert client.get_version(subject, 1, deleted=True).version == 1
    refused(40405, client.delete_subject, subject, permanent=True)
    assert 2 in client.delete_subject(subject)
    assert subject not in client.get_subjects() and subject in client.get_subjects(deleted=True)
    refused(40401, client.get_versions, subject)
    client.delete_subject(subject, permanent=True)
    refused(40401, client.get_versions, subject, deleted=True)


if __name__ == "__main__":
    main()
