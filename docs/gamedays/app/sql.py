"""SQL through psql. What is sent along as `rows` is JSON, read in SQL with `json_to_recordset(:'rows')`."""

import json
import os
import subprocess


class Refused(Exception):
    """PostgreSQL has answered with an error."""


def sql(text, rows=(), host=os.environ.get("DATABASE", "db"), timeout=5):
    """The lines of the answer, values with `|` in between. Raises OSError if the database cannot be reached in time."""
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", f"rows={json.dumps(list(rows))}"]
    where = {"PGHOST": host, "PGUSER": "postgres", "PGDATABASE": "postgres", "PGCONNECT_TIMEOUT": "3", "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
    try:
        done = subprocess.run(command, input=text, env={**where, **os.environ}, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{host}: no answer in {timeout}s") from error
    if done.returncode == 2:
        raise ConnectionError(done.stderr.strip())
    if done.returncode:
        raise Refused(done.stderr.strip())
    return done.stdout.splitlines()
