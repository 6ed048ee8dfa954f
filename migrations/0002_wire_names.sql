-- The names of the records that readers can list. Without it, a page of the wire walks past every draft that lies between.
CREATE INDEX records_wire_name ON records (name) WHERE state IN ('published', 'retracted', 'merged');
