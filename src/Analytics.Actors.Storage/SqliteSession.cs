using Analytics.Actors.Core.Checkpoints;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Analytics.Actors.Storage;

/// <summary>
/// One connection to the database file with its prepared statements, used by one caller at a time. After any failure it
/// is thrown away and a new one is opened, so that nobody has to reason about a connection in an unknown state.
/// </summary>
internal sealed class SqliteSession : IDisposable
{
    private readonly SqliteConnection connection;
    private readonly Dictionary<string, SqliteStatement> statements = [];

    private SqliteSession(SqliteConnection connection) => this.connection = connection;

    internal sqlite3 Database => connection.Handle!;

    /// <param name="alone">Nobody else may have the file open, nor open it: else "busy" at the first access.</param>
    /// <param name="creates">Makes the file where there is none; its directory must exist.</param>
    public static SqliteSession Open(string path, SqliteStoreOptions options, bool readOnly, bool alone = false, bool creates = true)
    {
        SqliteNative.EnsureLoaded();
        var text = new SqliteConnectionStringBuilder
        {
            DataSource = path,
            // The store keeps its own few connections, and closing one must really let go of the file.
            Pooling = false,
            Mode = creates ? SqliteOpenMode.ReadWriteCreate : SqliteOpenMode.ReadWrite,
            DefaultTimeout = (int)Math.Ceiling(options.BusyTimeout.TotalSeconds),
        };
        var session = new SqliteSession(new SqliteConnection(text.ToString()));
        try
        {
            session.connection.Open();
            // First of all: a connection that has looked into the file once shares it for good.
            if (alone) session.Run("PRAGMA locking_mode = EXCLUSIVE");
            session.Run($"PRAGMA busy_timeout = {(long)options.BusyTimeout.TotalMilliseconds}");
            // FULL and not NORMAL: in WAL mode NORMAL may lose commits that were acknowledged when the power fails.
            session.Run("PRAGMA synchronous = FULL");
            // After a burst the log shrinks again; a checkpoint that finds it longer cuts it.
            session.Run("PRAGMA journal_size_limit = 67108864");
            session.Run($"PRAGMA cache_size = -{options.CacheKilobytes}");
            if (readOnly) session.Run("PRAGMA query_only = ON");
            return session;
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    /// <summary>The file was moved, deleted or replaced since this connection opened it.</summary>
    public bool HasMoved => SqliteNative.HasMoved(Database);

    /// <summary>The prepared form of a statement, made at its first use.</summary>
    public SqliteStatement Prepare(string sql)
    {
        if (!statements.TryGetValue(sql, out var statement))
            statements.Add(sql, statement = new SqliteStatement(Database, sql));
        return statement;
    }

    /// <summary>Runs one or several statements of text that is used once (settings, migrations).</summary>
    public void Run(string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    /// <summary>
    /// Does the work in one write transaction. The write lock is taken at its beginning, so that what the work reads
    /// cannot change before it writes. <paramref name="commits"/> may decide that the result is not worth a commit.
    /// </summary>
    /// <exception cref="CommitOutcomeUnknownException">COMMIT failed and nothing proves that it was rolled back.</exception>
    public T Write<T>(Func<T> work, Func<T, bool>? commits = null)
    {
        Prepare("BEGIN IMMEDIATE").Execute();
        T result;
        bool worthCommitting;
        try
        {
            result = work();
            worthCommitting = commits?.Invoke(result) ?? true;
        }
        catch
        {
            RollBack();
            throw;
        }
        if (worthCommitting) Commit();
        else RollBack();
        return result;
    }

    /// <summary>Reads in one transaction: every statement sees the same state of the database.</summary>
    public T Read<T>(Func<T> work)
    {
        Prepare("BEGIN").Execute();
        var result = work();
        Prepare("COMMIT").Execute();
        return result;
    }

    public void Dispose()
    {
        foreach (var statement in statements.Values) statement.Dispose();
        connection.Dispose();
    }

    /// <summary>
    /// Only "busy" with the transaction still open proves that nothing was written: then it is rolled back and the
    /// failure is an ordinary one. Any other failure may come after the commit frame reached the log (a failed fsync, a
    /// disk that filled up behind it), where the next opening of the file would find the transaction committed.
    /// </summary>
    private void Commit()
    {
        try
        {
            Prepare("COMMIT").Execute();
        }
        catch (SqliteException failure)
        {
            if (failure.SqliteErrorCode == raw.SQLITE_BUSY && TransactionIsOpen && RollBack()) throw;
            throw new CommitOutcomeUnknownException($"SQLite failed during COMMIT ({failure.Message}); whether it took place is unknown.", failure);
        }
    }

    /// <summary>False where the connection does not even roll back; closing it, which follows, does.</summary>
    private bool RollBack()
    {
        try
        {
            if (TransactionIsOpen) Prepare("ROLLBACK").Execute();
            return true;
        }
        catch (SqliteException)
        {
            return false;
        }
    }

    private bool TransactionIsOpen => raw.sqlite3_get_autocommit(Database) == 0;
}
