namespace Analytics.Actors.Node.Demo;

/// <summary>One record for Kafka, with what must become of it.</summary>
/// <param name="Key">The station where the record is about one, else null.</param>
/// <param name="TimestampMs">The record's timestamp, ms since 1970 UTC.</param>
public sealed record DemoRecord(string Topic, string? Key, long TimestampMs, byte[] Value, Expectation Expectation);

/// <summary>A part that must be applied once: all items of one station, at the index of its first item (ordinal 0).</summary>
public readonly record struct ExpectedPart(string Station, int Index);

/// <summary>One dead letter that must be written: the item's index in the record, 0 for a whole record, and the code.</summary>
public readonly record struct ExpectedRejection(int Index, string Code);

/// <summary>
/// What must become of a record. It is known by construction, from what was put into the record, and never computed by
/// the code under test.
/// </summary>
public sealed record Expectation
{
    /// <summary>For every station, present and future: each shard applies it once, at index 0 and ordinal 0.</summary>
    public bool IsGlobal { get; init; }

    /// <summary>One per station, in the order of their first items; empty for a global record.</summary>
    public IReadOnlyList<ExpectedPart> Parts { get; init; } = [];

    public IReadOnlyList<ExpectedRejection> Rejections { get; init; } = [];

    /// <summary>What is wrong with the record; null for a good one.</summary>
    public BadRecordKind? Bad { get; init; }

    /// <summary>Nothing of the record can be applied.</summary>
    public bool IsRejectedWhole => !IsGlobal && Parts.Count == 0;

    /// <summary>A good global record.</summary>
    public static readonly Expectation Global = new() { IsGlobal = true };

    /// <summary>A good record about one station.</summary>
    public static Expectation Of(string station) => new() { Parts = [new ExpectedPart(station, 0)] };

    public static Expectation Rejected(BadRecordKind kind, string code) =>
        new() { Bad = kind, Rejections = [new ExpectedRejection(0, code)] };
}
