"""Loads a PostgreSQL target from a SQL Server source, from several workers at once, and proves it.

Put this file and mssql_pg_migrate_tool.py into the DAGs folder, and mssql-pg-migrate on the workers' PATH. Airflow
variables: `mssql_pg_migrate_config` is the configuration's path, the same on every worker, with target_mode
drop_recreate or truncate; `mssql_pg_migrate_max_hosts` says how many may share a run, 4 where it is not set.

The tasks join one run by the DAG run's id and take its key ranges from a queue in the target. One that is tried again
joins again; one that finds no slot until the others are done has nothing left to do.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum

try:  # Airflow 3
    from airflow.sdk import Variable, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Variable
from mssql_pg_migrate_tool import migrate_tool


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    # Two runs would load the same tables.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["mssql-pg-migrate"],
)
def mssql_pg_migrate_shared():
    @task
    def plan() -> list[int]:
        # More hosts than ranges would have nothing to do. An unfinished older run gives way to this one.
        ranges = migrate_tool("plan", "--partitions", "--fresh")["partitions"]
        most = int(Variable.get("mssql_pg_migrate_max_hosts", "4"))
        return list(range(max(1, min(most, len(ranges)))))

    @task
    def migrate(host: int, name: str) -> dict:
        result = migrate_tool("run", "--join", name)
        return {"host": host, **{key: result[key] for key in ("run_id", "rows_transferred")}}

    # Rows that differ don't become equal by asking again.
    @task(retries=1)
    def verify() -> dict:
        result = migrate_tool("verify", "--details", "20")
        return {key: result[key] for key in ("tables_matching", "tables_total")}

    migrate.partial(name="{{ run_id }}").expand(host=plan()) >> verify()


mssql_pg_migrate_shared()
