using System.Text.Json;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Node.Replay;

/// <summary>Lists of texts and of numbers as members of a module input, in the order in which they were added.</summary>
internal sealed class ColumnsFragment : InputFragment
{
    private readonly OrderedDictionary<string, (byte[] Json, double[]? Numbers)> members = new(StringComparer.Ordinal);

    public override IReadOnlyList<string> Names => [.. members.Keys];

    public ColumnsFragment Add(string name, IEnumerable<string> texts)
    {
        members.Add(name, (JsonSerializer.SerializeToUtf8Bytes(texts), null));
        return this;
    }

    public ColumnsFragment Add(string name, double[] numbers)
    {
        members.Add(name, (JsonSerializer.SerializeToUtf8Bytes(numbers), numbers));
        return this;
    }

    public override ReadOnlyMemory<byte> GetJson(string name) => members.TryGetValue(name, out var member) ? member.Json : default;

    public override bool TryGetSeries(string name, out NumericSeries series)
    {
        series = default;
        if (!members.TryGetValue(name, out var member) || member.Numbers is null) return false;
        series = new NumericSeries(member.Numbers, member.Numbers.Length, 1);
        return true;
    }
}
