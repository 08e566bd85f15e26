using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Core.Routing;

/// <summary>
/// The way of a router to one destination: what waits, as envelopes that are filled in pooled buffers, and the one that is
/// outstanding. Its bytes do not change until it is acknowledged; then its buffer serves another.
/// </summary>
internal sealed class Lane(TopicPartition destination, int bytesMax)
{
    // A piece's tag and length in its envelope, counted as large as they may be.
    public const int PieceOverhead = 8;
    private const int FirstBytes = 1024;

    // Where pieces stand in both kinds of envelopes.
    private const int PiecesField = PartsEnvelope.RecordsFieldNumber;

    // In the order of sending; all but the last are full.
    private readonly Queue<Envelope> waiting = new();
    private Envelope? spare;
    private Envelope? last;
    private Envelope? outstanding;

    public TopicPartition Destination => destination;

    public bool InFlight => outstanding is not null;

    /// <summary>The router has noted that there is something to send.</summary>
    public bool IsListed { get; set; }

    /// <summary>The number of the envelope that is outstanding.</summary>
    public long Number { get; private set; }

    public ReadOnlyMemory<byte> Value => outstanding!.Value;

    /// <summary>Adds what a record says to this shard; returns the bytes that it counts.</summary>
    public int Add(SourceProgress.Pending of, RoutedParts parts, in RoutedParts.Record record, long nowMs)
    {
        var size = PartsWriter.SizeOf(parts, record);
        PartsWriter.Write(parts, record, Begin(of, size, nowMs));
        return size + PieceOverhead;
    }

    /// <inheritdoc cref="Add(SourceProgress.Pending, RoutedParts, in RoutedParts.Record, long)"/>
    public int Add(SourceProgress.Pending of, Manifest manifest, long nowMs)
    {
        var size = manifest.CalculateSize();
        manifest.WriteTo(Begin(of, size, nowMs));
        return size + PieceOverhead;
    }

    /// <summary>The next envelope is outstanding from now on; false where nothing waits, or another one still is.</summary>
    public bool TrySend(long number)
    {
        if (InFlight || !waiting.TryDequeue(out outstanding)) return false;
        if (outstanding == last) last = null;
        Number = number;
        return true;
    }

    /// <summary>The outstanding envelope is there: its pieces are acknowledged.</summary>
    /// <param name="landed">Gets what it held, by topic.</param>
    /// <returns>When the oldest of it was routed, ms.</returns>
    public long Acknowledged(List<(SourceTopic Topic, long Bytes)> landed)
    {
        var envelope = outstanding!;
        outstanding = null;
        foreach (var piece in envelope.Pieces)
        {
            piece.Of.Acknowledged();
            var topic = piece.Of.Owner.Topic;
            var at = landed.Count - 1;
            while (at >= 0 && landed[at].Topic != topic) at--;
            if (at < 0) landed.Add((topic, piece.Bytes));
            else landed[at] = (topic, landed[at].Bytes + piece.Bytes);
        }

        var routedMs = envelope.Pieces[0].RoutedMs;
        GiveBack(envelope);
        return routedMs;
    }

    /// <summary>Forgets what waits of a source partition; returns how many bytes that counted.</summary>
    public int Drop(SourceProgress source)
    {
        var dropped = 0;
        for (var count = waiting.Count; count > 0; count--)
        {
            var envelope = waiting.Dequeue();
            dropped += envelope.Drop(source);
            if (envelope.Pieces.Count > 0)
            {
                waiting.Enqueue(envelope);
                continue;
            }

            if (envelope == last) last = null;
            GiveBack(envelope);
        }

        return dropped;
    }

    private Span<byte> Begin(SourceProgress.Pending of, int size, long nowMs)
    {
        var bytes = size + PieceOverhead;
        if (last is null || last.Bytes + bytes > bytesMax)
        {
            waiting.Enqueue(last = spare ?? new Envelope());
            spare = null;
        }

        return last.Add(new Piece(of, bytes, nowMs), size);
    }

    private void GiveBack(Envelope envelope)
    {
        envelope.Clear();
        spare = envelope;
    }

    /// <summary>What one record sends here.</summary>
    private readonly record struct Piece(SourceProgress.Pending Of, int Bytes, long RoutedMs)
    {
        /// <summary>What it takes in the buffer.</summary>
        public int Written => PartsWriter.FieldSize(Bytes - PieceOverhead);
    }

    private sealed class Envelope
    {
        private byte[] buffer = [];
        private int used;

        public List<Piece> Pieces { get; } = [];

        /// <summary>What its pieces count together.</summary>
        public int Bytes { get; private set; }

        public ReadOnlyMemory<byte> Value => buffer.AsMemory(0, used);

        public Span<byte> Add(Piece piece, int size)
        {
            var written = piece.Written;
            if (buffer.Length - used < written) Grow(used + written);
            Pieces.Add(piece);
            Bytes += piece.Bytes;
            var to = buffer.AsSpan(used, written);
            used += written;
            return to[PartsWriter.Begin(PiecesField, size, to)..];
        }

        public int Drop(SourceProgress source)
        {
            var (from, to, kept, dropped) = (0, 0, 0, 0);
            foreach (var piece in Pieces.ToArray())
            {
                if (piece.Of.Owner == source)
                {
                    dropped += piece.Bytes;
                }
                else
                {
                    buffer.AsSpan(from, piece.Written).CopyTo(buffer.AsSpan(to));
                    to += piece.Written;
                    Pieces[kept++] = piece;
                }

                from += piece.Written;
            }

            Pieces.RemoveRange(kept, Pieces.Count - kept);
            used = to;
            Bytes -= dropped;
            return dropped;
        }

        public void Clear()
        {
            BufferPool.Shared.Return(buffer);
            buffer = [];
            used = Bytes = 0;
            Pieces.Clear();
        }

        private void Grow(int least)
        {
            var larger = BufferPool.Shared.Rent(Math.Max(least, Math.Max(FirstBytes, 2 * buffer.Length)));
            buffer.AsSpan(0, used).CopyTo(larger);
            BufferPool.Shared.Return(buffer);
            buffer = larger;
        }
    }
}
