#!/usr/bin/env python3
"""The stock of the order example, with Python's standard library alone.

Two endpoints, /reserve and /release, as topology/order.yaml calls them. What they are sent and may answer stands in
crates/http-handler/src/lib.rs. This is services/order/src/stock.rs once more, with the same tables, so that both may even
share a store.

The fence is one table of the calls that were answered. Each call is one transaction that holds the answer, the stock's own
rows and a line in the log of effects: they are there together or not at all.

    call    before it                           answer
    do      nothing                             has its effect; the answer is stored
    do      the same do                         the stored answer
    do      its undo                            refused (410)
    undo    a do that had its effect            takes it back; the answer is stored
    undo    nothing, or a rejected do           there is nothing to release, and never will be; stored
    undo    the same undo                       the stored answer

    stock.py --listen 127.0.0.1:7001 --stores DIR
"""

import argparse
import json
import os
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS fence (
    activation TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('do', 'undo')),
    key TEXT NOT NULL,
    ran INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    reply BLOB NOT NULL,
    PRIMARY KEY (activation, action)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    participant TEXT NOT NULL,
    activation TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    action TEXT NOT NULL,
    applied INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    pid INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS reservations (
    activation TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (activation, sku));
CREATE TABLE IF NOT EXISTS calls (activation TEXT PRIMARY KEY, number INTEGER NOT NULL);
COMMIT;
"""

BODY_BYTES_MAX = 1024 * 1024


class Refused(Exception):
    """No answer to keep: the status and the reason. 503 is tried again, 4xx is not."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Call:
    """What the headers say about a request."""

    def __init__(self, headers):
        def text(name):
            value = headers.get(name)
            if value is None:
                raise Refused(400, f"header {name} is missing")
            return unquote(value)

        self.activation = text("quadrille-activation")
        self.action = text("quadrille-action")
        self.key = text("idempotency-key")
        self.correlation_id = text("ce-correlationid")


def decision(applied, event, data):
    return {"applied": applied, "event": event, "data": data}


