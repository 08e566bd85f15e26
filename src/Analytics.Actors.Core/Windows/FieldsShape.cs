using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Shapes made of selected fields: flat members (a list per field where the window holds several entries), tariffs with
/// their numbered run, and the payload's own members. Values of a single entry are slices of its bytes.
/// </summary>
internal static class FieldsShape
{
    /// <summary>Selected fields of all entries.</summary>
    public static InputFragment? Shape(WindowPlan plan, ReadOnlySpan<Entry> entries)
    {
        var topic = plan.Topic;
        var pads = topic.Pad && topic.Window > 1;
        if (plan.Fields.Length == 0)
        {
            if (entries.Length == 1 && !pads) return ShapeFlat(entries[0].Item);
            return ShapeAllMembers(plan, entries);
        }

        return entries.Length == 1 && !pads ? ShapeOne(plan, entries[0].Item) : ShapeLists(plan, entries);
    }

    /// <summary>All members of one entry.</summary>
    public static InputFragment? ShapeFlat(ReadOnlyMemory<byte> item)
    {
        if (!JsonFragment.TryParse(item, out var fragment)) throw new ShapeException("the entry is not well-formed");
        return fragment.Names.Count == 0 ? null : fragment;
    }

    /// <summary>Selected fields of the newest entry, and its numbered members as one list.</summary>
    public static InputFragment? ShapeTariff(WindowPlan plan, ReadOnlyMemory<byte> item)
    {
        var tariff = plan.Topic.Tariff!;
        var found = Locate(plan, item);
        var members = new MemberList(plan, plan.Fields.Length + 1);
        AddFields(plan, item, found, ref members);
        var hasRun = false;
        foreach (var slot in plan.Run) hasRun |= found[slot].IsPresent;
        // A payload without any tariff member tells nothing; one with some shows where the others are missing.
        if (!hasRun && members.Count == 0) return null;
        var run = new JsonBuilder(plan.Run.Length * 8).StartList();
        foreach (var slot in plan.Run) run.Value(found[slot].IsPresent ? found[slot].Of(item.Span) : JsonText.Null);
        members.Add(tariff.Name, run.EndList().ToArray());
        return members.ToFragment();
    }

    /// <summary>Writes the selected fields of a payload as one object.</summary>
    public static void WriteObject(WindowPlan plan, ReadOnlyMemory<byte> item, JsonBuilder json)
    {
        var found = Locate(plan, item);
        json.StartObject();
        foreach (var field in plan.Fields)
        {
            var value = Value(plan.Topic, field, item, found);
            if (!value.IsEmpty) json.Name(field.QuotedName).Value(value.Span);
        }

        json.EndObject();
    }

    private static InputFragment? ShapeOne(WindowPlan plan, ReadOnlyMemory<byte> item)
    {
        var members = new MemberList(plan, plan.Fields.Length);
        AddFields(plan, item, Locate(plan, item), ref members);
        return members.ToFragment();
    }

    private static void AddFields(WindowPlan plan, ReadOnlyMemory<byte> item, JsonSlice[] found, ref MemberList members)
    {
        foreach (var field in plan.Fields)
        {
            var value = Value(plan.Topic, field, item, found);
            if (!value.IsEmpty) members.Add(field.Name, value);
        }
    }

    private static InputFragment? ShapeLists(WindowPlan plan, ReadOnlySpan<Entry> entries)
    {
        var columns = new ReadOnlyMemory<byte>[plan.Fields.Length][];
        for (var field = 0; field < columns.Length; field++) columns[field] = new ReadOnlyMemory<byte>[entries.Length];
        for (var i = 0; i < entries.Length; i++)
        {
            var found = Locate(plan, entries[i].Item);
            for (var field = 0; field < columns.Length; field++) columns[field][i] = Value(plan.Topic, plan.Fields[field], entries[i].Item, found);
        }

        var times = Times(entries);
        var members = new MemberList(plan, columns.Length);
        for (var field = 0; field < columns.Length; field++)
        {
            if (Array.TrueForAll(columns[field], value => value.IsEmpty)) continue;
            members.Add(plan.Fields[field].Name, List(plan.Topic, columns[field], times));
        }

        return members.ToFragment();
    }

    private static InputFragment? ShapeAllMembers(WindowPlan plan, ReadOnlySpan<Entry> entries)
    {
        var columns = new Dictionary<string, ReadOnlyMemory<byte>[]>(StringComparer.Ordinal);
        var names = new List<string>();
        for (var i = 0; i < entries.Length; i++)
        {
            if (ShapeFlat(entries[i].Item) is not { } fragment) continue;
            foreach (var name in fragment.Names)
            {
                if (!columns.TryGetValue(name, out var column))
                {
                    columns[name] = column = new ReadOnlyMemory<byte>[entries.Length];
                    names.Add(name);
                }

                column[i] = fragment.GetJson(name);
            }
        }

        var times = Times(entries);
        var members = new MemberList(plan, names.Count);
        foreach (var name in names) members.Add(name, List(plan.Topic, columns[name], times));
        return members.ToFragment();
    }

    /// <summary>Entries arrive in any order; where their times do not ascend, they count as equally far apart.</summary>
    private static long[] Times(ReadOnlySpan<Entry> entries)
    {
        var times = new long[entries.Length];
        for (var i = 0; i < times.Length; i++)
        {
            times[i] = entries[i].TimeMs;
            if (i > 0 && times[i] <= times[i - 1]) return [];
        }

        return times;
    }

    private static byte[] List(TopicConfiguration topic, ReadOnlyMemory<byte>[] values, long[] times)
    {
        if (topic.Pad) values = Fill.Pad(values, times, topic.Window, topic.Fill);
        else Fill.Values(values, times, topic.Fill);
        var json = new JsonBuilder().StartList();
        foreach (var value in values) json.Value(value.Span);
        return json.EndList().ToArray();
    }

    private static ReadOnlyMemory<byte> Value(TopicConfiguration topic, FieldPlan field, ReadOnlyMemory<byte> item, JsonSlice[] found)
    {
        var slice = found[field.Slot];
        if (slice.IsPresent && !field.IsIndex) return slice.Of(item);
        if (slice.Kind == System.Text.Json.JsonTokenType.StartArray) return Index(JsonList.Count(slice.Of(item.Span)));
        if (field.Default is not null) return field.Default;
        return topic.Absent == AbsentFields.Null ? JsonText.Null : default(ReadOnlyMemory<byte>);
    }

    private static byte[] Index(int count)
    {
        var json = new JsonBuilder(count * 4 + 2).StartList();
        for (var i = 0; i < count; i++) json.Number(i);
        return json.EndList().ToArray();
    }

    private static JsonSlice[] Locate(WindowPlan plan, ReadOnlyMemory<byte> item)
    {
        var found = new JsonSlice[plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item.Span, found)) throw new ShapeException("the entry is not well-formed");
        return found;
    }
}
