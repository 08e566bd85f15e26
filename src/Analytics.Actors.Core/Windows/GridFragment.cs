using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// A grid as input members: times, keys, and the series, whose numbers are handed out as they lie in the window's columns.
/// JSON is made for those who ask for it, once per member; calls on several threads may ask at once.
/// </summary>
internal sealed class GridFragment : InputFragment
{
    private readonly GridColumns grid;
    private readonly string[] names;

    // Parallel to the names: null for times and keys.
    private readonly GridColumn?[] columns;

    // A member made twice by two threads is the same twice; the last one stays.
    private readonly byte[]?[] json;
    private readonly int keysAt;

    public GridFragment(TopicConfiguration topic, GridColumns grid)
    {
        this.grid = grid;
        var configuration = topic.Grid!;
        var members = new List<(string Name, GridColumn? Column)> { (configuration.TimesName, null) };
        keysAt = -1;
        if (configuration.Keys is not null)
        {
            keysAt = members.Count;
            members.Add((configuration.KeysName ?? configuration.Keys, null));
        }

        for (var i = 0; i < grid.Keyed.Length; i++) members.Add((configuration.KeyedSeries[i].Name, grid.Keyed[i].Filled(topic.Fill)));
        for (var i = 0; i < grid.Single.Length; i++)
            if (grid.Single[i] is { } column) members.Add((configuration.RowSeries[i].Name, column.Filled(topic.Fill)));
        names = members.Select(member => member.Name).ToArray();
        columns = members.Select(member => member.Column).ToArray();
        json = new byte[names.Length][];
    }

    public override IReadOnlyList<string> Names => names;

    public override ReadOnlyMemory<byte> GetJson(string name)
    {
        var index = Array.IndexOf(names, name);
        if (index < 0) return default;
        if (Volatile.Read(ref json[index]) is { } known) return known;
        var made = index == 0 ? TimesJson() : index == keysAt ? KeysJson() : ColumnJson(columns[index]!, index < FirstSingle);
        Volatile.Write(ref json[index], made);
        return made;
    }

    public override bool TryGetSeries(string name, out NumericSeries series)
    {
        var index = Array.IndexOf(names, name);
        series = default;
        if (index < 0 || columns[index] is not { } column) return false;
        series = new NumericSeries(column.Values, grid.Count, column.Width);
        return true;
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

    private byte[] ColumnJson(GridColumn column, bool isKeyed)
    {
        var list = new JsonBuilder(column.Values.Length * 4 + grid.Count * 2 + 2).StartList();
        for (var row = 0; row < grid.Count; row++)
        {
            if (isKeyed) list.StartList();
            for (var i = 0; i < column.Width; i++) WriteNumber(list, column, row * column.Width + i);
            if (isKeyed) list.EndList();
        }

        return list.EndList().ToArray();
    }

    private static void WriteNumber(JsonBuilder list, GridColumn column, int index)
    {
        if (column.Exact is not null && column.Exact.TryGetValue(index, out var text)) list.Value(text);
        else if (double.IsNaN(column.Values[index])) list.Value(JsonText.Null);
        else list.Number(column.Values[index]);
    }
}
