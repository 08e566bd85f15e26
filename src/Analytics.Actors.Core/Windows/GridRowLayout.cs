using System.Text.Json;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// How the last row was written, by which the next one is read: what stands between its values must be there again, byte by
/// byte, and the values themselves are read where they stand. So a row that is read by it has the members of the last one,
/// in its order. Whatever differs in any other way is read in the general way.
/// </summary>
internal sealed class GridRowLayout(WindowPlan plan)
{
    private enum Kind { Time, Numbers, Number }

    /// <summary>A value, and from <paramref name="Start"/> to <paramref name="End"/> of the text what stands in front of it.</summary>
    /// <param name="Order">Place among the plan's series, row series behind keyed ones; -1 for the time.</param>
    /// <param name="Length">Of the value as the last row had it.</param>
    private readonly record struct Piece(Kind Kind, int Order, int Start, int End, int Length);

    private readonly List<Piece> pieces = [];
    private byte[] text = [];
    private int length, end;
    private bool isKnown;

    /// <summary>Rows of this layout have a list of keys, that of the last row.</summary>
    public bool HasKeys { get; private set; }

    public void Forget() => isKnown = false;

    /// <summary>Rows are expected to look like this one from now on, if they can be read by that.</summary>
    /// <param name="found">The members of the item, which is a row.</param>
    public void Learn(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found)
    {
        pieces.Clear();
        HasKeys = plan.KeysSlot >= 0 && found[plan.KeysSlot].HasValue;
        // Keys that are a series too are a value, and no text that is there again.
        if (HasKeys && Array.Exists(plan.Series, series => series.Slot == plan.KeysSlot)) return;
        // A list of keys, members that are null and whatever nobody asks for belong to what must be there again.
        if (plan.TimeSlot >= 0) pieces.Add(new Piece(Kind.Time, -1, found[plan.TimeSlot].Start, 0, found[plan.TimeSlot].Length));
        for (var i = 0; i < plan.Series.Length; i++) Add(Kind.Numbers, i, found[plan.Series[i].Slot]);
        for (var i = 0; i < plan.RowSeries.Length; i++) Add(Kind.Number, plan.Series.Length + i, found[plan.RowSeries[i].Slot]);
        // The numbers of a row stand one behind the other in the order of the plan: so they must be written.
        for (var i = 1; i < pieces.Count; i++)
            if (pieces[i - 1].Order >= 0 && pieces[i - 1].Start + pieces[i - 1].Length > pieces[i].Start) return;
        pieces.Sort(static (left, right) => left.Start.CompareTo(right.Start));
        if (text.Length < item.Length) text = new byte[item.Length];
        item.CopyTo(text);
        length = item.Length;
        var at = 0;
        for (var i = 0; i < pieces.Count; i++)
        {
            // Values that stand inside others: a path that leads into what another one names.
            if (pieces[i].Start < at) return;
            (pieces[i], at) = (pieces[i] with { End = pieces[i].Start, Start = at }, pieces[i].Start + pieces[i].Length);
        }

        end = at;
        isKnown = true;

        void Add(Kind kind, int order, JsonSlice slice)
        {
            if (slice.HasValue) pieces.Add(new Piece(kind, order, slice.Start, 0, slice.Length));
        }
    }

    /// <summary>Reads a row's numbers into <paramref name="rows"/>; false where it must be read in the general way, and what was added dropped.</summary>
    public bool TryRead(ReadOnlySpan<byte> item, TimeSpan timeZone, int keyCount, GridRows rows, out long localMs, out bool withT)
    {
        localMs = 0;
        withT = false;
        if (!isKnown) return false;
        if (!HasKeys) keyCount = 0;
        var (at, order) = (0, 0);
        foreach (ref readonly var piece in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(pieces))
        {
            var before = text.AsSpan(piece.Start, piece.End - piece.Start);
            if (!item[at..].StartsWith(before)) return false;
            at += before.Length;
            if (piece.Kind == Kind.Time)
            {
                // A time of another length is not looked for; an escaped one, or one that ends elsewhere, is none. The last one may
                // have been a number of one digit.
                if (piece.Length < 2 || item.Length - at < piece.Length) return false;
                var time = item.Slice(at, piece.Length);
                if (time[0] != '"' || time[^1] != '"' || time[1..^1].IndexOfAny((byte)'"', (byte)'\\') >= 0) return false;
                if (!EventTime.TryReadLocal(time, timeZone, out localMs, out withT)) return false;
                at += piece.Length;
                continue;
            }

            for (; order < piece.Order; order++) rows.AddHoles(order < plan.Series.Length ? keyCount : 1);
            at = piece.Kind == Kind.Number ? ReadNumber(item, at, rows) : ReadNumbers(item, at, keyCount, rows);
            if (at < 0) return false;
            order++;
        }

        for (; order < plan.Series.Length + plan.RowSeries.Length; order++) rows.AddHoles(order < plan.Series.Length ? keyCount : 1);
        return item[at..].SequenceEqual(text.AsSpan(end, length - end));
    }

    private static int ReadNumbers(ReadOnlySpan<byte> item, int at, int count, GridRows rows)
    {
        if (PlainJson.At(item, at) != '[') return PlainJson.Failed;
        at++;
        for (var i = 0; i < count; i++)
        {
            if (i > 0 && PlainJson.At(item, at++) != ',') return PlainJson.Failed;
            at = ReadNumber(item, at, rows);
            if (at < 0) return PlainJson.Failed;
        }

        return PlainJson.At(item, at) == ']' ? at + 1 : PlainJson.Failed;
    }

    private static int ReadNumber(ReadOnlySpan<byte> item, int at, GridRows rows)
    {
        var next = GridNumber.TryRead(item, at, out var number);
        if (next >= 0)
        {
            rows.Add(number);
            return next;
        }

        // A number of many digits, an exponent, null, or something else.
        next = PlainJson.Value(item, at, 0);
        if (next < 0) return PlainJson.Failed;
        switch (PlainJson.Kind(item[at]))
        {
            case JsonTokenType.Number:
                rows.Read(item[at..next]);
                return next;
            case JsonTokenType.Null:
                rows.AddHoles(1);
                return next;
            default:
                return PlainJson.Failed;
        }
    }
}
