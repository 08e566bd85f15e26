using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Fills holes in a sequence: one algorithm for columns of numbers and for JSON values. A known value never changes, the
/// length never changes, and nothing that may stand in a sequence makes it fail.
/// </summary>
public static class Fill
{
    /// <summary>
    /// Fills the holes of a sequence of JSON values in place; a hole is an empty memory or null, and becomes null where
    /// nothing fills it. Only numbers are interpolated: any other value in the sequence makes linear act as forward.
    /// </summary>
    /// <param name="times">The values' times in ascending order, or empty: then they are equally far apart.</param>
    public static void Values(Span<ReadOnlyMemory<byte>> values, ReadOnlySpan<long> times, FillStrategy strategy)
    {
        var sequence = new JsonValues(values);
        Apply(ref sequence, times, strategy);
        foreach (ref var value in values)
            if (value.IsEmpty) value = JsonText.Null;
    }

    /// <summary>
    /// The newest <paramref name="length"/> of the values; a shorter sequence is padded in front, and the padding filled
    /// like any other hole.
    /// </summary>
    public static ReadOnlyMemory<byte>[] Pad(ReadOnlySpan<ReadOnlyMemory<byte>> values, ReadOnlySpan<long> times, int length, FillStrategy strategy)
    {
        var padded = new ReadOnlyMemory<byte>[Math.Max(length, 0)];
        var kept = Math.Min(values.Length, padded.Length);
        values[(values.Length - kept)..].CopyTo(padded.AsSpan(padded.Length - kept));
        var paddedTimes = Array.Empty<long>();
        if (times.Length == values.Length && kept > 0)
        {
            // The padding lies before all values, where their ends are held: which times it gets does not matter.
            paddedTimes = new long[padded.Length];
            Array.Fill(paddedTimes, long.MinValue);
            times[(times.Length - kept)..].CopyTo(paddedTimes.AsSpan(padded.Length - kept));
        }

        Values(padded, paddedTimes, strategy);
        return padded;
    }

    /// <summary>
    /// Fills every column of a table of numbers (row after row, rows equally far apart) in place; a hole is NaN.
    /// </summary>
    internal static void Columns(double[] values, Dictionary<int, byte[]>? exact, int columns, FillStrategy strategy)
    {
        for (var column = 0; column < columns; column++)
        {
            var sequence = new NumberColumn(values, exact, column, columns);
            Apply(ref sequence, [], strategy);
        }
    }

    private static void Apply<T>(ref T sequence, ReadOnlySpan<long> times, FillStrategy strategy)
        where T : IFillSequence, allows ref struct
    {
        if (strategy == FillStrategy.Missing) return;
        if (strategy == FillStrategy.Linear && !sequence.IsNumeric) strategy = FillStrategy.Forward;
        var before = -1;
        for (var i = 0; i < sequence.Count;)
        {
            if (sequence.IsKnown(i))
            {
                before = i++;
                continue;
            }

            var after = i + 1;
            while (after < sequence.Count && !sequence.IsKnown(after)) after++;
            for (var hole = i; hole < after; hole++) FillHole(ref sequence, times, strategy, before, hole, after);
            i = after;
        }
    }

    private static void FillHole<T>(ref T sequence, ReadOnlySpan<long> times, FillStrategy strategy, int before, int hole, int after)
        where T : IFillSequence, allows ref struct
    {
        var hasAfter = after < sequence.Count;
        if (strategy == FillStrategy.Zero) sequence.SetZero(hole);
        else if (strategy == FillStrategy.Linear && before >= 0 && hasAfter) sequence.Interpolate(before, after, Weight(times, before, hole, after), hole);
        else if (before >= 0) sequence.Copy(before, hole);
        else if (hasAfter) sequence.Copy(after, hole);
    }

    /// <summary>How far the hole lies on the way from the value before it to the one after it, by time where that is told.</summary>
    private static double Weight(ReadOnlySpan<long> times, int before, int hole, int after)
    {
        if (!times.IsEmpty && times[before] < times[hole] && times[hole] < times[after])
            return ((double)times[hole] - times[before]) / ((double)times[after] - times[before]);
        return (double)(hole - before) / (after - before);
    }

    private static double Between(double before, double after, double weight)
    {
        var value = before * (1 - weight) + after * weight;
        if (!double.IsFinite(value)) return before;
        // Rounding must not leave the interval, so that equal neighbours give the same value again.
        return Math.Clamp(value, Math.Min(before, after), Math.Max(before, after));
    }

    private interface IFillSequence
    {
        int Count { get; }

        /// <summary>All known values are numbers.</summary>
        bool IsNumeric { get; }
        bool IsKnown(int index);
        void SetZero(int index);
        void Copy(int from, int to);
        void Interpolate(int before, int after, double weight, int to);
    }

    private readonly ref struct NumberColumn(double[] values, Dictionary<int, byte[]>? exact, int offset, int stride) : IFillSequence
    {
        public int Count => values.Length / stride;
        public bool IsNumeric => true;
        public bool IsKnown(int index) => !double.IsNaN(values[At(index)]);
        public void SetZero(int index) => values[At(index)] = 0;

        public void Copy(int from, int to)
        {
            values[At(to)] = values[At(from)];
            if (exact is not null && exact.TryGetValue(At(from), out var text)) exact[At(to)] = text;
        }

        public void Interpolate(int before, int after, double weight, int to)
        {
            var value = Between(values[At(before)], values[At(after)], weight);
            // Beyond the range of doubles only the text of a neighbour can be had.
            if (double.IsFinite(value)) values[At(to)] = value;
            else Copy(before, to);
        }

        private int At(int index) => index * stride + offset;
    }

    private readonly ref struct JsonValues(Span<ReadOnlyMemory<byte>> values) : IFillSequence
    {
        private readonly Span<ReadOnlyMemory<byte>> values = values;

        public int Count => values.Length;

        public bool IsNumeric
        {
            get
            {
                for (var i = 0; i < values.Length; i++)
                    if (IsKnown(i) && !IsNumber(values[i].Span)) return false;
                return true;
            }
        }

        public bool IsKnown(int index) => !values[index].IsEmpty && !JsonText.IsNull(values[index].Span);
        public void SetZero(int index) => values[index] = JsonText.Zero;
        public void Copy(int from, int to) => values[to] = values[from];

        public void Interpolate(int before, int after, double weight, int to)
        {
            var value = Between(Number(before), Number(after), weight);
            if (!double.IsFinite(value))
            {
                Copy(before, to);
                return;
            }

            Span<byte> buffer = stackalloc byte[32];
            values[to] = buffer[..JsonText.FormatNumber(value, buffer)].ToArray();
        }

        private double Number(int index) => JsonText.ReadNumber(values[index].Span, out _);
        private static bool IsNumber(ReadOnlySpan<byte> value) => value[0] is (byte)'-' or (>= (byte)'0' and <= (byte)'9');
    }
}
