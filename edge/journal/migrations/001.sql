-- The journal: UIDs, codes, numbers and configured aliases only. The CHECKs keep anything else out.

CREATE TABLE association (
    id        TEXT PRIMARY KEY CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'),
    peer      TEXT NOT NULL CHECK (length(peer) BETWEEN 1 AND 64 AND peer NOT GLOB '*[^a-z0-9_-]*'),
    opened_at REAL NOT NULL,
    closed_at REAL
) STRICT;

CREATE TABLE instance (
    object_id             TEXT PRIMARY KEY CHECK (length(object_id) = 32 AND object_id NOT GLOB '*[^0-9a-f]*'),
    sop_instance_uid      TEXT NOT NULL CHECK (length(sop_instance_uid) BETWEEN 1 AND 64 AND sop_instance_uid NOT GLOB '*[^0-9.]*'),
    sop_class_uid         TEXT NOT NULL CHECK (length(sop_class_uid) BETWEEN 1 AND 64 AND sop_class_uid NOT GLOB '*[^0-9.]*'),
    study_instance_uid    TEXT NOT NULL CHECK (length(study_instance_uid) BETWEEN 1 AND 64 AND study_instance_uid NOT GLOB '*[^0-9.]*'),
    series_instance_uid   TEXT NOT NULL CHECK (length(series_instance_uid) BETWEEN 1 AND 64 AND series_instance_uid NOT GLOB '*[^0-9.]*'),
    transfer_syntax_uid   TEXT NOT NULL CHECK (length(transfer_syntax_uid) BETWEEN 1 AND 64 AND transfer_syntax_uid NOT GLOB '*[^0-9.]*'),
    modality              TEXT NOT NULL CHECK (length(modality) <= 16 AND modality NOT GLOB '*[^A-Z0-9_]*'),
    peer                  TEXT NOT NULL CHECK (length(peer) BETWEEN 1 AND 64 AND peer NOT GLOB '*[^a-z0-9_-]*'),
    association           TEXT NOT NULL CHECK (length(association) = 32 AND association NOT GLOB '*[^0-9a-f]*'),
    tag                   TEXT NOT NULL CHECK (length(tag) = 64 AND tag NOT GLOB '*[^0-9a-f]*'),
    size                  INTEGER NOT NULL CHECK (size >= 0),
    slot                  INTEGER NOT NULL CHECK (slot >= 0),
    received_at           REAL NOT NULL,
    current               INTEGER NOT NULL DEFAULT 1 CHECK (current IN (0, 1)),
    state                 TEXT NOT NULL DEFAULT 'STORED' CHECK (state IN ('STORED', 'ROUTED', 'UNROUTED', 'QUARANTINED', 'ERASED')),
    reason                TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*')
) STRICT;
CREATE INDEX instance_sop ON instance (sop_instance_uid);
CREATE INDEX instance_series ON instance (series_instance_uid);
CREATE INDEX instance_study ON instance (study_instance_uid, slot);
CREATE INDEX instance_association ON instance (association);
CREATE INDEX instance_new ON instance (received_at) WHERE state = 'STORED';

CREATE TABLE unit (
    id                 INTEGER PRIMARY KEY,
    scope              TEXT NOT NULL CHECK (scope IN ('image', 'series', 'study')),
    uid                TEXT NOT NULL CHECK (length(uid) BETWEEN 1 AND 64 AND uid NOT GLOB '*[^0-9.]*'),
    study_instance_uid TEXT NOT NULL CHECK (length(study_instance_uid) BETWEEN 1 AND 64 AND study_instance_uid NOT GLOB '*[^0-9.]*'),
    route              TEXT NOT NULL CHECK (length(route) BETWEEN 1 AND 64 AND route NOT GLOB '*[^a-z0-9_-]*'),
    package            TEXT NOT NULL CHECK (length(package) BETWEEN 1 AND 64 AND package NOT GLOB '*[^a-z0-9-]*'),
    revision           INTEGER NOT NULL CHECK (revision >= 1),
    expected           INTEGER NOT NULL DEFAULT 0 CHECK (expected >= 0),
    opened_at          REAL NOT NULL,
    last_at            REAL NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('OPEN', 'READY')),
    reason             TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*'),
    UNIQUE (scope, uid, package)
) STRICT;
CREATE INDEX unit_open ON unit (last_at) WHERE state = 'OPEN';
CREATE INDEX unit_study ON unit (study_instance_uid);

