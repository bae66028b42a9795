"""What the database of a round keeps beside Reproq's tables: a line for each time that a row became, or was changed as,
a finished one, with the claim under which that happened. Triggers write it, in the transaction of whoever did it."""

from typing import Final

RECORD: Final = """
CREATE TABLE chaos_ends (
    run_id bigint NOT NULL, status text NOT NULL, attempts int NOT NULL, claimed_at timestamptz, at timestamptz NOT NULL
);
CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_ends VALUES (NEW.id, NEW.status, NEW.attempts, OLD.claimed_at, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_note AFTER UPDATE ON task_runs FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL OR NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION chaos_note();
"""
