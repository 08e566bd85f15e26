using System.Text.Json;

namespace Analytics.Actors.Node.Demo;

/// <summary>Which dead letter: the source record, the item in it (0 for a whole record) and the reason's code.</summary>
public readonly record struct DeadLetterKey(string Topic, int Partition, long Offset, int Index, string Code)
{
    public override string ToString() => $"{Topic}:{Partition}:{Offset}, item {Index}: {Code}";

    /// <summary>Reads a record of the dead-letter topic; false where it is not one.</summary>
    public static bool TryRead(ReadOnlySpan<byte> value, out DeadLetterKey key)
    {
        key = default;
        try
        {
            var reader = new Utf8JsonReader(value);
            var letter = JsonElement.ParseValue(ref reader);
            key = new DeadLetterKey(
                letter.GetProperty("topic").GetString()!, letter.GetProperty("partition").GetInt32(), letter.GetProperty("offset").GetInt64(),
                letter.GetProperty("index").GetInt32(), letter.GetProperty("reason").GetString()!);
            return key is { Topic: not null, Code: not null };
        }
        catch (Exception failure) when (failure is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return false;
        }
    }
}

/// <summary>The dead letters that should be there and are not, are there and should not be, or are there twice.</summary>
public sealed record DeadLetterDifferences(
    IReadOnlyList<DeadLetterKey> Missing, IReadOnlyList<DeadLetterKey> Unexpected, IReadOnlyList<DeadLetterKey> Repeated)
{
    public int Total => Missing.Count + Unexpected.Count + Repeated.Count;
}

/// <summary>Compares the dead letters that bad records must cause with those read back.</summary>
public static class DeadLetterComparison
{
    /// <param name="read">With how often each was read.</param>
    public static DeadLetterDifferences Compare(IReadOnlySet<DeadLetterKey> expected, IReadOnlyDictionary<DeadLetterKey, int> read) => new(
        [.. expected.Where(key => !read.ContainsKey(key))],
        [.. read.Keys.Where(key => !expected.Contains(key))],
        [.. read.Where(entry => entry.Value > 1 && expected.Contains(entry.Key)).Select(entry => entry.Key)]);
}
