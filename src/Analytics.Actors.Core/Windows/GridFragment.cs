using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// A grid as input members: times, keys, and the series. Doubles and JSON are made for those who ask for them, once for all
/// who ask at about the same time; calls on several threads may ask at once.
/// </summary>
internal sealed class GridFragment : InputFragment
{
    private readonly GridColumns grid;
    private readonly FillStrategy fill;
    private readonly string[] names;
    private readonly int keysAt;

    // Parallel to the names.
    private readonly Derived<FilledColumn>[] filled;
    private readonly Derived<byte[]>[] json;

    public GridFragment(TopicConfiguration topic, GridColumns grid, string[] names)
    {
        this.grid = grid;
        this.names = names;
        fill = topic.Fill;
        keysAt = topic.Grid!.Keys is null ? -1 : 1;
        filled = new Derived<FilledColumn>[names.Length];
        json = new Derived<byte[]>[names.Length];
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
        if (index < 0) return default;
        if (json[index].TryGet(out var known)) return known;
        return json[index].Set(index == 0 ? TimesJson() : index == keysAt ? KeysJson() : ColumnJson(index));
    }

    public override bool TryGetSeries(string name, out NumericSeries series)
    {
        var index = Array.IndexOf(names, name);
        series = default;
        if (index <= Math.Max(0, keysAt)) return false;
        series = new NumericSeries(Filled(index).Values, grid.Count, Column(index).Width);
        return true;
    }

    private FilledColumn Filled(int index) => filled[index].TryGet(out var known) ? known : filled[index].Set(Column(index).Filled(fill));

    private GridColumn Column(int index)
    {
        if (index < FirstSingle) return grid.Keyed[index - FirstSingle + grid.Keyed.Length];
        var single = index - FirstSingle;
        foreach (var column in grid.Single)
            if (column is not null && single-- == 0) return column;
        throw new ArgumentOutOfRangeException(nameof(index));
    }

    private int FirstSingle => (keysAt < 0 ? 1 : 2) + grid.Keyed.Length;

    private byte[] TimesJson()
    {
        var list = new JsonBuilder(grid.Count * 22 + 2).StartList();
        Span<byte> text = stackalloc byte[21];
        text[0] = text[^1] = (byte)'"';
        for (var row = 0; row < grid.Count; row++)
        {
            EventTime.FormatLocal(grid.PeriodLocalMs(row), grid.WithT, text[1..^1]);
            list.Value(text);
        }

        return list.EndList().ToArray();
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
}
