using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Routing;

/// <summary>
/// What one record sends to one shard, in pieces that fit an envelope. A single larger part is a piece of its own. The pieces
/// follow each other, so that their places rise.
/// </summary>
internal static class RecordPieces
{
    // A part's tag and length in its piece; the offset before it, which is not known yet and is longest as -1.
    private const int PartOverhead = 6;
    private const int PreviousOffsetSize = 11;

    /// <summary>Adds the record's pieces: nearly always the record as it is.</summary>
    public static void Cut(RoutedParts parts, in RoutedParts.Record whole, int bytesMax, List<RoutedParts.Record> pieces)
    {
        if (whole.Parts.Count == 1 || PartsWriter.SizeOf(parts, whole) + PreviousOffsetSize <= bytesMax)
        {
            pieces.Add(whole);
            return;
        }

        var piece = whole;
        piece.Parts = new RoutedParts.Run(whole.Parts.First, 0);
        var frameSize = PartsWriter.SizeOf(parts, piece) + PreviousOffsetSize;
        var bytes = frameSize;
        for (var next = whole.Parts.First; next < whole.Parts.End; next++)
        {
            var size = PartsWriter.SizeOf(parts, parts.Parts[next]) + PartOverhead;
            if (piece.Parts.Count > 0 && bytes + size > bytesMax)
            {
                pieces.Add(piece);
                piece.Parts = new RoutedParts.Run(next, 0);
                bytes = frameSize;
            }

            piece.Parts = piece.Parts with { Count = piece.Parts.Count + 1 };
            bytes += size;
        }

        pieces.Add(piece);
    }
}
