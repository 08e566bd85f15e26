using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Analytics.Actors.Storage;

/// <summary>
/// The checkpoint store of one machine: a SQLite file in WAL mode. An acknowledged checkpoint survives the loss of power.
/// One connection writes checkpoints, one what the node tells of itself, a few others read meanwhile; several processes may
/// share the file. SQLite works on the calling thread and waits for the disk there, so every operation runs on the thread
/// pool and the caller's loop goes on. Cancellation is heeded until an operation begins, never in its middle: no outcome is
/// unknown because of it.
/// </summary>
public sealed partial class SqliteCheckpointStore : ICheckpointStore, IClusterStore, IStoreAdministration
{
    private readonly string path;
    private readonly SqliteStoreOptions options;
    private readonly Writer committing = new();
    private readonly Writer registering = new();
    private readonly SemaphoreSlim reading;
    private readonly ConcurrentBag<SqliteSession> idleReaders = [];

    // Open from the first opening to the end, for one thing: to know whether the file at the path is still the same one. A
    // write to a file that is no longer there would be acknowledged and lost.
    private SqliteSession? anchor;
    private string storeId = "";
    private int shardCount;
    private bool disposed;

    /// <param name="path">The database file; it and its directory are made at the first opening.</param>
    public SqliteCheckpointStore(string path, SqliteStoreOptions? options = null)
    {
        this.path = Path.GetFullPath(path);
        this.options = options ?? new SqliteStoreOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(this.options.ReadConnections, 1, "ReadConnections");
        reading = new SemaphoreSlim(this.options.ReadConnections);
    }

    public async ValueTask<StoreIdentity> OpenAsync(string group, int shardCount, CancellationToken cancellation)
    {
        ArgumentException.ThrowIfNullOrEmpty(group);
        ArgumentOutOfRangeException.ThrowIfLessThan(shardCount, 1);
        var identity = await WriteRepeatable(
            session =>
            {
                var opened = SqliteSchema.Open(session, path, group, shardCount);
                anchor ??= OpenAnchor();
                return opened;
            },
            cancellation).ConfigureAwait(false);
        this.shardCount = shardCount;
        storeId = identity.StoreId;
        return identity;
    }

