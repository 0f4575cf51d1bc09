"""Runs mssql-pg-migrate in an Airflow task: what the DAGs beside this file share.

The configuration's path is the Airflow variable `mssql_pg_migrate_config`; the passwords it names with ${...} come from
the workers' environment.
"""

from __future__ import annotations

import json
import logging
import subprocess

try:  # Airflow 3
    from airflow.sdk import Variable
except ImportError:  # Airflow 2
    from airflow.models import Variable
from airflow.exceptions import AirflowException, AirflowFailException

log = logging.getLogger(__name__)


def migrate_tool(*arguments: str) -> dict:
    """Runs the tool, its log lines into the task's log, and returns its result.

    Raises AirflowException where another try may succeed and AirflowFailException where none will.
    """
    config = Variable.get("mssql_pg_migrate_config")
    command = ["mssql-pg-migrate", "-c", config, "--output-json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            log.info("%s", line.rstrip())
        # The result is one line, written at the very end: stdout never fills while stderr is read.
        result = json.loads(process.stdout.read())
        code = process.wait()
    finally:
        # The task was cancelled: SIGTERM lets chunks under way be committed, so that the next try goes on there.
        if process.poll() is None:
            process.terminate()
            process.wait()
    error = result.get("error")
    if error is None:
        return result
    text = f"{error['code']}: {error['message']} (exit code {code})"
    raise AirflowException(text) if error["recoverable"] else AirflowFailException(text)
