#!/usr/bin/env python3
"""Records scripts of testdata/logic again with PostgreSQL's answers.

    createdb record && python3 record.py DATABASE logic/NAME.slt...

Each record's SQL runs in one psql session, in order; what it gives replaces the record's head (`query`, `statement ok`,
`statement error STATE message`) and its rows. Comments and SQL stay as they are. So a new script needs only its SQL:
records of one line, `query`, with the SQL below. Connect by PGHOST, PGPORT, PGUSER. A script with `session` records, and
a record that is marked `# ours:` in the line above it, is left alone: there PostgreSQL's answer is not what is wanted.
"""
import os
import subprocess
import sys

MARK = "=-=record=-="


def blocks(text):
    return [block.split("\n") for block in text.rstrip("\n").split("\n\n")]


def parts(block):
    """Comments, head, SQL of a block."""
    comments = [line for line in block if line.startswith("#")]
    rest = [line for line in block if not line.startswith("#")]
    if not rest:
        return comments, None, []
    sql = rest[1:]
    if "----" in sql:
        sql = sql[: sql.index("----")]
    return comments, rest[0], sql


def run(database, statements):
    """Rows, errors of each statement."""
    text = []
    for number, (sql, names) in enumerate(statements):
        names = "off" if names else "on"
        text.append(f"\\pset tuples_only {names}\n\\pset footer off\n\\echo {MARK}{number}\n\\warn {MARK}{number}\n{sql.rstrip().rstrip(';')};\n")
    text.append(f"\\echo {MARK}\n\\warn {MARK}\n")
    command = ["psql", "-X", "-q", "-A", "-t", "-F", " | ", "-P", "null=NULL", "-v", "VERBOSITY=verbose", database]
    done = subprocess.run(command, input="".join(text), capture_output=True, text=True, check=True,
                          env={**os.environ, "PGOPTIONS": "-c client_min_messages=error"})

    def cut(output):
        pieces = output.split(MARK)[1:-1]
        return [piece.split("\n", 1)[1] for piece in pieces]

    return list(zip(cut(done.stdout), cut(done.stderr)))


def record(database, path):
    with open(path) as file:
        parsed = [parts(block) for block in blocks(file.read())]
    if any(head and head.startswith("session") for _, head, _ in parsed):
        sys.exit(f"{path}: several sessions cannot be recorded")
    # A record may have no semicolon before its end: psql sends it as one statement.
    statements = [("\n".join(sql), "names" in head.split()) for _, head, sql in parsed if head]
    answers = iter(run(database, statements))
    with open(path) as file:
        old = blocks(file.read())
    result = []
    for block, (comments, head, sql) in zip(old, parsed):
        if head is None:
            result.append(comments)
            continue
        rows, error = next(answers)
        if any(comment.startswith("# ours:") for comment in comments):
            result.append(block)
        elif "ERROR:  " in error:
            state, message = error.split("ERROR:  ", 1)[1].split("\n", 1)[0].split(": ", 1)
            # psql ends a statement that ours end without.
            message = message.replace('at or near ";"', "at end of input")
            result.append([*comments, f"statement error {state} {message}", *sql])
        elif head.startswith("statement") and not rows:
            result.append([*comments, "statement ok", *sql])
        else:
            lines = rows.split("\n")[:-1]
            shown = [" | ".join(value or "(empty)" for value in line.split(" | ")) for line in lines]
            head = head if head.startswith("query") else "query"
            result.append([*comments, head, *sql, "----", *shown])
    with open(path, "w") as file:
        file.write("\n\n".join("\n".join(block) for block in result) + "\n")


if __name__ == "__main__":
    for script in sys.argv[2:]:
        record(sys.argv[1], script)
