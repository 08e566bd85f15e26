using System.Buffers;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// A grid as input members: times, keys, and the series. Doubles and JSON are made for those who ask for them, once for all
/// who ask at about the same time; calls on several threads may ask at once. Who writes JSON gets decimals from the columns
/// themselves, which costs less than to look after what was written before.
/// </summary>
internal sealed class GridFragment : InputFragment
{
    private readonly GridColumns grid;
    private readonly FillStrategy fill;
    private readonly string[] names;
    private readonly int keysAt;

    private Derived<Made> made;

    public GridFragment(TopicConfiguration topic, GridColumns grid, string[] names)
    {
        this.grid = grid;
        this.names = names;
        fill = topic.Fill;
        keysAt = topic.Grid!.Keys is null ? -1 : 1;
    }

    /// <summary>The names of a grid's members: series that no row carries are absent.</summary>
    public static string[] NamesOf(WindowPlan plan, GridColumns grid)
    {
        var configuration = plan.Topic.Grid!;
        List<string> names = [configuration.TimesName];
        if (configuration.Keys is not null) names.Add(configuration.KeysName ?? configuration.Keys);
        foreach (var series in configuration.KeyedSeries) names.Add(series.Name);
        for (var i = 0; i < grid.Single.Length; i++)
            if (grid.Single[i] is not null) names.Add(configuration.RowSeries[i].Name);
        var usual = plan.UsualNames;
        return usual.SequenceEqual(names) ? usual : plan.UsualNames = [.. names];
    }

    public override IReadOnlyList<string> Names => names;

    public override ReadOnlyMemory<byte> GetJson(string name)
    {
        var index = Array.IndexOf(names, name);
        return index < 0 ? default : Json(index);
    }

    public override void WriteJson(string name, IBufferWriter<byte> destination)
    {
        var index = Array.IndexOf(names, name);
        if (index < 0) return;
        if (IsWritten(index)) Write(index, destination);
        else destination.Write(Json(index));
    }

    public override bool TryGetSeries(string name, out NumericSeries series)
    {
        var index = Array.IndexOf(names, name);
        series = default;
        if (index <= Math.Max(0, keysAt)) return false;
        series = new NumericSeries(Filled(index).Values, grid.Count, Column(index).Width);
        return true;
    }

    private FilledColumn Filled(int index)
    {
        var columns = Known().Filled;
        if (Volatile.Read(ref columns[index]) is { } known) return known;
        var column = Column(index).Filled(fill);
        Volatile.Write(ref columns[index], column);
        return column;
    }

    private Made Known() => made.TryGet(out var known) ? known : made.Set(new Made(names.Length));

    private GridColumn Column(int index)
    {
        if (index < FirstSingle) return grid.Keyed[index - FirstSingle + grid.Keyed.Length];
        var single = index - FirstSingle;
        foreach (var column in grid.Single)
            if (column is not null && single-- == 0) return column;
        throw new ArgumentOutOfRangeException(nameof(index));
    }

    private int FirstSingle => (keysAt < 0 ? 1 : 2) + grid.Keyed.Length;

    private byte[] Json(int index)
    {
        var texts = Known().Json;
        if (Volatile.Read(ref texts[index]) is { } known) return known;
        byte[] text;
        if (index == keysAt)
        {
            text = KeysJson();
        }
        else if (IsWritten(index))
        {
            using var buffer = new PooledBuffer();
            Write(index, buffer);
            text = buffer.ToArray();
        }
        else
        {
            text = ColumnJson(index);
        }

        Volatile.Write(ref texts[index], text);
        return text;
    }

    /// <summary>The member is written as quickly as it would be copied.</summary>
    private bool IsWritten(int index) => index == 0 || (index != keysAt && Column(index).IsDecimal);

    private void Write(int index, IBufferWriter<byte> destination)
    {
        if (index == 0) WriteTimes(destination);
        else Column(index).WriteDecimals(grid.Count, index < FirstSingle, Column(index).IsFilledBy(fill) ? Filled(index) : null, destination);
    }

    private void WriteTimes(IBufferWriter<byte> destination)
    {
        const int Length = 22;
        Span<byte> text = stackalloc byte[Length];
        (text[0], text[1], text[^1]) = ((byte)'[', (byte)'"', (byte)'"');
        var day = -1L;
        for (var row = 0; row < grid.Count; row++)
        {
            EventTime.FormatLocal(grid.PeriodLocalMs(row), grid.WithT, text[2..^1], ref day);
            text.CopyTo(destination.GetSpan(Length));
            destination.Advance(Length);
            text[0] = (byte)',';
        }

        destination.Write(grid.Count == 0 ? "[]"u8 : "]"u8);
    }

    private byte[] KeysJson()
    {
        var list = new JsonBuilder().StartList();
        foreach (var key in grid.Keys) list.Value(key);
        return list.EndList().ToArray();
    }

    private byte[] ColumnJson(int index)
    {
        var (width, isKeyed) = (Column(index).Width, index < FirstSingle);
        var column = Filled(index);
        var list = new JsonBuilder(column.Values.Length * 4 + grid.Count * 2 + 2).StartList();
        for (var row = 0; row < grid.Count; row++)
        {
            if (isKeyed) list.StartList();
            for (var i = 0; i < width; i++) WriteNumber(list, column, row * width + i);
            if (isKeyed) list.EndList();
        }

        return list.EndList().ToArray();
    }

    private static void WriteNumber(JsonBuilder list, FilledColumn column, int index)
    {
        if (column.Exact is not null && column.Exact.TryGetValue(index, out var text)) list.Value(text);
        else if (double.IsNaN(column.Values[index])) list.Value(JsonText.Null);
        else list.Number(column.Values[index]);
    }

    /// <summary>What was made for somebody, parallel to the names; one who finds nothing makes it again.</summary>
    private sealed class Made(int members)
    {
        public FilledColumn?[] Filled { get; } = new FilledColumn?[members];
        public byte[]?[] Json { get; } = new byte[]?[members];
    }
}
