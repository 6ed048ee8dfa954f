-- A token's name is the author of what is written with it, and the person whose limits count. Of tokens that hold, each
-- has a name of its own. A token that has expired or was revoked gives its name back.

-- An index cannot ask the time: `lapsed` is set when somebody wants the name of a token that has expired.
ALTER TABLE tokens ADD COLUMN lapsed boolean NOT NULL DEFAULT false;

UPDATE tokens
SET lapsed = true
WHERE revoked_at IS NULL
    AND expires_at <= now();

-- Of tokens that share a name the oldest keeps it. The others go on with their id behind it; names have at most 63
-- letters.
UPDATE tokens
SET name = left(tokens.name, 54) || '-' || tokens.id
FROM (
    SELECT id, row_number() OVER (PARTITION BY name ORDER BY created_at, id) AS place
    FROM tokens
    WHERE revoked_at IS NULL AND NOT lapsed
) AS holding
WHERE holding.id = tokens.id
    AND holding.place > 1;

CREATE UNIQUE INDEX tokens_name_key ON tokens (name) WHERE revoked_at IS NULL AND NOT lapsed;
