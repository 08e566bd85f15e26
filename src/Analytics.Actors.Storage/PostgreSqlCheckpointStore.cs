using System.Data;
using System.Net.Sockets;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Cluster;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>
/// The checkpoint store of a cluster: a PostgreSQL database that all nodes share. What is acknowledged is as safe as the
/// server's own COMMIT, with which a session may not wait for less than the disk and the synchronous standbys. Transactions
/// run under READ COMMITTED; what makes races come out right is that the row of a shard is locked before anything of the
/// shard is changed. Cancellation is heeded until an operation begins, never in its middle: no outcome is unknown because
/// of it.
/// </summary>
public sealed partial class PostgreSqlCheckpointStore : ICheckpointStore, IClusterStore, IStoreAdministration
{
    private readonly PostgreSqlAddress address;
    private readonly PostgreSqlStoreOptions options;
    private readonly NpgsqlDataSource source;
    private readonly SemaphoreSlim committing = new(1);
    private readonly SemaphoreSlim registering = new(1);
    private readonly SemaphoreSlim others;
    private string storeId = "";
    private int shardCount;
    private bool disposed;

    public PostgreSqlCheckpointStore(PostgreSqlAddress address, PostgreSqlStoreOptions? options = null)
    {
        this.address = address;
        this.options = options ?? new PostgreSqlStoreOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(this.options.Connections, 2, "Connections");
        others = new SemaphoreSlim(this.options.Connections - 1);
        source = PostgreSqlSessions.Create(address, this.options);
    }

    public async ValueTask<StoreIdentity> OpenAsync(string group, int shardCount, CancellationToken cancellation)
    {
        ArgumentException.ThrowIfNullOrEmpty(group);
        ArgumentOutOfRangeException.ThrowIfLessThan(shardCount, 1);
        var identity = await WriteRepeatable(connection => PostgreSqlSchema.OpenAsync(connection, address.ToString(), group, shardCount), cancellation).ConfigureAwait(false);
        this.shardCount = shardCount;
        storeId = identity.StoreId;
        return identity;
    }

