using System.Runtime.InteropServices;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Windows;

/// <summary>Numbers of one series: row after row, <see cref="Width"/> values each; NaN is a hole. Never changed once it is in use.</summary>
/// <param name="Exact">Texts of the values that a double does not hold exactly, by index.</param>
internal sealed record GridColumn(double[] Values, int Width, Dictionary<int, byte[]>? Exact)
{
    /// <summary>The column without holes; itself where there are none or nothing fills them, so that no number is copied for nothing.</summary>
    public GridColumn Filled(FillStrategy strategy)
    {
        if (strategy == FillStrategy.Missing || !HasHole()) return this;
        var filled = this with { Values = (double[])Values.Clone(), Exact = Exact is null ? null : new Dictionary<int, byte[]>(Exact) };
        Fill.Columns(filled.Values, filled.Exact, Width, strategy);
        return filled;
    }

    private bool HasHole()
    {
        foreach (var value in Values)
            if (double.IsNaN(value)) return true;
        return false;
    }
}

/// <summary>
/// Rows placed on the last periods that end at the newest of them: contiguous columns, oldest period first. Immutable, so
/// that a window and the inputs made from it share it.
/// </summary>
internal sealed class GridColumns
{
    /// <summary>In <see cref="RowTimes"/>: the period has no row.</summary>
    public const long NoRow = long.MinValue;

    /// <summary>What the clock of the pipeline's zone shows at the newest period, ms.</summary>
    public required long EndLocalMs { get; init; }
    public required long PeriodMs { get; init; }
    public required bool AlignNewest { get; init; }
    public required bool WithT { get; init; }

    /// <summary>JSON texts in order of first appearance.</summary>
    public required byte[][] Keys { get; init; }

    /// <summary>The own time of each period's row on the same clock, or <see cref="NoRow"/>.</summary>
    public required long[] RowTimes { get; init; }

    /// <summary>In the order of the configuration.</summary>
    public required GridColumn[] Keyed { get; init; }

    /// <summary>In the order of the configuration; null where no row carries the series.</summary>
    public required GridColumn?[] Single { get; init; }

    /// <summary>Periods, with or without a row.</summary>
    public int Count => RowTimes.Length;

    public long PeriodLocalMs(int row) => EndLocalMs - (Count - 1 - row) * PeriodMs;

    /// <summary>Places rows on the grid; null where there are none.</summary>
    public static GridColumns? Place(TopicConfiguration topic, GridRows rows)
    {
        if (rows.Rows.Count == 0) return null;
        var period = PeriodOf(topic);
        var alignNewest = topic.Align == GridAlignment.Newest;
        var newest = rows.Rows.MaxBy(row => row.LocalMs);
        var end = alignNewest ? Floor(newest.LocalMs, MinuteMs) : Floor(newest.LocalMs, period);
        var winners = Winners(rows, topic.Window, end, period, alignNewest);
        var columnOfKey = ColumnsOfKeys(rows, winners, out var keys);

        var keyed = new GridColumn[topic.Grid!.KeyedSeries.Count];
        for (var series = 0; series < keyed.Length; series++) keyed[series] = PlaceKeyed(rows, winners, series, columnOfKey, keys.Length);
        var single = new GridColumn?[topic.Grid.RowSeries.Count];
        for (var series = 0; series < single.Length; series++) single[series] = PlaceSingle(rows, winners, keyed.Length, series);
        var times = new long[topic.Window];
        for (var row = 0; row < times.Length; row++) times[row] = winners[row] < 0 ? NoRow : rows.Rows[winners[row]].LocalMs;
        return new GridColumns
        {
            EndLocalMs = end, PeriodMs = period, AlignNewest = alignNewest, WithT = newest.WithT,
            Keys = keys, RowTimes = times, Keyed = keyed, Single = single,
        };
    }

