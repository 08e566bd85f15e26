using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>A list of objects turned into one list per field (a calendar's days into dates, holidays and weekends).</summary>
internal static class ColumnsShape
{
    public static InputFragment Shape(WindowPlan plan, ReadOnlyMemory<byte> item)
    {
        var list = List(plan, item);
        var elements = JsonList.Elements(list.Span);
        var columns = new JsonBuilder[plan.Fields.Length];
        for (var field = 0; field < columns.Length; field++) columns[field] = new JsonBuilder(elements.Count * 8 + 2).StartList();
        var found = new JsonSlice[plan.Elements.SlotCount];
        foreach (var slice in elements)
        {
            var element = slice.Of(list.Span);
            if (!plan.Elements.TryLocate(element, found)) throw new ShapeException("an element of the list is not an object");
            for (var field = 0; field < columns.Length; field++)
            {
                var value = found[plan.Fields[field].Slot];
                // The lists stay aligned: an element that lacks a member has a value too.
                columns[field].Value(value.IsPresent ? value.Of(element) : plan.Fields[field].Default ?? JsonText.Null);
            }
        }

        var members = new MemberList(plan, columns.Length);
        for (var field = 0; field < columns.Length; field++) members.Add(plan.Fields[field].Name, columns[field].EndList().ToArray());
        return members.ToFragment()!;
    }

    private static ReadOnlyMemory<byte> List(WindowPlan plan, ReadOnlyMemory<byte> item)
    {
        if (plan.ColumnsSlot < 0) return item;
        var found = new JsonSlice[plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item.Span, found) || found[plan.ColumnsSlot].Kind != System.Text.Json.JsonTokenType.StartArray)
            throw new ShapeException($"{plan.Topic.ColumnsMember} is not a list");
        return found[plan.ColumnsSlot].Of(item);
    }
}
