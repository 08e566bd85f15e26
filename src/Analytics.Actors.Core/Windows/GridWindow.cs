using System.Runtime.InteropServices;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Rows on a regular grid of periods that ends at the newest row. In mode Replace a part's rows are the new window, in
/// mode Append they join those that are there. Holes stay holes here and are filled when the grid is shaped, so a change
/// of the fill takes effect at once. A part without one usable row changes nothing.
/// </summary>
internal sealed class GridWindow : TopicWindow
{
    private const int GridOverhead = 256;

    private GridColumns? grid;
    private long appliedMs;

    public GridWindow(WindowContext context) : base(context)
    {
    }

    internal GridColumns? Grid => grid;

    public override bool IsEmpty => grid is null;

    public override long? NewestTimeMs => grid is null ? null : EffectiveMs(grid.NewestRowMs);

    public override long SizeBytes => grid is null ? 0
        : GridOverhead + (grid.RowTimes?.Length ?? 0) * sizeof(long) + grid.Keys.Sum(key => key.Length + 32L)
            + grid.Keyed.Concat(grid.Single).Sum(column => column?.SizeBytes ?? 0);

    public override WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        List<RejectedItem>? rejected = null;
        var rows = Context.Rows;
        if (Topic.Mode == UpdateMode.Append) grid?.CopyRows(rows, static _ => true);
        var before = rows.Rows.Length;
        for (var i = 0; i < items.Length; i++)
            if (rows.Read(items[i].Span, TimeZone, recordTimeMs + ZoneMs) is { } reason)
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));

        var changed = rows.Rows.Length > before;
        if (changed)
        {
            grid = GridColumns.Place(Topic, rows);
            appliedMs = nowMs;
            MarkChanged();
        }

        rows.Clear();

        return new WindowChange(changed, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl || grid is null) return false;
        if (EffectiveMs(grid.OldestRowMs) >= nowMs - ttl) return false;
        var rows = Context.Rows;
        grid.CopyRows(rows, time => nowMs - EffectiveMs(time) <= ttl);
        grid = GridColumns.Place(Topic, rows);
        rows.Clear();
        MarkChanged();
        return true;
    }

    private protected override void Save(StateWriter state)
    {
        if (grid is not null) Save(grid, state);
        state.Close(WindowState.GridFieldNumber, 0);
    }

    private void Save(GridColumns held, StateWriter state)
    {
        for (var i = held.Single.Length - 1; i >= 0; i--)
            if (held.Single[i] is { } column) Save(held, column, Plan.RowSeries[i].Source, false, state);
        for (var i = held.Keyed.Length - 1; i >= 0; i--) Save(held, held.Keyed[i], Plan.Series[i].Source, true, state);
        var mark = state.Length;
        for (var row = held.Count - 1; row >= 0; row--)
            if (held.HasRow(row)) state.Varint((ulong)held.RowTimeMs(row));
        state.Close(GridState.RowTimesLocalMsFieldNumber, mark);
        mark = state.Length;
        for (var row = held.Count - 1; row >= 0; row--)
            if (held.HasRow(row)) state.Varint((ulong)(held.Count - 1 - row));
        state.Close(GridState.RowsFieldNumber, mark);
        for (var key = held.Keys.Length - 1; key >= 0; key--) state.Element(GridState.KeysFieldNumber, held.Keys[key]);
        state.Number(GridState.AppliedMsFieldNumber, appliedMs);
        state.Number(GridState.WithTFieldNumber, held.WithT ? 1 : 0);
        state.Number(GridState.AlignNewestFieldNumber, held.AlignNewest ? 1 : 0);
        state.Number(GridState.PeriodMsFieldNumber, held.PeriodMs);
        state.Number(GridState.EndLocalMsFieldNumber, held.EndLocalMs);
    }

    /// <summary>Takes over the rows that still fit; where periods or their number changed, they are placed anew.</summary>
    internal void Restore(GridState state)
    {
        appliedMs = state.AppliedMs;
        if (state.Rows.Count == 0) return;
        var count = Math.Max(Topic.Window, state.Rows.Max() + 1);
        var times = new long[count];
        Array.Fill(times, GridColumns.NoRow);
        var rows = state.Rows.Select(back => count - 1 - back).ToArray();
        for (var i = 0; i < rows.Length; i++) times[rows[i]] = state.RowTimesLocalMs[i];
        var saved = new GridColumns
        {
            EndLocalMs = state.EndLocalMs, PeriodMs = state.PeriodMs, AlignNewest = state.AlignNewest, WithT = state.WithT,
            Keys = Context.Rows.KeyList(state.Keys.Select(key => key.ToByteArray()).ToList()), Count = count,
            RowTimes = GridColumns.WithoutUsual(times, state.EndLocalMs, state.PeriodMs), OldestRowMs = state.RowTimesLocalMs.Min(),
            Keyed = Plan.Series.Select(series => Restore(state, series.Source, true, rows, count) ?? GridColumn.Of(Missing(count, state.Keys.Count), state.Keys.Count, null)).ToArray(),
            Single = Plan.RowSeries.Select(series => Restore(state, series.Source, false, rows, count)).ToArray(),
        };
        var fits = count == Topic.Window && saved.PeriodMs == GridColumns.PeriodOf(Topic)
            && saved.AlignNewest == (Topic.Align == GridAlignment.Newest) && (Plan.KeysSlot >= 0 || saved.Keys.Length == 0);
        grid = fits ? saved : Placed(saved);
        MarkChanged();
    }

    protected override InputFragment ShapeCore() => new GridFragment(Topic, grid!, GridFragment.NamesOf(Plan, grid!)).Under(Topic.ShapeMember);

    private GridColumns? Placed(GridColumns saved)
    {
        var rows = Context.Rows;
        saved.CopyRows(rows, static _ => true);
        var placed = GridColumns.Place(Topic, rows);
        rows.Clear();
        return placed;
    }

    private long ZoneMs => (long)TimeZone.TotalMilliseconds;

    /// <summary>A row's time in UTC; none counts as younger than the change that brought it.</summary>
    private long EffectiveMs(long localMs) => Math.Min(localMs - ZoneMs, appliedMs);

    private static void Save(GridColumns held, GridColumn column, string source, bool keyed, StateWriter state)
    {
        var (mark, rows, width) = (state.Length, held.RowCount, column.Width);
        var at = rows * width;
        for (var row = held.Count - 1; column.Exact is not null && row >= 0; row--)
        {
            if (!held.HasRow(row)) continue;
            at -= width;
            for (var key = width - 1; key >= 0; key--)
            {
                if (!column.Exact.TryGetValue(row * width + key, out var text)) continue;
                var number = state.Length;
                state.Bytes(ExactNumberState.TextFieldNumber, text);
                state.Number(ExactNumberState.IndexFieldNumber, at + key);
                state.Close(GridColumnState.ExactFieldNumber, number);
            }
        }

        if (rows * width > 0)
        {
            var bytes = state.Length;
            var values = MemoryMarshal.Cast<byte, double>(state.Reserve(rows * width * sizeof(double)));
            for (int row = 0, to = 0; row < held.Count; row++)
            {
                // Rows that follow each other are copied together.
                var from = row;
                while (row < held.Count && held.HasRow(row)) row++;
                column.CopyTo(from * width, values.Slice(to, (row - from) * width));
                to += (row - from) * width;
            }

            state.Close(GridColumnState.ValuesFieldNumber, bytes);
        }

        state.Number(GridColumnState.KeyedFieldNumber, keyed ? 1 : 0);
        state.Text(GridColumnState.SourceFieldNumber, source);
        state.Close(GridState.ColumnsFieldNumber, mark);
    }

    private static GridColumn? Restore(GridState state, string source, bool keyed, int[] rows, int count)
    {
        if (state.Columns.FirstOrDefault(column => column.Source == source && column.Keyed == keyed) is not { } saved) return null;
        var width = keyed ? state.Keys.Count : 1;
        var values = Missing(count, width);
        var stored = MemoryMarshal.Cast<byte, double>(saved.Values.Span);
        for (var i = 0; i < rows.Length; i++) stored.Slice(i * width, width).CopyTo(values.AsSpan(rows[i] * width));
        if (saved.Exact.Count == 0) return GridColumn.Of(values, width, null);
        var exact = new Dictionary<int, byte[]>();
        foreach (var number in saved.Exact) exact[rows[number.Index / width] * width + number.Index % width] = number.Text.ToByteArray();
        return GridColumn.Of(values, width, exact);
    }

    private static double[] Missing(int count, int width)
    {
        var values = new double[count * width];
        Array.Fill(values, double.NaN);
        return values;
    }
}