    /// <summary>
    /// The rows of this grid that <paramref name="keep"/> accepts (by their own time), to be placed anew. A key that has no
    /// number in any kept row is gone.
    /// </summary>
    public GridRows ToRows(WindowPlan plan, Func<long, bool> keep)
    {
        var rows = new GridRows(plan);
        var ids = new int[Keys.Length];
        for (var key = 0; key < ids.Length; key++)
            ids[key] = rows.Keys.IdOf(Keys[key], AppendCheck.Kind(Keys[key]));
        for (var row = 0; row < Count; row++)
        {
            if (RowTimes[row] == NoRow || !keep(RowTimes[row])) continue;
            var present = Enumerable.Range(0, Keys.Length)
                .Where(key => Keyed.Any(column => !double.IsNaN(column.Values[row * column.Width + key]))).ToArray();
            var start = rows.Values.Count;
            foreach (var column in Keyed)
                foreach (var key in present) AddValue(rows, column, row * column.Width + key);
            foreach (var column in Single)
            {
                if (column is null) rows.AddValue(double.NaN, null);
                else AddValue(rows, column, row);
            }

            rows.Add(new GridRows.Row(RowTimes[row], WithT, Array.ConvertAll(present, key => ids[key]), start));
        }

        return rows;
    }

    public static long PeriodOf(TopicConfiguration topic) => Math.Max(1, topic.PeriodMs ?? 3_600_000);

    private const long MinuteMs = 60_000;

    private static void AddValue(GridRows rows, GridColumn column, int index) =>
        rows.AddValue(column.Values[index], column.Exact?.GetValueOrDefault(index));

    /// <summary>Per period, oldest first, the index of its latest row (of equal times the one written last), or -1.</summary>
    private static int[] Winners(GridRows rows, int window, long end, long period, bool alignNewest)
    {
        var winners = new int[window];
        Array.Fill(winners, -1);
        for (var i = 0; i < rows.Rows.Count; i++)
        {
            var localMs = rows.Rows[i].LocalMs;
            // Aligned to the newest row, a period reaches back from its end; else it is the one that contains the time.
            var back = alignNewest ? (end - Floor(localMs, MinuteMs)) / period : (end - Floor(localMs, period)) / period;
            if (back >= window) continue;
            ref var winner = ref winners[window - 1 - (int)back];
            if (winner < 0 || localMs >= rows.Rows[winner].LocalMs) winner = i;
        }

        return winners;
    }

    private static int[] ColumnsOfKeys(GridRows rows, int[] winners, out byte[][] keys)
    {
        var columns = new int[rows.Keys.Count];
        Array.Fill(columns, -1);
        var spellings = new List<byte[]>();
        foreach (var winner in winners)
        {
            if (winner < 0) continue;
            foreach (var key in rows.Rows[winner].Keys)
            {
                if (columns[key] >= 0) continue;
                columns[key] = spellings.Count;
                spellings.Add(rows.Keys.Spelling(key));
            }
        }

        keys = spellings.ToArray();
        return columns;
    }

    private static GridColumn PlaceKeyed(GridRows rows, int[] winners, int series, int[] columnOfKey, int width)
    {
        var values = new double[winners.Length * width];
        Array.Fill(values, double.NaN);
        Dictionary<int, byte[]>? exact = null;
        var source = CollectionsMarshal.AsSpan(rows.Values);
        for (var row = 0; row < winners.Length; row++)
        {
            if (winners[row] < 0) continue;
            var (_, _, keys, start) = rows.Rows[winners[row]];
            start += series * keys.Length;
            for (var i = 0; i < keys.Length; i++) Put(rows, source, start + i, values, row * width + columnOfKey[keys[i]], ref exact);
        }

        return new GridColumn(values, width, exact);
    }

    private static GridColumn? PlaceSingle(GridRows rows, int[] winners, int keyedCount, int series)
    {
        var values = new double[winners.Length];
        Array.Fill(values, double.NaN);
        Dictionary<int, byte[]>? exact = null;
        var source = CollectionsMarshal.AsSpan(rows.Values);
        for (var row = 0; row < winners.Length; row++)
        {
            if (winners[row] < 0) continue;
            var (_, _, keys, start) = rows.Rows[winners[row]];
            Put(rows, source, start + keyedCount * keys.Length + series, values, row, ref exact);
        }

        return Array.TrueForAll(values, double.IsNaN) ? null : new GridColumn(values, 1, exact);
    }

    private static void Put(GridRows rows, ReadOnlySpan<double> source, int from, double[] values, int to, ref Dictionary<int, byte[]>? exact)
    {
        values[to] = source[from];
        // A key that a row names twice has the value named last.
        exact?.Remove(to);
        if (rows.Exact is not null && rows.Exact.TryGetValue(from, out var text)) (exact ??= [])[to] = text;
    }

    private static long Floor(long value, long unit)
    {
        var rest = value % unit;
        return rest < 0 ? value - rest - unit : value - rest;
    }
}