    public async ValueTask<RecoveredShard> TakeOverAsync(ShardId shard, string owner, CancellationToken cancellation)
    {
        RequireShard(shard);
        var (epoch, releasedInOrder) = await WriteRepeatable(session => session.Write(() => RaiseEpoch(session, shard, owner)), cancellation).ConfigureAwait(false);
        CrashPoint.Reached(CrashPoint.TakeoverAfterEpoch);
        // The epoch is committed: from here on nothing that an earlier owner does can change what is read.
        return await Read(session => SqliteShardReader.Read(session, shard, epoch, releasedInOrder), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<CheckpointOutcome>> CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints, CancellationToken cancellation)
    {
        if (checkpoints.Count == 0) return [];
        ShardCheckpoint.RequireOnePerShard(checkpoints);
        foreach (var checkpoint in checkpoints) RequireShard(checkpoint.Shard);
        return await Write(
            committing,
            session => session.Write(
                () =>
                {
                    var outcomes = checkpoints.Select(checkpoint => SqliteCheckpointWriter.Write(session, checkpoint)).ToArray();
                    CrashPoint.Reached(CrashPoint.CheckpointBeforeCommit);
                    return outcomes;
                },
                commits: outcomes => outcomes.Contains(CheckpointOutcome.Committed)),
            cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<EntityState>> ReadEntitiesAsync(ShardId shard, EntityKind kind, IReadOnlyList<string>? keys, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Read(session => SqliteShardReader.ReadEntities(session, shard, kind, keys), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<EntityState>> ReadPageAsync(ShardId shard, EntityKind kind, string? after, int limit, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Read(session => SqliteShardReader.ReadPage(session, shard, kind, after, limit), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<SourceState>> UpdateSourcesAsync(IReadOnlyList<SourceState> changed, CancellationToken cancellation)
    {
        RequireOpen();
        if (changed.Count == 0) return await Read(SqliteSources.ReadAll, cancellation).ConfigureAwait(false);
        return await WriteRepeatable(
            session => session.Write(() =>
            {
                SqliteSources.Upsert(session, changed);
                return SqliteSources.ReadAll(session);
            }),
            cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<PartitionPosition>> ReadPositionsAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(SqliteShardReader.ReadAllPositions, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ChangedRule>> PinRulesAsync(IReadOnlyList<RoutingRule> rules, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(
            session => session.Write(() =>
            {
                var stored = session.Prepare("SELECT name, rule FROM routing_rule").Read(row => (Name: row.Text(0), Rule: row.Text(1)))
                    .ToDictionary(row => row.Name, row => row.Rule, StringComparer.Ordinal);
                var changed = rules.Where(rule => stored.TryGetValue(rule.Name, out var known) && known != rule.Rule)
                    .Select(rule => new ChangedRule(rule.Name, stored[rule.Name], rule.Rule)).ToList();
                if (changed.Count > 0) return changed;
                foreach (var rule in rules.Where(rule => !stored.ContainsKey(rule.Name)))
                {
                    session.Prepare("INSERT INTO routing_rule (name, rule) VALUES (?1, ?2)").Bind(1, rule.Name).Bind(2, rule.Rule).Execute();
                }

                return changed;
            }),
            cancellation).ConfigureAwait(false);
    }

    public async ValueTask<ConfigurationVersion?> ReadConfigurationAsync(long? number, CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(session => SqliteConfigurations.Read(session, number), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ConfigurationVersion>> ListConfigurationsAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(SqliteConfigurations.List, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<ConfigurationOutcome> ApplyConfigurationAsync(ConfigurationChange change, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(session => session.Write(() => SqliteConfigurations.Apply(session, change)), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<SourceGrant>> RaiseGrantsAsync(IReadOnlyList<GrantRequest> requests, long known, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(session => session.Write(() => SqliteConfigurations.Raise(session, requests, known)), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<SourceGrant>> ReadGrantsAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(SqliteConfigurations.ReadGrants, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<StoredDeadLetter>> ListDeadLettersAsync(DeadLetterFilter filter, DeadLetterId? after, int limit, CancellationToken cancellation)
    {
        RequireOpen();
        return await Read(session => SqliteDeadLetters.List(session, filter, after, limit), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<StoredDeadLetter>> ReadDeadLettersAsync(ShardId shard, DeadLetterFilter filter, long above, int limit, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Read(session => SqliteDeadLetters.Read(session, shard, filter, above, limit), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<ShardOwner> OwnerAsync(ShardId shard, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Read(
            session => session.Prepare("SELECT owner, epoch FROM shard WHERE shard = ?1").Bind(1, shard.Value).Read(row => new ShardOwner(row.Text(0), new Epoch(row.Integer(1)))).Single(),
            cancellation).ConfigureAwait(false);
    }

    public async ValueTask<StoreDescription> DescribeAsync(CancellationToken cancellation)
    {
        RequireFile();
        return await Read(session => SqliteAdministration.Describe(session, path), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<StoreRenewal> RenewAsync(bool force, CancellationToken cancellation)
    {
        RequireFile();
        cancellation.ThrowIfCancellationRequested();
        return await Task.Run(() =>
        {
            try
            {
                using var session = SqliteSession.Open(path, options, readOnly: false, alone: !force, creates: false);
                return session.Write(() => SqliteAdministration.Renew(session, path));
            }
            catch (SqliteException failure) when (failure.SqliteErrorCode == raw.SQLITE_BUSY && !force)
            {
                throw StoreRefusals.NodesConnected(path);
            }
            catch (SqliteException failure)
            {
                throw Unavailable(failure);
            }
        }, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Waits for the operations in progress, then lets go of the file.</summary>
    public async ValueTask DisposeAsync()
    {
        await committing.Gate.WaitAsync().ConfigureAwait(false);
        await registering.Gate.WaitAsync().ConfigureAwait(false);
        try
        {
            if (disposed) return;
            disposed = true;
            for (var i = 0; i < options.ReadConnections; i++) await reading.WaitAsync().ConfigureAwait(false);
            while (idleReaders.TryTake(out var reader)) reader.Dispose();
            reading.Release(options.ReadConnections);
            // The writers go last: the last connection to leave folds the log into the file, which a reader may not.
            anchor?.Dispose();
            anchor = null;
            registering.Close();
            committing.Close();
        }
        finally
        {
            registering.Gate.Release();
            committing.Gate.Release();
        }
    }

    /// <summary>The settings and hooks of the writing connection, for tests that make it fail.</summary>
    internal Task<T> WithWriter<T>(Func<SqliteSession, T> work) => Write(committing, work, CancellationToken.None);

    private (Epoch Epoch, bool ReleasedInOrder) RaiseEpoch(SqliteSession session, ShardId shard, string owner)
    {
        StoreRefusals.RequireSameStore(path, storeId, session.Prepare("SELECT store_id FROM store").Read(row => row.Text(0)).Single());
        var released = session.Prepare("SELECT released FROM shard WHERE shard = ?1").Bind(1, shard.Value).Read(row => row.Integer(0)).Single();
        var epoch = session.Prepare("UPDATE shard SET epoch = epoch + 1, owner = ?2, released = 0 WHERE shard = ?1 RETURNING epoch")
            .Bind(1, shard.Value).Bind(2, owner).Read(row => row.Integer(0)).Single();
        return (new Epoch(epoch), released != 0);
    }

    private async Task<T> Write<T>(Writer writer, Func<SqliteSession, T> work, CancellationToken cancellation)
    {
        await writer.Gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            return await Task.Run(() =>
            {
                try
                {
                    RequireInPlace();
                    if (writer.Session is null)
                    {
                        writer.Session = OpenWriter();
                        RequireInPlace();
                    }

                    var result = work(writer.Session);
                    if (IsElsewhere() is { } elsewhere) throw new CommitOutcomeUnknownException($"{elsewhere} Whether the transaction will be found again is unknown.");
                    return result;
                }
                catch (Exception failure)
                {
                    writer.Close();
                    if (failure is SqliteException sqlite) throw Unavailable(sqlite);
                    throw;
                }
            }, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            writer.Gate.Release();
        }
    }

    /// <summary>Writes whose repetition does no harm: the caller need not distinguish an unknown outcome from a failure.</summary>
    private Task<T> WriteRepeatable<T>(Func<SqliteSession, T> work, CancellationToken cancellation) => WriteRepeatable(committing, work, cancellation);

    private async Task<T> WriteRepeatable<T>(Writer writer, Func<SqliteSession, T> work, CancellationToken cancellation)
    {
        try
        {
            return await Write(writer, work, cancellation).ConfigureAwait(false);
        }
        catch (CommitOutcomeUnknownException failure)
        {
            throw new StoreUnavailableException($"{path}: {failure.Message}", failure);
        }
    }

    private async Task<T> Read<T>(Func<SqliteSession, T> work, CancellationToken cancellation)
    {
        await reading.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            return await Task.Run(() =>
            {
                SqliteSession? session = null;
                try
                {
                    RequireInPlace();
                    if (!idleReaders.TryTake(out session))
                    {
                        session = SqliteSession.Open(path, options, readOnly: true, creates: false);
                        RequireInPlace();
                    }

                    var result = session.Read(() => work(session));
                    idleReaders.Add(session);
                    return result;
                }
                catch (Exception failure)
                {
                    session?.Dispose();
                    if (failure is SqliteException sqlite) throw Unavailable(sqlite);
                    throw;
                }
            }, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            reading.Release();
        }
    }

    private SqliteSession OpenWriter()
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new StoreUnavailableException($"The directory of {path} cannot be made: {failure.Message}", failure);
        }
        // A file that disappears later is not made anew: it would be an empty one.
        return SqliteSession.Open(path, options, readOnly: false, creates: anchor is null);
    }

    private SqliteSession OpenAnchor()
    {
        var session = OpenWriter();
        // Only a connection that has looked into the file has a share in its log, which then outlives the others.
        session.Prepare("SELECT id FROM store").Read(row => row.Integer(0));
        return session;
    }

    private void RequireInPlace()
    {
        if (IsElsewhere() is { } elsewhere) throw new StoreUnavailableException(elsewhere);
    }

    /// <summary>What became of the file while the store is open; null while it is where it was.</summary>
    private string? IsElsewhere()
    {
        if (anchor is not { } opened) return null;
        const string Remedy = "Nothing is read or written until it is back; a restart would go on with what is there now.";
        if (opened.HasMoved) return $"{path} was moved, deleted or replaced by another file while it was in use. {Remedy}";
        return File.Exists(path + "-wal") ? null : $"{path}-wal, which holds the newest transactions, was moved or deleted while it was in use. {Remedy}";
    }

    private Exception Unavailable(SqliteException failure) => failure.SqliteErrorCode == raw.SQLITE_NOTADB
        ? new StoreRefusedException($"{path} is not a SQLite database. Give the path of a new file, or of one that this system made.")
        : new StoreUnavailableException($"{path}: {failure.Message}", failure);

    private void RequireFile()
    {
        if (!File.Exists(path)) throw StoreRefusals.NoStore(path);
    }

    private void RequireOpen()
    {
        if (shardCount == 0) throw new InvalidOperationException("OpenAsync comes first.");
    }

    private void RequireShard(ShardId shard)
    {
        RequireOpen();
        if ((uint)shard.Value >= (uint)shardCount)
            throw new ArgumentOutOfRangeException(nameof(shard), shard, $"The store has the shards 0 to {shardCount - 1}.");
    }

    /// <summary>A connection that writes, and whose turn it is. Null until its first use, and after a failure.</summary>
    private sealed class Writer
    {
        public SemaphoreSlim Gate { get; } = new(1);
        public SqliteSession? Session { get; set; }

        public void Close()
        {
            Session?.Dispose();
            Session = null;
        }
    }
}
