using System.Text;
using Npgsql;

namespace Analytics.Actors.Storage;

/// <summary>
/// The few forms in which statements are run: parameters are numbered from $1, a list is a parameter too (an array, which
/// unnest makes rows of). Nothing here takes a cancellation: an operation that began ends by its answer or its time limit.
/// </summary>
internal static class PostgreSqlCommands
{
    /// <summary>A half of a surrogate pair is refused: replaced by U+FFFD, two keys could become one.</summary>
    public static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Runs a statement and tells how many rows it changed.</summary>
    public static async Task<int> RunAsync(this NpgsqlConnection connection, string sql, params object[] parameters)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var value in parameters) command.Parameters.Add(new NpgsqlParameter { Value = value });
        return await command.ExecuteNonQueryAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Runs a statement and turns each of its rows into a value.</summary>
    public static async Task<List<T>> QueryAsync<T>(this NpgsqlConnection connection, string sql, Func<NpgsqlDataReader, T> row, params object[] parameters)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var value in parameters) command.Parameters.Add(new NpgsqlParameter { Value = value });
        await using var reader = await command.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        return await reader.RowsAsync(row).ConfigureAwait(false);
    }

    public static void Add(this NpgsqlBatch batch, string sql, params object[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var value in parameters) command.Parameters.Add(new NpgsqlParameter { Value = value });
        batch.BatchCommands.Add(command);
    }

    /// <summary>The rows of the current result.</summary>
    public static async Task<List<T>> RowsAsync<T>(this NpgsqlDataReader reader, Func<NpgsqlDataReader, T> row)
    {
        var rows = new List<T>();
        while (await reader.ReadAsync(CancellationToken.None).ConfigureAwait(false)) rows.Add(row(reader));
        return rows;
    }

    /// <summary>The rows of the next result of a batch.</summary>
    public static async Task<List<T>> NextRowsAsync<T>(this NpgsqlDataReader reader, Func<NpgsqlDataReader, T> row)
    {
        if (!await reader.NextResultAsync(CancellationToken.None).ConfigureAwait(false)) throw new InvalidOperationException("the batch has no further result");
        return await reader.RowsAsync(row).ConfigureAwait(false);
    }

    public static byte[] Bytes(this NpgsqlDataReader row, int column) => row.GetFieldValue<byte[]>(column);

    /// <summary>A text stored as bytes, because it may hold U+0000.</summary>
    public static string Key(this NpgsqlDataReader row, int column) => Utf8.GetString(row.Bytes(column));
}