CREATE TABLE job (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    unit        INTEGER NOT NULL REFERENCES unit (id),
    revision    INTEGER NOT NULL CHECK (revision >= 1),
    route       TEXT NOT NULL CHECK (length(route) BETWEEN 1 AND 64 AND route NOT GLOB '*[^a-z0-9_-]*'),
    priority    INTEGER NOT NULL CHECK (priority IN (0, 1, 2)),
    state       TEXT NOT NULL CHECK (state IN ('READY', 'RUNNING', 'DONE', 'QUARANTINED', 'DISCARDED')),
    reason      TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*'),
    outcome     TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'succeeded', 'partial', 'failed', 'not-attempted')),
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    restarts    INTEGER NOT NULL DEFAULT 0 CHECK (restarts >= 0),
    lease_until REAL NOT NULL DEFAULT 0,
    ready_at    REAL NOT NULL,
    ended_at    REAL,
    report      TEXT NOT NULL DEFAULT '' CHECK (length(report) <= 64 AND report NOT GLOB '*[^0-9.]*'),
    digest      TEXT NOT NULL DEFAULT '' CHECK (length(digest) IN (0, 64) AND digest NOT GLOB '*[^0-9a-f]*'),
    UNIQUE (unit, revision)
) STRICT;
CREATE INDEX job_waiting ON job (priority, id) WHERE state IN ('READY', 'RUNNING');

