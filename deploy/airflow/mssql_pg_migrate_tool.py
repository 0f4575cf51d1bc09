"""Runs mssql-pg-migrate in an Airflow task: what the DAGs beside this file share.

The configuration's path is the Airflow variable `mssql_pg_migrate_config`; the passwords it names with ${...} come from
the workers' environment.
"""

from __future__ import annotations

import json
import logging
import subprocess
from threading import Thread

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
    # Both are read at once: a result that is larger than a pipe would wait for its reader, and stderr for its end.
    output: list[str] = []
    reader = Thread(target=lambda: output.append(process.stdout.read()), daemon=True)
    reader.start()
    try:
        for line in process.stderr:
            log.info("%s", line.rstrip())
        code = process.wait()
        reader.join()
        result = json.loads(output[0])
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