class Stock:
    """The store, with a connection for each thread."""

    def __init__(self, folder, flush):
        # FULL survives a power cut; NORMAL the end of the process, which is enough for tests and demonstrations.
        self.synchronous = {"commit": "FULL", "os": "NORMAL"}[flush]
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "stock.db")
        self.local = threading.local()
        # Writers of this process take turns here: SQLite's own waiting is not fair, and a writer could starve.
        self.turn = threading.Lock()
        self.connection().executescript(TABLES)

    def connection(self):
        if not hasattr(self.local, "connection"):
            # No implicit transactions: BEGIN IMMEDIATE says where one starts.
            connection = sqlite3.connect(self.path, timeout=5, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            self.local.connection = connection
        return self.local.connection

    def transaction(self, work):
        connection = self.connection()
        with self.turn:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
                return result
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def reserve(self, call, order):
        self.fail_at_first(call, order)

        def effect(db):
            for line in order["lines"]:
                if line["sku"].startswith("SOLD-OUT"):
                    return decision(
                        False, "OutOfStock", {"order_id": order["order_id"], "sku": line["sku"], "available": 0}
                    )
            for line in order["lines"]:
                db.execute(
                    "INSERT INTO reservations (activation, sku, quantity) VALUES (?1, ?2, ?3)"
                    " ON CONFLICT DO UPDATE SET quantity = quantity + ?3",
                    (call.activation, line["sku"], line["quantity"]),
                )
            data = {"order_id": order["order_id"], "reservation_id": call.activation}
            return decision(True, "StockReserved", data)

        return self.fenced("do", call, effect, None)

    def release(self, call, order):
        def released(reservation_id):
            return decision(
                True, "StockReleased", {"order_id": order["order_id"], "reservation_id": reservation_id}
            )

        def effect(db):
            db.execute("DELETE FROM reservations WHERE activation = ?", (call.activation,))
            return released(call.activation)

        return self.fenced("undo", call, effect, released(None))

    def fenced(self, action, call, effect, nothing):
        """Answers a call once, whatever came before it: see the table at the top."""
        if call.action != action:
            raise Refused(400, f"this is for a {action}, and the call is an {call.action}")

        def work(db):
            def row(action):
                found = db.execute(
                    "SELECT key, ran, applied, reply FROM fence WHERE activation = ? AND action = ?",
                    (call.activation, action),
                )
                return found.fetchone()

            same = row(action)
            if same and same[0] != call.key:
                raise Refused(400, f"{call.activation}/{action} came before under another key")
            if action == "do" and row("undo"):
                raise Refused(410, "the activation is undone: it is never done again")
            if same:
                return json.loads(same[3]) if same[1] else nothing
            done = row("do")
            if action == "undo" and not (done and done[2]):
                self.record(db, call, False, False, b"")
                return nothing
            answer = effect(db)
            self.record(db, call, True, answer["applied"], json.dumps(answer).encode())
            return answer

        return self.transaction(work)

    @staticmethod
    def record(db, call, ran, applied, reply):
        db.execute(
            "INSERT INTO fence (activation, action, key, ran, applied, reply) VALUES (?, ?, ?, ?, ?, ?)",
            (call.activation, call.action, call.key, ran, applied, reply),
        )
        db.execute(
            "INSERT INTO effects (participant, activation, correlation_id, action, applied, at_ms, pid)"
            " VALUES ('stock', ?, ?, ?, ?, ?, ?)",
            (call.activation, call.correlation_id, call.action, applied, int(time.time() * 1000), os.getpid()),
        )

    def fail_at_first(self, call, order):
        """Fails for the first n calls about an order with an article FLAKY-n, whichever process gets them."""
        failures = [int(line["sku"].split("-")[1]) for line in order["lines"] if line["sku"].startswith("FLAKY-")]
        if not failures:
            return

        def count(db):
            found = db.execute(
                "INSERT INTO calls (activation, number) VALUES (?, 1)"
                " ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
                (call.activation,),
            )
            return found.fetchone()[0]

        number = self.transaction(count)
        if number <= max(failures):
            raise Refused(503, f"call {number} of {max(failures)} that fail")


class Handler(BaseHTTPRequestHandler):
    # Connections are kept: the mesh calls often.
    protocol_version = "HTTP/1.1"
    stock = None

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, "text/plain", "more than 1 MiB")
        body = self.rfile.read(length)
        try:
            work = {"/reserve": self.stock.reserve, "/release": self.stock.release}.get(self.path)
            if work is None:
                raise Refused(404, f"there is no {self.path}")
            answer = work(Call(self.headers), json.loads(body))
        except Refused as refused:
            return self.answer(refused.status, "text/plain", str(refused))
        except sqlite3.Error as error:
            return self.answer(503, "text/plain", f"the store failed: {error}")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return self.answer(400, "text/plain", f"this is no order: {error!r}")
        status = 200 if answer["applied"] else 409
        self.answer(status, "application/json", json.dumps(answer["data"]), answer["event"])

    def answer(self, status, content_type, text, event=None):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        if event:
            self.send_header("ce-type", event)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description="Reserves and releases stock")
    env = os.environ.get
    parser.add_argument("--listen", default=env("STOCK_LISTEN", "127.0.0.1:7001"), metavar="HOST:PORT")
    parser.add_argument("--stores", default=env("QUADRILLE_STORES"), metavar="DIR")
    parser.add_argument("--flush", default=env("QUADRILLE_STORES_FLUSH", "commit"), choices=["commit", "os"])
    options = parser.parse_args()
    if not options.stores:
        parser.error("give --stores or QUADRILLE_STORES")
    host, port = options.listen.rsplit(":", 1)
    Handler.stock = Stock(options.stores, options.flush)
    server = Server((host, int(port)), Handler)
    print(f"stock listens on http://{host}:{server.server_address[1]}", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