CREATE TABLE delivery (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    job              INTEGER NOT NULL REFERENCES job (id),
    sop_instance_uid TEXT NOT NULL CHECK (length(sop_instance_uid) BETWEEN 1 AND 64 AND sop_instance_uid NOT GLOB '*[^0-9.]*'),
    sop_class_uid    TEXT NOT NULL CHECK (length(sop_class_uid) BETWEEN 1 AND 64 AND sop_class_uid NOT GLOB '*[^0-9.]*'),
    destination      TEXT NOT NULL CHECK (length(destination) BETWEEN 1 AND 64 AND destination NOT GLOB '*[^a-z0-9_-]*'),
    priority         INTEGER NOT NULL CHECK (priority IN (0, 1, 2)),
    urgent_until     REAL NOT NULL DEFAULT 0,
    state            TEXT NOT NULL CHECK (state IN ('PENDING', 'SENT', 'HELD', 'FAILED', 'SUPERSEDED', 'DISCARDED')),
    reason           TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*'),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    not_before       REAL NOT NULL DEFAULT 0,
    created_at       REAL NOT NULL,
    ended_at         REAL,
    sha256           TEXT NOT NULL CHECK (length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'),
    signature        TEXT NOT NULL CHECK (length(signature) = 128 AND signature NOT GLOB '*[^0-9a-f]*'),
    UNIQUE (sop_instance_uid, destination)
) STRICT;
CREATE INDEX delivery_waiting ON delivery (priority, not_before) WHERE state = 'PENDING';

-- What a job looked at, with what, and what came of it: JSON of codes, UIDs and numbers, without any space.
CREATE TABLE trace (
    job  INTEGER PRIMARY KEY REFERENCES job (id),
    told TEXT NOT NULL CHECK (length(told) BETWEEN 2 AND 1048576 AND told NOT GLOB '*[^]A-Za-z0-9_.:,+/"{}[-]*')
) STRICT;

-- Installed model packages; those of the software itself have no row. At most one of a name is ACTIVE, one SHADOW.
CREATE TABLE package (
    digest       TEXT PRIMARY KEY CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^a-z0-9-]*'),
    version      TEXT NOT NULL CHECK (length(version) BETWEEN 5 AND 32 AND version NOT GLOB '*[^0-9.]*'),
    signer       TEXT NOT NULL CHECK (length(signer) = 16 AND signer NOT GLOB '*[^0-9a-f]*'),
    state        TEXT NOT NULL CHECK (state IN ('STAGED', 'INSTALLED', 'SHADOW', 'ACTIVE', 'RETIRED', 'FAILED', 'REMOVED')),
    reason       TEXT NOT NULL DEFAULT '' CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*'),
    installed_at REAL NOT NULL,
    activated_at REAL,
    before       TEXT NOT NULL DEFAULT '' CHECK (length(before) IN (0, 64) AND before NOT GLOB '*[^0-9a-f]*'),
    waiver       TEXT NOT NULL DEFAULT '' CHECK (length(waiver) <= 64 AND waiver NOT GLOB '*[^A-Za-z0-9_.:-]*'),
    pardoned     INTEGER NOT NULL DEFAULT 0 CHECK (pardoned IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX package_active ON package (name) WHERE state = 'ACTIVE';
CREATE UNIQUE INDEX package_shadow ON package (name) WHERE state = 'SHADOW';

-- What a SHADOW package said about what the ACTIVE one looked at, told as a trace; nothing of it was sent.
CREATE TABLE shadow (
    job      INTEGER NOT NULL REFERENCES job (id),
    digest   TEXT NOT NULL CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    state    TEXT NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'DONE')),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    told     TEXT NOT NULL DEFAULT '{}' CHECK (length(told) BETWEEN 2 AND 1048576 AND told NOT GLOB '*[^]A-Za-z0-9_.:,+/"{}[-]*'),
    PRIMARY KEY (job, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX shadow_waiting ON shadow (job) WHERE state = 'WAITING';

-- What the site itself measured before it let a package work; who did it stands in the record's file alone.
CREATE TABLE acceptance (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    at     REAL NOT NULL,
    cases  INTEGER NOT NULL CHECK (cases > 0),
    record TEXT NOT NULL CHECK (length(record) = 64 AND record NOT GLOB '*[^0-9a-f]*')
) STRICT;

CREATE TABLE event (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,
    thing  TEXT NOT NULL CHECK (thing IN ('association', 'instance', 'unit', 'job', 'delivery', 'package', 'box', 'study')),
    name   TEXT NOT NULL CHECK (length(name) <= 64 AND name NOT GLOB '*[^A-Za-z0-9_.-]*'),
    old    TEXT NOT NULL CHECK (length(old) <= 16 AND old NOT GLOB '*[^A-Z_]*'),
    new    TEXT NOT NULL CHECK (length(new) <= 16 AND new NOT GLOB '*[^A-Z_]*'),
    reason TEXT NOT NULL CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*'),
    chain  TEXT NOT NULL CHECK (length(chain) = 64 AND chain NOT GLOB '*[^0-9a-f]*')
) STRICT;

-- What infer has signed: the chain up to an event, and which signature came before.
CREATE TABLE checkpoint (
    event     INTEGER PRIMARY KEY,
    at        REAL NOT NULL,
    previous  INTEGER NOT NULL,
    chain     TEXT NOT NULL CHECK (length(chain) = 64 AND chain NOT GLOB '*[^0-9a-f]*'),
    signature TEXT NOT NULL CHECK (length(signature) = 128 AND signature NOT GLOB '*[^0-9a-f]*')
) STRICT;

-- Studies that somebody asked to erase, until nothing of them is left: a crash on the way is made good.
CREATE TABLE erasure (
    study_instance_uid TEXT PRIMARY KEY CHECK (length(study_instance_uid) BETWEEN 1 AND 64 AND study_instance_uid NOT GLOB '*[^0-9.]*'),
    last_slot          INTEGER NOT NULL CHECK (last_slot >= 0),
    reason             TEXT NOT NULL CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*')
) STRICT;

-- One row while analysis and delivery are paused.
CREATE TABLE pause (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    since  REAL NOT NULL,
    reason TEXT NOT NULL CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*')
) STRICT;

-- What is wrong with the box now and should reach a person; each beginning and end is an event too.
CREATE TABLE alarm (
    name   TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^a-z0-9_.-]*'),
    since  REAL NOT NULL,
    reason TEXT NOT NULL CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^A-Za-z0-9_.:-]*')
) STRICT;

-- How far each reader of the trail has come: what it has told others of.
CREATE TABLE follower (
    name  TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^a-z0-9_-]*'),
    event INTEGER NOT NULL CHECK (event >= 0)
) STRICT;
