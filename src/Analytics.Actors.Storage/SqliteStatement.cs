using System.Buffers;
using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Analytics.Actors.Storage;

/// <summary>
/// One prepared statement of one connection, used again and again: bind, then <see cref="Execute"/> or <see cref="Read"/>.
/// It is bound and stepped directly because a checkpoint writes tens of thousands of rows, and an ADO.NET command boxes
/// every parameter and makes a reader for each of them. Parameters and columns are numbered as SQLite numbers them:
/// parameters from 1, columns from 0.
/// </summary>
internal sealed class SqliteStatement : IDisposable
{
    /// <summary>A half of a surrogate pair is refused: replaced by U+FFFD, two keys could become one.</summary>
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly sqlite3 database;
    private readonly sqlite3_stmt statement;

    public SqliteStatement(sqlite3 database, string sql)
    {
        this.database = database;
        Check(raw.sqlite3_prepare_v3(database, sql, raw.SQLITE_PREPARE_PERSISTENT, out statement));
    }

    public SqliteStatement Bind(int index, long value)
    {
        Check(raw.sqlite3_bind_int64(statement, index, value));
        return this;
    }

    public SqliteStatement Bind(int index, long? value)
    {
        if (value is { } known) return Bind(index, known);
        Check(raw.sqlite3_bind_null(statement, index));
        return this;
    }

    public SqliteStatement Bind(int index, double value)
    {
        Check(raw.sqlite3_bind_double(statement, index, value));
        return this;
    }

    public SqliteStatement Bind(int index, string? value)
    {
        if (value is null) return Bind(index, (byte[]?)null);
        const int OnStack = 512;
        if (value.Length == 0)
        {
            // An empty span has no address, which SQLite would take for null.
            Check(raw.sqlite3_bind_text(statement, index, ""));
            return this;
        }
        var length = Utf8.GetMaxByteCount(value.Length);
        var rented = length > OnStack ? ArrayPool<byte>.Shared.Rent(length) : null;
        Span<byte> bytes = rented ?? stackalloc byte[OnStack];
        try
        {
            Check(raw.sqlite3_bind_text(statement, index, bytes[..Utf8.GetBytes(value, bytes)]));
        }
        finally
        {
            if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        }
        return this;
    }

    public SqliteStatement Bind(int index, byte[]? value)
    {
        Check(value is null ? raw.sqlite3_bind_null(statement, index) : raw.sqlite3_bind_blob(statement, index, value));
        return this;
    }

    /// <summary>Runs a statement that returns no rows, and tells how many rows it changed.</summary>
    public int Execute()
    {
        try
        {
            Step();
            return raw.sqlite3_changes(database);
        }
        finally
        {
            Reset();
        }
    }

    /// <summary>Runs a statement and turns each of its rows into a value. The statement is at rest again when this returns.</summary>
    public List<T> Read<T>(Func<SqliteStatement, T> row)
    {
        var rows = new List<T>();
        try
        {
            while (Step()) rows.Add(row(this));
            return rows;
        }
        finally
        {
            Reset();
        }
    }

    public long Integer(int column) => raw.sqlite3_column_int64(statement, column);

    public double Real(int column) => raw.sqlite3_column_double(statement, column);

    public bool IsNull(int column) => raw.sqlite3_column_type(statement, column) == raw.SQLITE_NULL;

    /// <summary>Read by length and not up to the first zero byte: an id may hold U+0000.</summary>
    public string Text(int column) => Utf8.GetString(raw.sqlite3_column_blob(statement, column));

    public byte[] Blob(int column) => raw.sqlite3_column_blob(statement, column).ToArray();

    public byte[]? BlobOrNull(int column) => IsNull(column) ? null : Blob(column);

    public void Dispose() => statement.Dispose();

    private bool Step()
    {
        var result = raw.sqlite3_step(statement);
        if (result == raw.SQLITE_ROW) return true;
        if (result != raw.SQLITE_DONE) Check(result);
        return false;
    }

    /// <summary>Reset repeats the error of a failed step, which has been thrown already; bound values are let go.</summary>
    private void Reset()
    {
        raw.sqlite3_reset(statement);
        raw.sqlite3_clear_bindings(statement);
    }

    private void Check(int result)
    {
        if (result != raw.SQLITE_OK) SqliteException.ThrowExceptionForRC(result, database);
    }
}
