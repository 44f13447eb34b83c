-- The published ports of the run, as they are: "127.0.0.1:8080:80/tcp".
ALTER TABLE sandbox ADD COLUMN ports_json TEXT NOT NULL DEFAULT '[]';
