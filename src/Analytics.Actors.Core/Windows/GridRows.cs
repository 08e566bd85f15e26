using System.Runtime.CompilerServices;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Rows on their way to a grid: each with its time, its keys, and its numbers one behind the other (one per key for each
/// keyed series, then one for each series of single values). A hole is NaN.
/// </summary>
internal sealed class GridRows(WindowPlan plan)
{
    /// <param name="LocalMs">The row's time on the clock of the pipeline's zone.</param>
    /// <param name="WithT">The time was written with a T.</param>
    /// <param name="Keys">Numbers of its keys in <see cref="Keys"/>.</param>
    /// <param name="Start">Where its numbers start in <see cref="Values"/>.</param>
    public readonly record struct Row(long LocalMs, bool WithT, int[] Keys, int Start);

    private readonly List<double> values = [];
    private byte[]? lastKeyList;
    private int[] lastKeys = [];

    public List<Row> Rows { get; } = [];
    public KeyTable Keys { get; } = new();
    public List<double> Values => values;

    /// <summary>Texts of the numbers that a double does not hold exactly, by index in <see cref="Values"/>.</summary>
    public Dictionary<int, byte[]>? Exact { get; private set; }

    /// <summary>Adds a row that is known to be right.</summary>
    public void Add(Row row) => Rows.Add(row);

    /// <summary>Adds a number of a row being put together.</summary>
    public void AddValue(double value, byte[]? exactText)
    {
        if (exactText is not null) (Exact ??= [])[values.Count] = exactText;
        values.Add(value);
    }

    /// <summary>Reads one item as a row; null where it was added.</summary>
    /// <param name="recordLocalMs">The record's timestamp on the same clock, for topics whose rows have no time of their own.</param>
    [SkipLocalsInit]
    public Rejection? Read(ReadOnlySpan<byte> item, TimeSpan timeZone, long recordLocalMs)
    {
        var kind = AppendCheck.Kind(item);
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the row is {JsonText.KindName(kind)}");
        Span<JsonSlice> found = plan.Members.SlotCount <= 64 ? stackalloc JsonSlice[64] : new JsonSlice[plan.Members.SlotCount];
        found = found[..plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item, found)) return AppendCheck.NotJson;

        var localMs = recordLocalMs;
        var withT = false;
        if (plan.TimeSlot >= 0)
        {
            var time = found[plan.TimeSlot];
            if (!time.HasValue) return new Rejection("bad-time", $"the row has no {plan.Topic.TimeMember}");
            if (!EventTime.TryReadLocal(time.Of(item), timeZone, out localMs, out withT)) return AppendCheck.BadTime(time.Of(item));
        }

        if (ReadKeys(item, found, out var keys) is { } badKeys) return badKeys;
        var start = values.Count;
        var rejection = ReadSeries(item, found, keys.Length) ?? ReadRowSeries(item, found);
        if (rejection is { } reason)
        {
            RollBack(start);
            return reason;
        }

        Rows.Add(new Row(localMs, withT, keys, start));
        return null;
    }

    private Rejection? ReadKeys(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found, out int[] keys)
    {
        keys = [];
        if (plan.KeysSlot < 0 || !found[plan.KeysSlot].HasValue) return null;
        var slice = found[plan.KeysSlot];
        var path = plan.Topic.Grid!.Keys!;
        if (slice.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(path, slice.Kind, FieldType.List);
        var list = slice.Of(item);
        if (lastKeyList is not null && list.SequenceEqual(lastKeyList))
        {
            keys = lastKeys;
            return null;
        }

        var elements = JsonList.Elements(list);
        keys = new int[elements.Count];
        for (var i = 0; i < keys.Length; i++)
        {
            keys[i] = Keys.IdOf(elements[i].Of(list), elements[i].Kind);
            if (keys[i] < 0)
                return new Rejection("wrong-type", $"{path} holds {JsonText.KindName(elements[i].Kind)} where texts or integers of at most 256 bytes are due");
        }

        (lastKeyList, lastKeys) = (list.ToArray(), keys);
        return null;
    }

    private Rejection? ReadSeries(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found, int keyCount)
    {
        foreach (var series in plan.Series)
        {
            var slice = found[series.Slot];
            if (!slice.HasValue)
            {
                for (var i = 0; i < keyCount; i++) values.Add(double.NaN);
                continue;
            }

            if (slice.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(series.Source, slice.Kind, FieldType.List);
            var reader = new Utf8JsonReader(slice.Of(item));
            reader.Read();
            var count = 0;
            for (; reader.Read() && reader.TokenType != JsonTokenType.EndArray; count++)
                if (!TryReadNumber(reader.TokenType, reader.ValueSpan)) return WindowPlan.WrongType(series.Source + "[]", reader.TokenType, FieldType.Number);
            if (count != keyCount) return AppendCheck.WrongLength(series.Source, count, keyCount);
        }

        return null;
    }

    private Rejection? ReadRowSeries(ReadOnlySpan<byte> item, ReadOnlySpan<JsonSlice> found)
    {
        foreach (var series in plan.RowSeries)
        {
            var slice = found[series.Slot];
            if (!slice.HasValue) values.Add(double.NaN);
            else if (!TryReadNumber(slice.Kind, slice.Of(item))) return WindowPlan.WrongType(series.Source, slice.Kind, FieldType.Number);
        }

        return null;
    }

    private bool TryReadNumber(JsonTokenType kind, ReadOnlySpan<byte> text)
    {
        if (kind == JsonTokenType.Null)
        {
            values.Add(double.NaN);
            return true;
        }

        if (kind != JsonTokenType.Number) return false;
        var value = JsonText.ReadNumber(text, out var exact);
        AddValue(value, exact ? null : text.ToArray());
        return true;
    }

    private void RollBack(int start)
    {
        if (Exact is not null)
            foreach (var index in Exact.Keys.Where(index => index >= start).ToList()) Exact.Remove(index);
        values.RemoveRange(start, values.Count - start);
    }
}
