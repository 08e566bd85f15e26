namespace Analytics.Actors.Storage;

/// <summary>One step of the schema, in both dialects. A released step never changes; a change is a new step.</summary>
internal sealed record Migration(int Number, string Name, string Sqlite, string PostgreSql);

/// <summary>
/// The schema's history, one numbered list. Steps that a database lacks are applied in order, in one transaction, under a
/// lock that keeps other nodes from doing the same; <c>schema_version</c> tells what has been applied and by which binary.
/// </summary>
internal static class Migrations
{
    public static readonly IReadOnlyList<Migration> All =
    [
        new(1, "checkpoints",
            // The entity table keeps its rowid: with states of a kilobyte and more, updates of rows stored inside a
            // primary key's tree (WITHOUT ROWID) were measured to be four times slower. Small rows are better off in it.
            Sqlite: """
                CREATE TABLE store (
                    id              INTEGER PRIMARY KEY CHECK (id = 1),
                    store_id        TEXT    NOT NULL,
                    consumer_group  TEXT    NOT NULL,
                    shard_count     INTEGER NOT NULL
                ) STRICT;

                -- One row per shard from the beginning, so that a takeover is one UPDATE.
                CREATE TABLE shard (
                    shard       INTEGER PRIMARY KEY,
                    epoch       INTEGER NOT NULL,
                    checkpoint  INTEGER NOT NULL,
                    owner       TEXT    NOT NULL,
                    released    INTEGER NOT NULL,
                    state       BLOB    NOT NULL
                ) STRICT;

                CREATE TABLE entity (
                    shard  INTEGER NOT NULL,
                    kind   INTEGER NOT NULL,
                    key    TEXT    NOT NULL,
                    state  BLOB    NOT NULL,
                    PRIMARY KEY (shard, kind, key)
                ) STRICT;

                CREATE TABLE position (
                    shard              INTEGER NOT NULL,
                    topic              TEXT    NOT NULL,
                    partition          INTEGER NOT NULL,
                    next_offset        INTEGER NOT NULL,
                    last_timestamp_ms  INTEGER NOT NULL,
                    last_checksum      INTEGER NOT NULL,
                    PRIMARY KEY (shard, topic, partition)
                ) STRICT, WITHOUT ROWID;

                -- applied_hash holds 64 bits, read as unsigned.
                CREATE TABLE mark (
                    shard            INTEGER NOT NULL,
                    log_topic        TEXT    NOT NULL,
                    log_partition    INTEGER NOT NULL,
                    source           TEXT    NOT NULL,
                    highest_offset   INTEGER NOT NULL,
                    highest_index    INTEGER NOT NULL,
                    highest_ordinal  INTEGER NOT NULL,
                    applied_count    INTEGER NOT NULL,
                    applied_hash     INTEGER NOT NULL,
                    PRIMARY KEY (shard, log_topic, log_partition, source)
                ) STRICT, WITHOUT ROWID;

                -- headers: a JSON list of name, value, name, value.
                CREATE TABLE outbox (
                    shard         INTEGER NOT NULL,
                    topic         TEXT    NOT NULL,
                    partition     INTEGER NOT NULL,
                    sequence      INTEGER NOT NULL,
                    key           BLOB,
                    value         BLOB    NOT NULL,
                    headers       TEXT    NOT NULL,
                    timestamp_ms  INTEGER NOT NULL,
                    PRIMARY KEY (shard, topic, partition, sequence)
                ) STRICT;

                CREATE TABLE source (
                    topic            TEXT    NOT NULL,
                    partition        INTEGER NOT NULL,
                    partition_count  INTEGER NOT NULL,
                    incarnation      INTEGER NOT NULL,
                    gap_from         INTEGER NOT NULL,
                    gap_to           INTEGER NOT NULL,
                    gap_reason       TEXT    NOT NULL,
                    PRIMARY KEY (topic, partition)
                ) STRICT, WITHOUT ROWID;
                """,
            // Entity keys are bytes: PostgreSQL's text cannot hold U+0000, which a station id may contain, and bytes sort
            // as SQLite's text does. Topic names are plain ASCII and sort by the collation "C" for the same reason.
            PostgreSql: """
                CREATE TABLE store (
                    id              integer PRIMARY KEY CHECK (id = 1),
                    store_id        text    NOT NULL,
                    consumer_group  text    NOT NULL,
                    shard_count     integer NOT NULL
                );

                CREATE TABLE shard (
                    shard       integer PRIMARY KEY,
                    epoch       bigint  NOT NULL,
                    checkpoint  bigint  NOT NULL,
                    owner       text    NOT NULL,
                    released    boolean NOT NULL,
                    state       bytea   NOT NULL
                );

                CREATE TABLE entity (
                    shard  integer  NOT NULL,
                    kind   smallint NOT NULL,
                    key    bytea    NOT NULL,
                    state  bytea    NOT NULL,
                    PRIMARY KEY (shard, kind, key)
                );

                CREATE TABLE position (
                    shard              integer NOT NULL,
                    topic              text    NOT NULL COLLATE "C",
                    partition          integer NOT NULL,
                    next_offset        bigint  NOT NULL,
                    last_timestamp_ms  bigint  NOT NULL,
                    last_checksum      bigint  NOT NULL,
                    PRIMARY KEY (shard, topic, partition)
                );

                CREATE TABLE mark (
                    shard            integer NOT NULL,
                    log_topic        text    NOT NULL COLLATE "C",
                    log_partition    integer NOT NULL,
                    source           text    NOT NULL COLLATE "C",
                    highest_offset   bigint  NOT NULL,
                    highest_index    integer NOT NULL,
                    highest_ordinal  integer NOT NULL,
                    applied_count    bigint  NOT NULL,
                    applied_hash     bigint  NOT NULL,
                    PRIMARY KEY (shard, log_topic, log_partition, source)
                );

                CREATE TABLE outbox (
                    shard         integer NOT NULL,
                    topic         text    NOT NULL COLLATE "C",
                    partition     integer NOT NULL,
                    sequence      bigint  NOT NULL,
                    key           bytea,
                    value         bytea   NOT NULL,
                    headers       text    NOT NULL,
                    timestamp_ms  bigint  NOT NULL,
                    PRIMARY KEY (shard, topic, partition, sequence)
                );

                CREATE TABLE source (
                    topic            text    NOT NULL COLLATE "C",
                    partition        integer NOT NULL,
                    partition_count  integer NOT NULL,
                    incarnation      integer NOT NULL,
                    gap_from         bigint  NOT NULL,
                    gap_to           bigint  NOT NULL,
                    gap_reason       text    NOT NULL,
                    PRIMARY KEY (topic, partition)
                );
                """),
        new(2, "routing rules",
            Sqlite: """
                CREATE TABLE routing_rule (
                    name  TEXT PRIMARY KEY,
                    rule  TEXT NOT NULL
                ) STRICT, WITHOUT ROWID
                """,
            PostgreSql: """
                CREATE TABLE routing_rule (
                    name  text COLLATE "C" PRIMARY KEY,
                    rule  text NOT NULL
                )
                """),
        new(3, "dead letters",
            // The bytes stand last, so that a list does not read through them.
            Sqlite: """
                CREATE TABLE dead_letter (
                    shard                INTEGER NOT NULL,
                    number               INTEGER NOT NULL,
                    topic                TEXT    NOT NULL,
                    partition            INTEGER NOT NULL,
                    incarnation          INTEGER NOT NULL,
                    record_offset        INTEGER NOT NULL,
                    item_index           INTEGER NOT NULL,
                    station              TEXT    NOT NULL,
                    reason               TEXT    NOT NULL,
                    detail               TEXT    NOT NULL,
                    form                 INTEGER NOT NULL,
                    record_timestamp_ms  INTEGER NOT NULL,
                    time_ms              INTEGER NOT NULL,
                    length               INTEGER NOT NULL,
                    checksum             INTEGER NOT NULL,
                    replay_of_shard      INTEGER,
                    replay_of_number     INTEGER,
                    state                INTEGER NOT NULL,
                    changed_by           TEXT    NOT NULL,
                    changed_ms           INTEGER NOT NULL,
                    bytes                BLOB    NOT NULL,
                    PRIMARY KEY (shard, number)
                ) STRICT;

                CREATE INDEX dead_letter_time ON dead_letter (time_ms, shard, number);
                """,
            // Station and detail are bytes because a station id, and what a detail quotes, may contain U+0000.
            PostgreSql: """
                CREATE TABLE dead_letter (
                    shard                integer  NOT NULL,
                    number               bigint   NOT NULL,
                    topic                text     NOT NULL COLLATE "C",
                    partition            integer  NOT NULL,
                    incarnation          integer  NOT NULL,
                    record_offset        bigint   NOT NULL,
                    item_index           integer  NOT NULL,
                    station              bytea    NOT NULL,
                    reason               text     NOT NULL COLLATE "C",
                    detail               bytea    NOT NULL,
                    form                 smallint NOT NULL,
                    record_timestamp_ms  bigint   NOT NULL,
                    time_ms              bigint   NOT NULL,
                    length               bigint   NOT NULL,
                    checksum             bigint   NOT NULL,
                    replay_of_shard      integer,
                    replay_of_number     bigint,
                    state                smallint NOT NULL,
                    changed_by           text     NOT NULL,
                    changed_ms           bigint   NOT NULL,
                    bytes                bytea    NOT NULL,
                    PRIMARY KEY (shard, number)
                );

                CREATE INDEX dead_letter_time ON dead_letter (time_ms, shard, number);
                """),
        new(4, "positions",
            // The committed position of a source partition with the record before it, as a shard's positions have them.
            Sqlite: """
                ALTER TABLE source ADD COLUMN next_offset INTEGER NOT NULL DEFAULT -1;
                ALTER TABLE source ADD COLUMN last_timestamp_ms INTEGER NOT NULL DEFAULT -1;
                ALTER TABLE source ADD COLUMN last_checksum INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE source ADD COLUMN is_wanted INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE source ADD COLUMN gap_at_ms INTEGER NOT NULL DEFAULT -1;
                ALTER TABLE position ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 0;
                """,
            PostgreSql: """
                ALTER TABLE source ADD COLUMN next_offset bigint NOT NULL DEFAULT -1;
                ALTER TABLE source ADD COLUMN last_timestamp_ms bigint NOT NULL DEFAULT -1;
                ALTER TABLE source ADD COLUMN last_checksum bigint NOT NULL DEFAULT 0;
                ALTER TABLE source ADD COLUMN is_wanted boolean NOT NULL DEFAULT false;
                ALTER TABLE source ADD COLUMN gap_at_ms bigint NOT NULL DEFAULT -1;
                ALTER TABLE position ADD COLUMN incarnation integer NOT NULL DEFAULT 0;
                """),
        new(5, "earlier runs",
            // What a renewed store remembers of the outputs that it wrote under an earlier id: where each run ends. A row with
            // an empty topic tells of an id under which nothing was written.
            Sqlite: """
                CREATE TABLE earlier_run (
                    store_id       TEXT    NOT NULL,
                    shard          INTEGER NOT NULL,
                    topic          TEXT    NOT NULL,
                    partition      INTEGER NOT NULL,
                    next_sequence  INTEGER NOT NULL,
                    PRIMARY KEY (store_id, shard, topic, partition)
                ) STRICT, WITHOUT ROWID
                """,
            PostgreSql: """
                CREATE TABLE earlier_run (
                    store_id       text    NOT NULL COLLATE "C",
                    shard          integer NOT NULL,
                    topic          text    NOT NULL COLLATE "C",
                    partition      integer NOT NULL,
                    next_sequence  bigint  NOT NULL,
                    PRIMARY KEY (store_id, shard, topic, partition)
                )
                """),
        new(6, "cluster",
            // What nodes tell of themselves. superseded: sessions that another process of the same id took the row from, the
            // newest first, so that none of them takes it back.
            Sqlite: """
                CREATE TABLE cluster_node (
                    node                   TEXT PRIMARY KEY,
                    session                TEXT    NOT NULL,
                    superseded             TEXT    NOT NULL DEFAULT '',
                    address                TEXT    NOT NULL,
                    version                TEXT    NOT NULL,
                    roles                  TEXT    NOT NULL,
                    state                  INTEGER NOT NULL,
                    started_ms             INTEGER NOT NULL,
                    shards                 INTEGER NOT NULL,
                    records_per_second     REAL    NOT NULL,
                    calls_running          INTEGER NOT NULL,
                    cpu_share              REAL    NOT NULL,
                    memory_bytes           INTEGER NOT NULL,
                    configuration_version  INTEGER NOT NULL,
                    seen_ms                INTEGER NOT NULL
                ) STRICT, WITHOUT ROWID;

                CREATE TABLE cluster_event (
                    number       INTEGER PRIMARY KEY AUTOINCREMENT,
                    at_ms        INTEGER NOT NULL,
                    kind         TEXT    NOT NULL,
                    node         TEXT    NOT NULL,
                    shard        INTEGER,
                    duration_ms  INTEGER,
                    ordered_by   TEXT    NOT NULL,
                    detail       TEXT    NOT NULL
                ) STRICT;
                """,
            // Who ordered it and details are bytes because what they quote may contain U+0000.
            PostgreSql: """
                CREATE TABLE cluster_node (
                    node                   text COLLATE "C" PRIMARY KEY,
                    session                text             NOT NULL,
                    superseded             text             NOT NULL DEFAULT '',
                    address                text             NOT NULL,
                    version                text             NOT NULL,
                    roles                  text             NOT NULL,
                    state                  smallint         NOT NULL,
                    started_ms             bigint           NOT NULL,
                    shards                 integer          NOT NULL,
                    records_per_second     double precision NOT NULL,
                    calls_running          integer          NOT NULL,
                    cpu_share              double precision NOT NULL,
                    memory_bytes           bigint           NOT NULL,
                    configuration_version  bigint           NOT NULL,
                    seen_ms                bigint           NOT NULL
                );

                CREATE TABLE cluster_event (
                    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                    at_ms        bigint NOT NULL,
                    kind         text   NOT NULL,
                    node         text   NOT NULL,
                    shard        integer,
                    duration_ms  bigint,
                    ordered_by   bytea  NOT NULL,
                    detail       bytea  NOT NULL
                );
                """),
        new(7, "configuration",
            // Versions of the pipeline, and per source partition and life what routers may process, and from which offset on by
            // which version.
            Sqlite: """
                CREATE TABLE configuration (
                    number      INTEGER PRIMARY KEY,
                    text        TEXT    NOT NULL,
                    applied_by  TEXT    NOT NULL,
                    applied_ms  INTEGER NOT NULL,
                    comment     TEXT    NOT NULL
                ) STRICT;

                CREATE TABLE source_grant (
                    topic        TEXT    NOT NULL,
                    partition    INTEGER NOT NULL,
                    incarnation  INTEGER NOT NULL,
                    granted      INTEGER NOT NULL,
                    PRIMARY KEY (topic, partition, incarnation)
                ) STRICT, WITHOUT ROWID;

                CREATE TABLE rules_from (
                    topic        TEXT    NOT NULL,
                    partition    INTEGER NOT NULL,
                    incarnation  INTEGER NOT NULL,
                    version      INTEGER NOT NULL,
                    from_offset  INTEGER NOT NULL,
                    PRIMARY KEY (topic, partition, incarnation, version)
                ) STRICT, WITHOUT ROWID;
                """,
            PostgreSql: """
                CREATE TABLE configuration (
                    number      bigint PRIMARY KEY,
                    text        text   NOT NULL,
                    applied_by  text   NOT NULL,
                    applied_ms  bigint NOT NULL,
                    comment     text   NOT NULL
                );

                CREATE TABLE source_grant (
                    topic        text    NOT NULL COLLATE "C",
                    partition    integer NOT NULL,
                    incarnation  integer NOT NULL,
                    granted      bigint  NOT NULL,
                    PRIMARY KEY (topic, partition, incarnation)
                );

                CREATE TABLE rules_from (
                    topic        text    NOT NULL COLLATE "C",
                    partition    integer NOT NULL,
                    incarnation  integer NOT NULL,
                    version      bigint  NOT NULL,
                    from_offset  bigint  NOT NULL,
                    PRIMARY KEY (topic, partition, incarnation, version)
                );
                """),
    ];

    /// <summary>The step since which a store remembers its earlier ids.</summary>
    public const int EarlierRuns = 5;

    /// <summary>The schema version that this binary reads and writes.</summary>
    public static int Latest => All[^1].Number;

    /// <summary>The table that the steps are recorded in; it must exist before the first one can be.</summary>
    public static readonly Migration VersionTable = new(0, "schema_version",
        Sqlite: """
            CREATE TABLE IF NOT EXISTS schema_version (
                version     INTEGER PRIMARY KEY,
                name        TEXT NOT NULL,
                applied_by  TEXT NOT NULL,
                applied_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
            ) STRICT
            """,
        PostgreSql: """
            CREATE TABLE IF NOT EXISTS schema_version (
                version     integer PRIMARY KEY,
                name        text NOT NULL,
                applied_by  text NOT NULL,
                applied_at  timestamptz NOT NULL DEFAULT now()
            )
            """);

    /// <summary>This binary as <c>schema_version</c> records it.</summary>
    public static string Binary { get; } = $"analytics {typeof(Migrations).Assembly.GetName().Version!.ToString(3)}";
}
