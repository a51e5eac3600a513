"""A bookkeeping service: it moves money between accounts all the time, and the sum of all accounts never changes."""

from __future__ import annotations

import random
import sqlite3
import sys
import time

ACCOUNTS = 1000
OPENING_BALANCE = 100_000
EARLIER_ENTRIES = 40_000
PAUSE = 0.01

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
CREATE TABLE entry (id INTEGER PRIMARY KEY, at REAL NOT NULL, debit INTEGER NOT NULL, credit INTEGER NOT NULL, amount INTEGER NOT NULL);
"""


def open_books(path: str) -> sqlite3.Connection:
    """Open the database, and fill a new one with accounts and a history."""
    books = sqlite3.connect(path)
    books.execute("PRAGMA journal_mode = WAL")
    if not books.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        books.executescript(SCHEMA)
        with books:
            books.executemany("INSERT INTO account VALUES (?, ?)", [(number, OPENING_BALANCE) for number in range(ACCOUNTS)])
            for _ in range(EARLIER_ENTRIES):
                move(books)
    return books


def move(books: sqlite3.Connection) -> None:
    """Move an amount from one account to another; the caller commits."""
    debit, credit = random.sample(range(ACCOUNTS), 2)
    amount = random.randint(1, 500)
    books.execute("INSERT INTO entry (at, debit, credit, amount) VALUES (?, ?, ?, ?)", (time.time(), debit, credit, amount))
    books.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, debit))
    books.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, credit))


def main() -> None:
    """Keep the books in the file that is named on the command line, until the service is stopped."""
    books = open_books(sys.argv[1])
    while True:
        with books:
            move(books)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
