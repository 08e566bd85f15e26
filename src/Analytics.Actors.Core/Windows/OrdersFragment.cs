namespace Analytics.Actors.Core.Windows;

/// <summary>The orders of a closed second as one input member. The list is made for those who ask for it.</summary>
/// <param name="names">The one name of the member.</param>
/// <param name="orders">See <see cref="OrderBuffer.Share"/>.</param>
internal sealed class OrdersFragment(string[] names, ReadOnlyMemory<byte> orders) : InputFragment
{
    public override IReadOnlyList<string> Names => names;

    public override ReadOnlyMemory<byte> GetJson(string name)
    {
        if (name != names[0]) return default;
        // Each order loses its tag and length, of at least two bytes, and gets a comma.
        var json = new JsonBuilder(orders.Length + 2).StartList();
        for (var rest = orders; !rest.IsEmpty;) json.Value(OrderBuffer.TakeFirst(ref rest).Span);
        return json.EndList().ToArray();
    }

    public override bool TryGetSeries(string name, out NumericSeries series) => SeriesParser.TryParse(GetJson(name).Span, out series);
}
