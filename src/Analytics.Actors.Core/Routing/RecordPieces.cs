using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Routing;

/// <summary>
/// What one record sends to each shard, in pieces that fit an envelope. A single larger part is a piece of its own. The
/// pieces of one shard follow each other, so that their places rise.
/// </summary>
internal static class RecordPieces
{
    // A part's tag and length in its piece; the offset before it, which is not known yet and is longest as -1.
    private const int PartOverhead = 6;
    private const int PreviousOffsetSize = 11;

    public static IReadOnlyList<(int Shard, RecordParts Parts)> Of(IReadOnlyList<(int Shard, RecordParts Parts)> routed, int bytesMax)
    {
        List<(int, RecordParts)>? pieces = null;
        for (var index = 0; index < routed.Count; index++)
        {
            var (shard, parts) = routed[index];
            // Nearly all records fit as they are.
            if (parts.Parts.Count == 1 || parts.CalculateSize() + PreviousOffsetSize <= bytesMax)
            {
                pieces?.Add((shard, parts));
                continue;
            }

            pieces ??= [.. routed.Take(index)];
            pieces.AddRange(Split(parts, bytesMax).Select(piece => (shard, piece)));
        }

        return pieces ?? routed;
    }

    private static IEnumerable<RecordParts> Split(RecordParts whole, int bytesMax)
    {
        var frame = whole.Clone();
        frame.Parts.Clear();
        var frameSize = frame.CalculateSize() + PreviousOffsetSize;
        var piece = frame.Clone();
        var bytes = frameSize;
        foreach (var part in whole.Parts)
        {
            var size = part.CalculateSize() + PartOverhead;
            if (piece.Parts.Count > 0 && bytes + size > bytesMax)
            {
                yield return piece;
                piece = frame.Clone();
                bytes = frameSize;
            }

            piece.Parts.Add(part);
            bytes += size;
        }

        yield return piece;
    }
}
