using System.Runtime.InteropServices;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

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

        return new WindowChange(changed, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl || grid is null) return false;
        if (!HasOlder(nowMs - ttl)) return false;
        var rows = Context.Rows;
        grid.CopyRows(rows, time => nowMs - EffectiveMs(time) <= ttl);
        grid = GridColumns.Place(Topic, rows);
        MarkChanged();
        return true;
    }

    public override byte[] Save()
    {
        if (grid is null) return new WindowState { Grid = new GridState() }.ToByteArray();
        var state = new GridState
        {
            EndLocalMs = grid.EndLocalMs, PeriodMs = grid.PeriodMs, AlignNewest = grid.AlignNewest, WithT = grid.WithT, AppliedMs = appliedMs,
        };
        foreach (var key in grid.Keys) state.Keys.Add(UnsafeByteOperations.UnsafeWrap(key));
        var rows = Enumerable.Range(0, grid.Count).Where(row => grid.RowTimeMs(row) != GridColumns.NoRow).ToArray();
        foreach (var row in rows)
        {
            state.Rows.Add(grid.Count - 1 - row);
            state.RowTimesLocalMs.Add(grid.RowTimeMs(row));
        }

        for (var i = 0; i < grid.Keyed.Length; i++) state.Columns.Add(Save(grid.Keyed[i], Plan.Series[i].Source, true, rows));
        for (var i = 0; i < grid.Single.Length; i++)
            if (grid.Single[i] is { } column) state.Columns.Add(Save(column, Plan.RowSeries[i].Source, false, rows));
        return new WindowState { Grid = state }.ToByteArray();
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
            RowTimes = GridColumns.WithoutUsual(times, state.EndLocalMs, state.PeriodMs),
            Keyed = Plan.Series.Select(series => Restore(state, series.Source, true, rows, count) ?? GridColumn.Of(Missing(count, state.Keys.Count), state.Keys.Count, null)).ToArray(),
            Single = Plan.RowSeries.Select(series => Restore(state, series.Source, false, rows, count)).ToArray(),
        };
        var fits = count == Topic.Window && saved.PeriodMs == GridColumns.PeriodOf(Topic)
            && saved.AlignNewest == (Topic.Align == GridAlignment.Newest) && (Plan.KeysSlot >= 0 || saved.Keys.Length == 0);
        grid = fits ? saved : Placed(saved);
        MarkChanged();
    }

    protected override InputFragment ShapeCore() => new GridFragment(Topic, grid!, Context.Shared(GridFragment.NamesOf(Topic, grid!))).Under(Topic.ShapeMember);

    private GridColumns? Placed(GridColumns saved)
    {
        var placed = Context.Rows;
        saved.CopyRows(placed, static _ => true);
        return GridColumns.Place(Topic, placed);
    }

    private bool HasOlder(long sinceMs)
    {
        for (var row = 0; row < grid!.Count; row++)
            if (grid.RowTimeMs(row) is not GridColumns.NoRow and var time && EffectiveMs(time) < sinceMs) return true;
        return false;
    }

    private long ZoneMs => (long)TimeZone.TotalMilliseconds;

    /// <summary>A row's time in UTC; none counts as younger than the change that brought it.</summary>
    private long EffectiveMs(long localMs) => Math.Min(localMs - ZoneMs, appliedMs);

    private static GridColumnState Save(GridColumn column, string source, bool keyed, int[] rows)
    {
        var values = new double[rows.Length * column.Width];
        var state = new GridColumnState { Source = source, Keyed = keyed };
        for (var i = 0; i < rows.Length; i++)
        {
            column.CopyTo(rows[i] * column.Width, values.AsSpan(i * column.Width, column.Width));
            if (column.Exact is null) continue;
            for (var key = 0; key < column.Width; key++)
                if (column.Exact.TryGetValue(rows[i] * column.Width + key, out var text))
                    state.Exact.Add(new ExactNumberState { Index = i * column.Width + key, Text = UnsafeByteOperations.UnsafeWrap(text) });
        }

        state.Values = ByteString.CopyFrom(MemoryMarshal.AsBytes(values.AsSpan()));
        return state;
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
