0BEGIN;
-- Running upgrade  -> a1, b
ALTER TABLE t ALTER a TYPE int;
COMMIT;