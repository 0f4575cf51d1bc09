"""Keeps a PostgreSQL target up to date with a SQL Server source, every hour, and proves it.

Put this file and mssql_pg_migrate_tool.py into the DAGs folder, and mssql-pg-migrate on the workers' PATH. The
configuration's path is the Airflow variable `mssql_pg_migrate_config`; the passwords it names with ${...} come from the
workers' environment.

`run --or-resume` may simply be started again: a try that was killed is gone on with where the target's ledger says
it ended. Whether another try makes sense is what the result's `recoverable` says.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum

try:  # Airflow 3
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
from mssql_pg_migrate_tool import migrate_tool


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
