-- The number of each sandbox's network, which its addresses are made from; freed with the sandbox, and used again.
CREATE TABLE network_slot (
  slot INTEGER PRIMARY KEY CHECK (slot BETWEEN 0 AND 65535),
  sandbox TEXT NOT NULL UNIQUE REFERENCES sandbox (name) ON DELETE CASCADE
) STRICT;
