using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Lists per key (guns), aligned over all entries: the keys in order of first appearance, and for each entry one value per
/// key. A hole takes the nearest earlier value, else the nearest later, else the field's default.
/// </summary>
internal static class AlignedShape
{
    public static InputFragment Shape(WindowPlan plan, ReadOnlySpan<Entry> entries)
    {
        var aligned = plan.Topic.Aligned!;
        var keys = new KeyTable();
        var times = new JsonBuilder().StartList();
        // Values by series, then entry, then key; keys are still being met while entries are read.
        var values = new Dictionary<int, ReadOnlyMemory<byte>>[plan.Series.Length][];
        for (var series = 0; series < values.Length; series++) values[series] = new Dictionary<int, ReadOnlyMemory<byte>>[entries.Length];
        for (var i = 0; i < entries.Length; i++) Read(plan, entries[i].Item, i, keys, values, times);

        var members = new MemberList(plan, values.Length + 2);
        members.Add(aligned.TimesName, times.EndList().ToArray());
        var keysJson = new JsonBuilder().StartList();
        for (var key = 0; key < keys.Count; key++) keysJson.Value(keys.Spelling(key));
        members.Add(aligned.KeysName, keysJson.EndList().ToArray());
        for (var series = 0; series < values.Length; series++)
            members.Add(plan.Series[series].Name, Table(values[series], keys.Count, plan.Series[series].Default));
        return members.ToFragment()!;
    }

    private static void Read(
        WindowPlan plan, ReadOnlyMemory<byte> item, int entry, KeyTable keys, Dictionary<int, ReadOnlyMemory<byte>>[][] values, JsonBuilder times)
    {
        var found = new JsonSlice[plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item.Span, found)) throw new ShapeException("the entry is not well-formed");
        times.Value(plan.TimeSlot >= 0 && found[plan.TimeSlot].HasValue ? found[plan.TimeSlot].Of(item.Span) : "\"\""u8);
        var keyList = found[plan.KeysSlot];
        var ids = new List<int>();
        if (keyList.Kind == JsonTokenType.StartArray)
            foreach (var key in JsonList.Elements(keyList.Of(item.Span))) ids.Add(keys.IdOf(key.Of(keyList.Of(item.Span)), key.Kind));
        for (var series = 0; series < values.Length; series++)
        {
            var row = values[series][entry] = [];
            var list = found[plan.Series[series].Slot];
            if (list.Kind != JsonTokenType.StartArray) continue;
            var elements = JsonList.Elements(list.Of(item.Span));
            if (elements.Count != ids.Count) throw new ShapeException($"{plan.Series[series].Source} does not have one value for each key");
            for (var i = 0; i < ids.Count; i++)
                if (ids[i] >= 0) row[ids[i]] = elements[i].Of(list.Of(item));
        }
    }

    private static byte[] Table(Dictionary<int, ReadOnlyMemory<byte>>[] rows, int keyCount, byte[]? holes)
    {
        var columns = new ReadOnlyMemory<byte>[keyCount][];
        for (var key = 0; key < keyCount; key++)
        {
            columns[key] = new ReadOnlyMemory<byte>[rows.Length];
            for (var row = 0; row < rows.Length; row++) columns[key][row] = rows[row].GetValueOrDefault(key);
            Fill.Values(columns[key], [], FillStrategy.Forward);
        }

        var json = new JsonBuilder().StartList();
        for (var row = 0; row < rows.Length; row++)
        {
            json.StartList();
            for (var key = 0; key < keyCount; key++)
            {
                var value = columns[key][row].Span;
                json.Value(JsonText.IsNull(value) && holes is not null ? holes : value);
            }

            json.EndList();
        }

        return json.EndList().ToArray();
    }
}
