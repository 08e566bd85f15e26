namespace Analytics.Actors.Core.Records;

/// <summary>Why something of a record cannot be used; the stable text of a dead letter.</summary>
/// <param name="Code">Short and stable, for programs: not-json, wrong-envelope, no-id, invalid-id, wrong-type, ...</param>
/// <param name="Detail">For people: what was found and what would be right.</param>
public readonly record struct Rejection(string Code, string Detail)
{
    public override string ToString() => Detail.Length == 0 ? Code : $"{Code}: {Detail}";
}

/// <summary>What one record says of one station: all its items of that station, in their order.</summary>
/// <param name="Station">The station's id as text; empty in the single part of a global record.</param>
/// <param name="Index">Index in the record of the part's first item.</param>
/// <param name="Ordinal">Ordinal of the station inside that item (0 unless an item names several).</param>
/// <param name="Items">The items' bytes: slices of the record, each one JSON value.</param>
public sealed record StationPart(string Station, int Index, int Ordinal, IReadOnlyList<ReadOnlyMemory<byte>> Items)
{
    /// <summary>Each item's index in the record, where they do not simply count on from <see cref="Index"/>; else empty.</summary>
    public IReadOnlyList<int> ItemIndexes { get; init; } = [];
}

/// <summary>An item that cannot be used. Index is its place in the record, or 0 where the whole record is rejected.</summary>
/// <param name="Form">What the bytes are.</param>
public sealed record RejectedItem(int Index, Rejection Reason, ReadOnlyMemory<byte> Bytes, RejectedForm Form = RejectedForm.Item);

/// <summary>
/// A record taken apart: parts ordered by <see cref="StationPart.Index"/> (one per station), rejections ordered likewise.
/// </summary>
public sealed record SplitRecord(bool IsGlobal, IReadOnlyList<StationPart> Parts, IReadOnlyList<RejectedItem> Rejected);
