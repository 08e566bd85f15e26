using System.Runtime.CompilerServices;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// What an item must be before a window of entries takes it: an object; fields of the kind they are declared to have;
/// lists where the shape needs lists. A topic that asks for none of this pays for none of it.
/// </summary>
internal static class AppendCheck
{
    /// <summary>Checks one item.</summary>
    /// <param name="item">Replaced where elements of its list had to be left out.</param>
    /// <param name="rejected">Gets the elements left out.</param>
    /// <param name="timeMs">The item's own time; null without one.</param>
    [SkipLocalsInit]
    public static Rejection? Check(
        WindowContext context, ref ReadOnlyMemory<byte> item, int index, ref List<RejectedItem>? rejected, out long? timeMs)
    {
        timeMs = null;
        var plan = context.Plan;
        var shape = plan.Topic.Shape;
        var kind = Kind(item.Span);
        if (shape == ShapeKind.Columns && plan.ColumnsSlot < 0)
        {
            // The item is the list itself.
            if (kind != JsonTokenType.StartArray) return WindowPlan.WrongType("the item", kind, FieldType.List);
            return CheckElements(plan, ref item, new JsonSlice(0, item.Length, kind), index, ref rejected);
        }

        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the item is {JsonText.KindName(kind)}");
        if (plan.TimeSlot < 0 && !plan.ChecksFields && shape is not (ShapeKind.Columns or ShapeKind.Aligned)) return null;

        Span<JsonSlice> found = plan.Members.SlotCount <= 64 ? stackalloc JsonSlice[64] : new JsonSlice[plan.Members.SlotCount];
        found = found[..plan.Members.SlotCount];
        var json = item.Span;
        if (!context.TryLocate(json, found)) return NotJson;
        if (plan.TimeSlot >= 0 && ReadTime(json, found[plan.TimeSlot], context.TimeZone, out timeMs) is { } badTime) return badTime;
        if (shape == ShapeKind.Aligned && CheckAligned(plan, json, found) is { } notAligned) return notAligned;
        if (shape == ShapeKind.Columns)
        {
            var list = found[plan.ColumnsSlot];
            if (list.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(plan.Topic.ColumnsMember!, list.Kind, FieldType.List);
            return CheckElements(plan, ref item, list, index, ref rejected);
        }

        return plan.ChecksFields ? plan.CheckFields(json, found) : null;
    }

    public static readonly Rejection NotJson = new("not-json", "the item is not well-formed");

    /// <summary>Reads an item's own time: absent, null and empty mean none, anything else must be a time.</summary>
    public static Rejection? ReadTime(ReadOnlySpan<byte> json, JsonSlice slice, TimeSpan timeZone, out long? timeMs)
    {
        timeMs = null;
        if (!slice.HasValue || slice.Of(json).SequenceEqual("\"\""u8)) return null;
        if (!EventTime.TryRead(slice.Of(json), timeZone, out var time)) return BadTime(slice.Of(json));
        timeMs = time;
        return null;
    }

    public static Rejection BadTime(ReadOnlySpan<byte> written)
    {
        const int shownMax = 64;
        var text = System.Text.Encoding.UTF8.GetString(written[..Math.Min(written.Length, shownMax)]);
        return new Rejection("bad-time", $"{text} is no time; yyyy-MM-dd HH:mm:ss would be one");
    }

    public static JsonTokenType Kind(ReadOnlySpan<byte> json)
    {
        json = json.TrimStart(" \t\r\n"u8);
        return json.IsEmpty ? JsonTokenType.None : PlainJson.Kind(json[0]);
    }

    private static Rejection? CheckAligned(WindowPlan plan, ReadOnlySpan<byte> json, ReadOnlySpan<JsonSlice> found)
    {
        var aligned = plan.Topic.Aligned!;
        var keys = found[plan.KeysSlot];
        if (keys.HasValue && keys.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(aligned.Keys, keys.Kind, FieldType.List);
        var keyCount = 0;
        if (keys.HasValue)
        {
            var table = new KeyTable();
            foreach (var key in JsonList.Elements(keys.Of(json)))
            {
                keyCount++;
                if (table.IdOf(key.Of(keys.Of(json)), key.Kind) < 0)
                    return new Rejection("wrong-type", $"{aligned.Keys} holds {JsonText.KindName(key.Kind)} where texts or integers of at most 256 bytes are due");
            }
        }

        foreach (var series in plan.Series)
        {
            var list = found[series.Slot];
            if (!list.HasValue) continue;
            if (list.Kind != JsonTokenType.StartArray) return WindowPlan.WrongType(series.Source, list.Kind, FieldType.List);
            var length = JsonList.Count(list.Of(json));
            if (length != keyCount) return WrongLength(series.Source, length, keyCount);
        }

        return null;
    }

    public static Rejection WrongLength(string member, int found, int due) =>
        new("wrong-type", $"{member} has {found} values where {due} are due, one for each key");

    /// <summary>Elements that cannot be used are rejected singly, and the item goes on without them.</summary>
    private static Rejection? CheckElements(
        WindowPlan plan, ref ReadOnlyMemory<byte> item, JsonSlice list, int index, ref List<RejectedItem>? rejected)
    {
        List<JsonSlice> elements;
        try
        {
            elements = JsonList.Elements(list.Of(item.Span));
        }
        catch (JsonException)
        {
            return NotJson;
        }

        var found = new JsonSlice[plan.Elements.SlotCount];
        List<JsonSlice>? kept = null;
        var rejectedBefore = rejected?.Count ?? 0;
        for (var i = 0; i < elements.Count; i++)
        {
            var element = elements[i].Of(list.Of(item));
            if (CheckElement(plan, element.Span, elements[i].Kind, found) is not { } reason)
            {
                kept?.Add(elements[i]);
                continue;
            }

            kept ??= elements[..i];
            (rejected ??= []).Add(new RejectedItem(index, reason, element, RejectedForm.Element));
        }

        if (kept is null) return null;
        if (kept.Count == 0)
        {
            // One dead letter says it all.
            var reason = rejected![^1].Reason;
            rejected.RemoveRange(rejectedBefore, rejected.Count - rejectedBefore);
            return reason with { Detail = "no element of the list can be used; the last: " + reason.Detail };
        }

        var json = new JsonBuilder(item.Length).StartList();
        foreach (var element in kept) json.Value(element.Of(list.Of(item.Span)));
        item = (byte[])[.. item.Span[..list.Start], .. json.EndList().ToArray(), .. item.Span[(list.Start + list.Length)..]];
        return null;
    }

    private static Rejection? CheckElement(WindowPlan plan, ReadOnlySpan<byte> element, JsonTokenType kind, Span<JsonSlice> found)
    {
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the element is {JsonText.KindName(kind)}");
        if (!plan.Elements.TryLocate(element, found)) return NotJson;
        if (MemberNames.HasRepeat(element)) return new Rejection("duplicate-key", "the element has the same member twice");
        return plan.ChecksFields ? plan.CheckFields(element, found) : null;
    }
}
