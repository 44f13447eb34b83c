-- Sandboxes. One row each, from `create` to `remove`; the file system has the disks and logs.
CREATE TABLE sandbox (
  seq INTEGER PRIMARY KEY,                 -- order of creation
  name TEXT NOT NULL UNIQUE,
  id TEXT NOT NULL UNIQUE,
  config_json TEXT NOT NULL,
  image TEXT NOT NULL,                     -- as the user gave it
  image_manifest TEXT,                     -- manifest digest; NULL for directories and disk images
  status TEXT NOT NULL CHECK (status IN
    ('created', 'starting', 'running', 'draining', 'paused', 'stopped', 'crashed')),
  ephemeral INTEGER NOT NULL DEFAULT 0,
  cpus INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  command_json TEXT NOT NULL DEFAULT '[]', -- startup command or the image's default
  created_at INTEGER NOT NULL,             -- Unix milliseconds, here and below
  updated_at INTEGER NOT NULL,
  started_at INTEGER,
  pid INTEGER,                             -- of the VMM process, while it lives
  machine TEXT NOT NULL DEFAULT '',
  isolation TEXT NOT NULL DEFAULT '',
  walls_json TEXT NOT NULL DEFAULT '[]',
  termination_reason TEXT NOT NULL DEFAULT '',
  exit_code INTEGER                        -- of the startup command
) STRICT;
CREATE INDEX sandbox_by_status ON sandbox (status);
CREATE INDEX sandbox_by_manifest ON sandbox (image_manifest);

CREATE TABLE sandbox_label (
  sandbox TEXT NOT NULL REFERENCES sandbox (name) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (sandbox, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX sandbox_label_by_key ON sandbox_label (key, value);

-- Images. The files are in cache/layers and cache/images; a row is written after its file is in place.
CREATE TABLE manifest (
  digest TEXT PRIMARY KEY,                 -- "sha256:..."
  media_type TEXT NOT NULL,
  config_digest TEXT NOT NULL,
  config_json TEXT NOT NULL,               -- the OCI image configuration, as it came
  architecture TEXT NOT NULL,
  os TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,             -- of its layers in the cache
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE layer (
  diff_id TEXT PRIMARY KEY,
  erofs_size INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE manifest_layer (
  manifest TEXT NOT NULL REFERENCES manifest (digest) ON DELETE CASCADE,
  position INTEGER NOT NULL,               -- 0 is the lowest
  diff_id TEXT NOT NULL REFERENCES layer (diff_id),
  blob_digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  compressed_size INTEGER NOT NULL,
  PRIMARY KEY (manifest, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_layer_by_layer ON manifest_layer (diff_id);

CREATE TABLE image_ref (
  reference TEXT PRIMARY KEY,              -- canonical: "docker.io/library/python:3.12"
  manifest TEXT NOT NULL REFERENCES manifest (digest),
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX image_ref_by_manifest ON image_ref (manifest);