    public async ValueTask<RecoveredShard> TakeOverAsync(ShardId shard, string owner, CancellationToken cancellation)
    {
        RequireShard(shard);
        var (epoch, releasedInOrder) = await WriteRepeatable(connection => RaiseEpochAsync(connection, shard, owner), cancellation).ConfigureAwait(false);
        CrashPoint.Reached(CrashPoint.TakeoverAfterEpoch);
        // The epoch is committed: from here on nothing that an earlier owner does can change what is read.
        return await Use(others, async connection =>
        {
            await using var snapshot = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, CancellationToken.None).ConfigureAwait(false);
            var recovered = await PostgreSqlShardReader.ReadAsync(connection, shard, epoch, releasedInOrder).ConfigureAwait(false);
            await snapshot.CommitAsync(CancellationToken.None).ConfigureAwait(false);
            return recovered;
        }, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<CheckpointOutcome>> CommitAsync(IReadOnlyList<ShardCheckpoint> checkpoints, CancellationToken cancellation)
    {
        if (checkpoints.Count == 0) return [];
        ShardCheckpoint.RequireOnePerShard(checkpoints);
        foreach (var checkpoint in checkpoints) RequireShard(checkpoint.Shard);
        return await Use(
            committing,
            connection => Transaction(
                connection, () => PostgreSqlCheckpointWriter.WriteAsync(connection, checkpoints),
                commits: outcomes => outcomes.Contains(CheckpointOutcome.Committed)),
            cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<EntityState>> ReadEntitiesAsync(ShardId shard, EntityKind kind, IReadOnlyList<string>? keys, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Use(others, connection => PostgreSqlShardReader.ReadEntitiesAsync(connection, shard, kind, keys), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<EntityState>> ReadPageAsync(ShardId shard, EntityKind kind, string? after, int limit, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Use(others, connection => PostgreSqlShardReader.ReadPageAsync(connection, shard, kind, after, limit), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<SourceState>> UpdateSourcesAsync(IReadOnlyList<SourceState> changed, CancellationToken cancellation)
    {
        RequireOpen();
        if (changed.Count == 0) return await Use(others, PostgreSqlSources.ReadAllAsync, cancellation).ConfigureAwait(false);
        return await WriteRepeatable(
            async connection =>
            {
                await PostgreSqlSources.UpsertAsync(connection, changed).ConfigureAwait(false);
                return await PostgreSqlSources.ReadAllAsync(connection).ConfigureAwait(false);
            },
            cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<PartitionPosition>> ReadPositionsAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, PostgreSqlShardReader.ReadAllPositionsAsync, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ChangedRule>> PinRulesAsync(IReadOnlyList<RoutingRule> rules, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(connection => PostgreSqlSources.PinRulesAsync(connection, rules), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<ConfigurationVersion?> ReadConfigurationAsync(long? number, CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, connection => PostgreSqlConfigurations.ReadAsync(connection, number), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<ConfigurationVersion>> ListConfigurationsAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, PostgreSqlConfigurations.ListAsync, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<ConfigurationOutcome> ApplyConfigurationAsync(ConfigurationChange change, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(connection => PostgreSqlConfigurations.ApplyAsync(connection, change), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<SourceGrant>> RaiseGrantsAsync(IReadOnlyList<GrantRequest> requests, long known, CancellationToken cancellation)
    {
        RequireOpen();
        return await WriteRepeatable(connection => PostgreSqlConfigurations.RaiseAsync(connection, requests, known), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<SourceGrant>> ReadGrantsAsync(CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, PostgreSqlConfigurations.ReadGrantsAsync, cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<StoredDeadLetter>> ListDeadLettersAsync(DeadLetterFilter filter, DeadLetterId? after, int limit, CancellationToken cancellation)
    {
        RequireOpen();
        return await Use(others, connection => PostgreSqlDeadLetters.ListAsync(connection, filter, after, limit), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<IReadOnlyList<StoredDeadLetter>> ReadDeadLettersAsync(ShardId shard, DeadLetterFilter filter, long above, int limit, CancellationToken cancellation)
    {
        RequireShard(shard);
        return await Use(others, connection => PostgreSqlDeadLetters.ReadAsync(connection, shard, filter, above, limit), cancellation).ConfigureAwait(false);
    }

    public async ValueTask<ShardOwner> OwnerAsync(ShardId shard, CancellationToken cancellation)
    {
        RequireShard(shard);
        return (await Use(others, connection => connection.QueryAsync("SELECT owner, epoch FROM shard WHERE shard = $1", row => new ShardOwner(row.GetString(0), new Epoch(row.GetInt64(1))), shard.Value), cancellation)
            .ConfigureAwait(false)).Single();
    }

    public async ValueTask<StoreDescription> DescribeAsync(CancellationToken cancellation) =>
        await Use(others, connection => PostgreSqlAdministration.DescribeAsync(connection, address.ToString()), cancellation).ConfigureAwait(false);

    public async ValueTask<StoreRenewal> RenewAsync(bool force, CancellationToken cancellation) => await Use(
        others, connection => Transaction(connection, () => PostgreSqlAdministration.RenewAsync(connection, address.ToString(), force)), cancellation).ConfigureAwait(false);

    /// <summary>Waits for the operations in progress, then closes the connections.</summary>
    public async ValueTask DisposeAsync()
    {
        await committing.WaitAsync().ConfigureAwait(false);
        try
        {
            if (disposed) return;
            disposed = true;
            await registering.WaitAsync().ConfigureAwait(false);
            for (var i = 1; i < options.Connections; i++) await others.WaitAsync().ConfigureAwait(false);
            await source.DisposeAsync().ConfigureAwait(false);
            others.Release(options.Connections - 1);
            registering.Release();
        }
        finally
        {
            committing.Release();
        }
    }

    /// <summary>A connection as the store uses it, for tests that look at its settings.</summary>
    internal Task<T> WithConnection<T>(Func<NpgsqlConnection, Task<T>> work) => Use(others, work, CancellationToken.None);

    private async Task<(Epoch Epoch, bool ReleasedInOrder)> RaiseEpochAsync(NpgsqlConnection connection, ShardId shard, string owner)
    {
        await using var batch = connection.CreateBatch();
        batch.Add("SELECT released FROM shard WHERE shard = $1 FOR NO KEY UPDATE", shard.Value);
        batch.Add("UPDATE shard SET epoch = epoch + 1, owner = $2, released = false WHERE shard = $1 RETURNING epoch", shard.Value, owner);
        // Asked last, under the lock of the shard's row: a renewal of the store changes all of them.
        batch.Add("SELECT store_id FROM store");
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        var released = (await reader.RowsAsync(row => row.GetBoolean(0)).ConfigureAwait(false)).Single();
        var epoch = (await reader.NextRowsAsync(row => row.GetInt64(0)).ConfigureAwait(false)).Single();
        StoreRefusals.RequireSameStore(address.ToString(), storeId, (await reader.NextRowsAsync(row => row.GetString(0)).ConfigureAwait(false)).Single());
        return (new Epoch(epoch), released);
    }

    /// <summary>Writes whose repetition does no harm: the caller need not distinguish an unknown outcome from a failure.</summary>
    private Task<T> WriteRepeatable<T>(Func<NpgsqlConnection, Task<T>> work, CancellationToken cancellation) => WriteRepeatable(others, work, cancellation);

    private async Task<T> WriteRepeatable<T>(SemaphoreSlim places, Func<NpgsqlConnection, Task<T>> work, CancellationToken cancellation)
    {
        try
        {
            return await Use(places, connection => Transaction(connection, () => work(connection)), cancellation).ConfigureAwait(false);
        }
        catch (CommitOutcomeUnknownException failure)
        {
            throw new StoreUnavailableException(failure.Message, failure);
        }
    }

    /// <summary>
    /// Does the work in one transaction. <paramref name="commits"/> may decide that the result is not worth a commit.
    /// Whatever fails before COMMIT is sent leaves nothing behind: the server ends a transaction whose client is gone.
    /// </summary>
    private async Task<T> Transaction<T>(NpgsqlConnection connection, Func<Task<T>> work, Func<T, bool>? commits = null)
    {
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, CancellationToken.None).ConfigureAwait(false);
        var result = await work().ConfigureAwait(false);
        if (commits?.Invoke(result) ?? true) await CommitAsync(connection, transaction).ConfigureAwait(false);
        else await transaction.RollbackAsync(CancellationToken.None).ConfigureAwait(false);
        return result;
    }

    /// <summary>
    /// Only an answer of the classes 40 (transaction rollback, but for 40003, which says that it is not known) and 23 (a
    /// constraint) proves that nothing was committed. Any other failure may come after the commit record was written:
    /// a connection that broke or fell silent, a server that shuts down (57P01) or is told to cancel (57014) while it waits
    /// for its standbys. In that wait the server even answers "committed", with a warning that the standbys may lack it.
    /// </summary>
    private async Task CommitAsync(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        string? warning = null;
        void Hear(object? sender, NpgsqlNoticeEventArgs notice) => warning ??= notice.Notice.InvariantSeverity == "WARNING" ? notice.Notice.MessageText : null;
        connection.Notice += Hear;
        try
        {
            await transaction.CommitAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (PostgresException failure) when (failure.SqlState != "40003" && (failure.SqlState.StartsWith("40", StringComparison.Ordinal) || failure.SqlState.StartsWith("23", StringComparison.Ordinal)))
        {
            throw;
        }
        catch (Exception failure)
        {
            throw new CommitOutcomeUnknownException($"{address}: COMMIT failed ({Explain(failure)}); whether it took place is unknown.", failure);
        }
        finally
        {
            connection.Notice -= Hear;
        }

        if (warning is not null) throw new CommitOutcomeUnknownException($"{address}: COMMIT was answered with a warning ({warning}); whether it will last is unknown.");
    }

    private async Task<T> Use<T>(SemaphoreSlim places, Func<NpgsqlConnection, Task<T>> work, CancellationToken cancellation)
    {
        await places.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            await using var connection = await source.OpenConnectionAsync(cancellation).ConfigureAwait(false);
            return await work(connection).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is NpgsqlException or IOException or SocketException or TimeoutException)
        {
            throw new StoreUnavailableException($"{address}: {Explain(failure)}", failure);
        }
        finally
        {
            places.Release();
        }
    }

    // The library's own messages often say only that reading failed; the reason is inside.
    private static string Explain(Exception failure) =>
        failure is PostgresException or not NpgsqlException || failure.InnerException is not { } inner ? failure.Message : $"{failure.Message}: {inner.Message}";

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
}
