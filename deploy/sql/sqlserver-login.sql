-- The login the tool reads SQL Server with, and no more than it needs. As a member of sysadmin; change the names
-- and the password first. It reads, and changes nothing.
USE [master];
CREATE LOGIN [migrator] WITH PASSWORD = N'change-me-0';
GO
USE [Sales];
CREATE USER [migrator] FOR LOGIN [migrator];
-- The rows of one schema; for several schemas, the two of each.
GRANT SELECT ON SCHEMA::[dbo] TO [migrator];
-- Defaults, checks, filters, computed columns, descriptions: without it they are hidden, and the plan says so.
GRANT VIEW DEFINITION ON SCHEMA::[dbo] TO [migrator];
GO
-- In place of the line before, on the whole database: then no table and no row-level security is hidden from the tool.
-- GRANT VIEW DEFINITION TO [migrator];
-- Only where columns are masked: the tool refuses to copy masks.
-- GRANT UNMASK TO [migrator];
-- Only for source.isolation: snapshot.
-- ALTER DATABASE [Sales] SET ALLOW_SNAPSHOT_ISOLATION ON;
