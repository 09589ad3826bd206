0--liquibase formatted sql
--changeset a:1 runInTransaction:false endDelimiter:/
SELECT 1 /
--rollback x
--changeset a:1 dbms:!h2
TRUNCATE t; -- poundlock: ignore truncate why
