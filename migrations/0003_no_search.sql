-- Search text was written with every head and read by no statement. Search will be a projection of the log.
ALTER TABLE records DROP COLUMN search;
