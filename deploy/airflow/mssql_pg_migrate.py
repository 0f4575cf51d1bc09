"""Keeps a PostgreSQL target up to date with a SQL Server source, every hour, and proves it.

Put this file into the DAGs folder, and mssql-pg-migrate on the workers' PATH. The configuration's path is the
Airflow variable `mssql_pg_migrate_config`; the passwords it names with ${...} come from the workers' environment.

`run --or-resume` may simply be started again: a try that was killed is gone on with where the target's ledger says
it ended. Whether another try makes sense is what the result's `recoverable` says.
"""

from __future__ import annotations

import json
import logging
import subprocess
from datetime import timedelta

import pendulum

try:  # Airflow 3
    from airflow.sdk import Variable, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
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


@dag(
    schedule="@hourly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    # A run that takes longer than an hour is not started a second time beside itself.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["mssql-pg-migrate"],
)
def mssql_pg_migrate():
    @task
    def migrate() -> dict:
        result = migrate_tool("run", "--or-resume")
        return {key: result[key] for key in ("run_id", "rows_transferred", "duration_seconds", "notes")}

    # Rows that differ don't become equal by asking again.
    @task(retries=1)
    def verify() -> dict:
        result = migrate_tool("verify", "--details", "20")
        return {key: result[key] for key in ("tables_matching", "tables_total")}

    migrate() >> verify()


mssql_pg_migrate()
