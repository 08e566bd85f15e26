using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Windows;

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

    /// <summary>
    /// The own time of each period's row on the same clock, or <see cref="NoRow"/>; null where every period has a row of just
    /// its own time.
    /// </summary>
    public required long[]? RowTimes { get; init; }

    /// <summary>In the order of the configuration.</summary>
    public required GridColumn[] Keyed { get; init; }

    /// <summary>In the order of the configuration; null where no row carries the series.</summary>
    public required GridColumn?[] Single { get; init; }

    /// <summary>Periods, with or without a row.</summary>
    public required int Count { get; init; }

    /// <summary>The own time of a period's row, or <see cref="NoRow"/>.</summary>
    public long RowTimeMs(int row) => RowTimes is null ? PeriodLocalMs(row) : RowTimes[row];

    public bool HasRow(int row) => RowTimes is null || RowTimes[row] != NoRow;

    /// <summary>Periods that have a row.</summary>
    public int RowCount => RowTimes is null ? Count : Count - RowTimes.AsSpan().Count(NoRow);

    /// <summary>The own time of the row of the earliest time.</summary>
    public required long OldestRowMs { get; init; }

    /// <summary>The newest row's own time.</summary>
    public long NewestRowMs => RowTimes?.Max() ?? EndLocalMs;

    public long PeriodLocalMs(int row) => EndLocalMs - (Count - 1 - row) * PeriodMs;

    /// <summary>Places rows on the grid; null where there are none.</summary>
    public static GridColumns? Place(TopicConfiguration topic, GridRows rows)
    {
        if (rows.Rows.IsEmpty) return null;
        var period = PeriodOf(topic);
        var alignNewest = topic.Align == GridAlignment.Newest;
        var newest = rows.Rows[0];
        foreach (ref readonly var row in rows.Rows)
            if (row.LocalMs > newest.LocalMs) newest = row;
        var end = alignNewest ? Floor(newest.LocalMs, MinuteMs) : Floor(newest.LocalMs, period);
        var winners = Winners(rows, topic.Window, end, period, alignNewest);
        var columnOfKey = ColumnsOfKeys(rows, winners, out var keys);

        var keyed = new GridColumn[topic.Grid!.KeyedSeries.Count];
        for (var series = 0; series < keyed.Length; series++) keyed[series] = PlaceKeyed(rows, winners, series, columnOfKey, keys.Length);
        var single = new GridColumn?[topic.Grid.RowSeries.Count];
        for (var series = 0; series < single.Length; series++) single[series] = PlaceSingle(rows, winners, keyed.Length, series);
        var oldest = long.MaxValue;
        foreach (var winner in winners)
            if (winner >= 0) oldest = Math.Min(oldest, rows.Rows[winner].LocalMs);
        return new GridColumns
        {
            OldestRowMs = oldest,
            EndLocalMs = end, PeriodMs = period, AlignNewest = alignNewest, WithT = newest.WithT, Count = topic.Window,
            Keys = keys, RowTimes = Times(rows, winners, end, period), Keyed = keyed, Single = single,
        };
    }

    /// <summary>
    /// Adds the rows of this grid that <paramref name="keep"/> accepts (by their own time), to be placed anew. A key that has
    /// no number in any kept row is gone.
    /// </summary>
    public void CopyRows(GridRows rows, Func<long, bool> keep)
    {
        var ids = new int[Keys.Length];
        for (var key = 0; key < ids.Length; key++)
            ids[key] = rows.Keys.IdOf(Keys[key], AppendCheck.Kind(Keys[key]));
        for (var row = 0; row < Count; row++)
        {
            if (!HasRow(row) || !keep(RowTimeMs(row))) continue;
            var present = Enumerable.Range(0, Keys.Length)
                .Where(key => Keyed.Any(column => !double.IsNaN(column[row * column.Width + key]))).ToArray();
            var start = rows.Numbers.Length;
            foreach (var column in Keyed)
                foreach (var key in present) AddNumber(rows, column, row * column.Width + key);
            foreach (var column in Single)
            {
                if (column is null) rows.AddHoles(1);
                else AddNumber(rows, column, row);
            }

            rows.Add(new GridRows.Row(RowTimeMs(row), WithT, Array.ConvertAll(present, key => ids[key]), start));
        }
    }

    /// <summary>Whether all rows are of just their periods' times, so that these need not be kept.</summary>
    public static long[]? WithoutUsual(long[] rowTimes, long endLocalMs, long periodMs)
    {
        for (var row = 0; row < rowTimes.Length; row++)
            if (rowTimes[row] != endLocalMs - (rowTimes.Length - 1 - row) * periodMs) return rowTimes;
        return null;
    }

    public static long PeriodOf(TopicConfiguration topic) => Math.Max(1, topic.PeriodMs ?? 3_600_000);

    private const long MinuteMs = 60_000;

    private static void AddNumber(GridRows rows, GridColumn column, int index) =>
        rows.Add(column.Number(index), column.Exact?.GetValueOrDefault(index));

    private static long[]? Times(GridRows rows, int[] winners, long end, long period)
    {
        var isUsual = true;
        for (var row = 0; row < winners.Length && isUsual; row++)
            isUsual = winners[row] >= 0 && rows.Rows[winners[row]].LocalMs == end - (winners.Length - 1 - row) * period;
        return isUsual ? null : Array.ConvertAll(winners, winner => winner < 0 ? NoRow : rows.Rows[winner].LocalMs);
    }

    /// <summary>Per period, oldest first, the index of its latest row (of equal times the one written last), or -1.</summary>
    private static int[] Winners(GridRows rows, int window, long end, long period, bool alignNewest)
    {
        var winners = new int[window];
        Array.Fill(winners, -1);
        for (var i = 0; i < rows.Rows.Length; i++)
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

        keys = rows.KeyList(spellings);
        return columns;
    }

    private static GridColumn PlaceKeyed(GridRows rows, int[] winners, int series, int[] columnOfKey, int width)
    {
        var values = rows.Holes(winners.Length * width);
        Dictionary<int, byte[]>? exact = null;
        for (var row = 0; row < winners.Length; row++)
        {
            if (winners[row] < 0) continue;
            var (_, _, keys, start) = rows.Rows[winners[row]];
            start += series * keys.Length;
            for (var i = 0; i < keys.Length; i++) Put(rows, start + i, values, row * width + columnOfKey[keys[i]], ref exact);
        }

        return GridColumn.Of(values, width, exact);
    }

    private static GridColumn? PlaceSingle(GridRows rows, int[] winners, int keyedCount, int series)
    {
        var values = rows.Holes(winners.Length);
        Dictionary<int, byte[]>? exact = null;
        var hasValue = false;
        for (var row = 0; row < winners.Length; row++)
        {
            if (winners[row] < 0) continue;
            var (_, _, keys, start) = rows.Rows[winners[row]];
            Put(rows, start + keyedCount * keys.Length + series, values, row, ref exact);
            hasValue |= !values[row].IsHole;
        }

        return hasValue ? GridColumn.Of(values, 1, exact) : null;
    }

    private static void Put(GridRows rows, int from, Span<GridNumber> values, int to, ref Dictionary<int, byte[]>? exact)
    {
        values[to] = rows.Numbers[from];
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
