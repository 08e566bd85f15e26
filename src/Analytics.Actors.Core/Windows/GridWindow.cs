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

    private readonly WindowPlan plan;
    private readonly long zoneMs;
    private GridColumns? grid;
    private long appliedMs;

    public GridWindow(TopicConfiguration topic, TimeSpan timeZone) : base(topic, timeZone)
    {
        plan = WindowPlan.For(topic);
        zoneMs = (long)timeZone.TotalMilliseconds;
    }

    internal GridColumns? Grid => grid;

    public override bool IsEmpty => grid is null;

    public override long? NewestTimeMs => grid is null ? null : EffectiveMs(grid.RowTimes.Max());

    public override long SizeBytes => grid is null ? 0
        : GridOverhead + grid.RowTimes.Length * sizeof(long) + grid.Keys.Sum(key => key.Length + 32L)
            + grid.Keyed.Concat(grid.Single).Sum(column => column is null ? 0 : column.Values.Length * (long)sizeof(double) + (column.Exact?.Count ?? 0) * 64L);

    public override WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        List<RejectedItem>? rejected = null;
        var rows = grid is not null && Topic.Mode == UpdateMode.Append ? grid.ToRows(plan, _ => true) : new GridRows(plan);
        var before = rows.Rows.Count;
        for (var i = 0; i < items.Length; i++)
            if (rows.Read(items[i].Span, TimeZone, recordTimeMs + zoneMs) is { } reason)
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));

        var changed = rows.Rows.Count > before;
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
        if (!grid.RowTimes.Any(time => time != GridColumns.NoRow && nowMs - EffectiveMs(time) > ttl)) return false;
        grid = GridColumns.Place(Topic, grid.ToRows(plan, time => nowMs - EffectiveMs(time) <= ttl));
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
        var rows = Enumerable.Range(0, grid.Count).Where(row => grid.RowTimes[row] != GridColumns.NoRow).ToArray();
        foreach (var row in rows)
        {
            state.Rows.Add(grid.Count - 1 - row);
            state.RowTimesLocalMs.Add(grid.RowTimes[row]);
        }

        for (var i = 0; i < grid.Keyed.Length; i++) state.Columns.Add(Save(grid.Keyed[i], plan.Series[i].Source, true, rows));
        for (var i = 0; i < grid.Single.Length; i++)
            if (grid.Single[i] is { } column) state.Columns.Add(Save(column, plan.RowSeries[i].Source, false, rows));
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
            Keys = state.Keys.Select(key => key.ToByteArray()).ToArray(), RowTimes = times,
            Keyed = plan.Series.Select(series => Restore(state, series.Source, true, rows, count) ?? Missing(count, state.Keys.Count)).ToArray(),
            Single = plan.RowSeries.Select(series => Restore(state, series.Source, false, rows, count)).ToArray(),
        };
        var fits = count == Topic.Window && saved.PeriodMs == GridColumns.PeriodOf(Topic)
            && saved.AlignNewest == (Topic.Align == GridAlignment.Newest) && (plan.KeysSlot >= 0 || saved.Keys.Length == 0);
        grid = fits ? saved : GridColumns.Place(Topic, saved.ToRows(plan, _ => true));
        MarkChanged();
    }

    protected override InputFragment ShapeCore() => new GridFragment(Topic, grid!).Under(Topic.ShapeMember);

    /// <summary>A row's time in UTC; none counts as younger than the change that brought it.</summary>
    private long EffectiveMs(long localMs) => Math.Min(localMs - zoneMs, appliedMs);

    private static GridColumnState Save(GridColumn column, string source, bool keyed, int[] rows)
    {
        var values = new double[rows.Length * column.Width];
        var state = new GridColumnState { Source = source, Keyed = keyed };
        for (var i = 0; i < rows.Length; i++)
        {
            column.Values.AsSpan(rows[i] * column.Width, column.Width).CopyTo(values.AsSpan(i * column.Width));
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
        var column = Missing(count, width);
        var stored = MemoryMarshal.Cast<byte, double>(saved.Values.Span);
        for (var i = 0; i < rows.Length; i++) stored.Slice(i * width, width).CopyTo(column.Values.AsSpan(rows[i] * width));
        if (saved.Exact.Count == 0) return column;
        var exact = new Dictionary<int, byte[]>();
        foreach (var number in saved.Exact) exact[rows[number.Index / width] * width + number.Index % width] = number.Text.ToByteArray();
        return column with { Exact = exact };
    }

    private static GridColumn Missing(int count, int width)
    {
        var values = new double[count * width];
        Array.Fill(values, double.NaN);
        return new GridColumn(values, width, null);
    }
}
