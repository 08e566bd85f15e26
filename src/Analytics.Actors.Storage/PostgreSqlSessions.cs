using System.Globalization;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>The connections of one node to its database: what each is set to, whatever the server's defaults are.</summary>
internal static class PostgreSqlSessions
{
    /// <summary>What nodes call themselves in <c>pg_stat_activity</c>, where the address does not say otherwise.</summary>
    public const string ApplicationName = "analytics";

    public static NpgsqlDataSource Create(PostgreSqlAddress address, PostgreSqlStoreOptions options)
    {
        var settings = new NpgsqlConnectionStringBuilder(address.Settings.ConnectionString)
        {
            Pooling = true,
            MinPoolSize = 0,
            // One more than the store's own: the node's row is written whatever the others wait for.
            MaxPoolSize = options.Connections + 1,
            CommandTimeout = (int)Math.Ceiling(options.CommandTimeout.TotalSeconds),
            // A connection whose time is up is given up at once: to ask a frozen server for a cancellation is to wait again.
            CancellationTimeout = -1,
            // What a session is set to below must outlive its use, and no use leaves anything else behind.
            NoResetOnClose = true,
            // Names the key of a row that was given twice.
            IncludeErrorDetail = true,
            // Times that a route or a firewall lost show as a failure.
            KeepAlive = 30,
        };
        if (!address.Settings.ShouldSerialize("Timeout")) settings.Timeout = 5;
        // Chosen below.
        settings.Remove("Target Session Attributes");
        settings.ApplicationName ??= ApplicationName;
        var limit = ((long)options.LockTimeout.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
        // A commit that the server did not wait for could be lost after it was acknowledged.
        var setup = $"""
            SET lock_timeout = {limit};
            SET idle_in_transaction_session_timeout = {limit};
            SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')
            """;
        var builder = new NpgsqlDataSourceBuilder(settings.ConnectionString);
        builder.UsePhysicalConnectionInitializer(
            connection =>
            {
                using var command = connection.CreateCommand();
                command.CommandText = setup;
                command.ExecuteNonQuery();
            },
            async connection => await connection.RunAsync(setup).ConfigureAwait(false));
        // Of several hosts only the one that accepts writes is of use.
        return settings.Host!.Contains(',') ? builder.BuildMultiHost().WithTargetSession(TargetSessionAttributes.Primary) : builder.Build();
    }
}
