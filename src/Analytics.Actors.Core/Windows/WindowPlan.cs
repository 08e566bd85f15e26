using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>A selected field with everything that shaping needs; slots are those of the plan's locator.</summary>
/// <param name="QuotedName">The name in the input as it is written.</param>
/// <param name="Slot">Of the member itself, or of the list that a computed field counts.</param>
/// <param name="Default">JSON for an absent member; null where it has none.</param>
internal sealed record FieldPlan(
    string Name, byte[] QuotedName, string Source, int Slot, bool IsIndex, byte[]? Default, FieldType Type);

/// <summary>
/// What a topic's windows look for in an item, made once per configuration and shared by the windows of all stations.
/// </summary>
internal sealed class WindowPlan
{
    private static readonly ConditionalWeakTable<TopicConfiguration, WindowPlan> Plans = new();

    private WindowPlan(TopicConfiguration topic)
    {
        Topic = topic;
        var paths = new List<string>();
        var time = Add(paths, topic.TimeMember);
        var device = Add(paths, topic.DeviceMember);
        var isColumns = topic.Shape == ShapeKind.Columns;
        var columns = isColumns ? Add(paths, topic.ColumnsMember) : -1;
        var fieldPaths = isColumns ? [] : paths;
        var fields = topic.Fields.Select(field => (Field: field, Path: Add(fieldPaths, field.IndexOf ?? field.Source))).ToList();
        var run = Enumerable.Range(1, topic.Tariff?.Count ?? 0)
            .Select(number => Add(paths, topic.Tariff!.Prefix + number.ToString(System.Globalization.CultureInfo.InvariantCulture))).ToList();
        var keysPath = topic.Shape switch { ShapeKind.Grid => topic.Grid?.Keys, ShapeKind.Aligned => topic.Aligned?.Keys, _ => null };
        var keys = Add(paths, keysPath);
        var series = (topic.Shape switch { ShapeKind.Grid => topic.Grid?.KeyedSeries, ShapeKind.Aligned => topic.Aligned?.Series, _ => null } ?? [])
            .Select(field => (Field: field, Path: Add(paths, field.Source))).ToList();
        var rowSeries = (topic.Shape == ShapeKind.Grid ? topic.Grid?.RowSeries ?? [] : [])
            .Select(field => (Field: field, Path: Add(paths, field.Source))).ToList();

        Members = new MemberLocator(paths);
        Elements = isColumns ? new MemberLocator(fieldPaths) : Members;
        TimeSlot = SlotOf(Members, time);
        DeviceSlot = SlotOf(Members, device);
        ColumnsSlot = SlotOf(Members, columns);
        KeysSlot = SlotOf(Members, keys);
        Fields = fields.Select(pair => Plan(Elements, pair.Field, pair.Path)).ToArray();
        Run = run.Select(path => Members.Slots[path]).ToArray();
        Series = series.Select(pair => Plan(Members, pair.Field, pair.Path)).ToArray();
        RowSeries = rowSeries.Select(pair => Plan(Members, pair.Field, pair.Path)).ToArray();
        ListsToCompare = Fields.Any(field => field.IsIndex);
        ChecksFields = Fields.Any(field => field.Type != FieldType.Any || field.IsIndex);
    }

    public TopicConfiguration Topic { get; }

    /// <summary>
    /// The names of the last fragment's members. Threads may write to it at once: lists of names are never changed, and
    /// whichever is there is as good as another.
    /// </summary>
    public string[] UsualNames { get; set; } = [];

    /// <summary>Finds members of an item.</summary>
    public MemberLocator Members { get; }

    /// <summary>Finds the members of <see cref="Fields"/>: in an item, or in an element of a columns list.</summary>
    public MemberLocator Elements { get; }
    public int TimeSlot { get; }
    public int DeviceSlot { get; }
    public int ColumnsSlot { get; }
    public int KeysSlot { get; }
    public FieldPlan[] Fields { get; }

    /// <summary>Slots of the numbered run (feeNo1, feeNo2, ...).</summary>
    public int[] Run { get; }

    /// <summary>Lists with one value per key.</summary>
    public FieldPlan[] Series { get; }
    public FieldPlan[] RowSeries { get; }

    /// <summary>A computed index belongs to lists of one length: payloads whose lists differ are rejected.</summary>
    public bool ListsToCompare { get; }
    public bool ChecksFields { get; }

    public static WindowPlan For(TopicConfiguration topic) => Plans.GetValue(topic, static topic => new WindowPlan(topic));

    /// <summary>Checks kinds of fields, and lengths of lists that belong together; null where all is well.</summary>
    public Rejection? CheckFields(ReadOnlySpan<byte> json, ReadOnlySpan<JsonSlice> found)
    {
        foreach (var field in Fields)
        {
            var slice = found[field.Slot];
            if (!slice.HasValue) continue;
            var due = field.IsIndex ? FieldType.List : field.Type;
            if (!IsOfType(slice.Kind, due)) return WrongType(field.Source, slice.Kind, due);
        }

        return ListsToCompare ? CompareLists(json, found) : null;
    }

    public static Rejection WrongType(string member, JsonTokenType found, FieldType due) =>
        new("wrong-type", $"{member} is {JsonText.KindName(found)} where {Name(due)} is due");

    private Rejection? CompareLists(ReadOnlySpan<byte> json, ReadOnlySpan<JsonSlice> found)
    {
        var length = -1;
        foreach (var field in Fields)
        {
            if (!field.IsIndex || !found[field.Slot].HasValue) continue;
            length = JsonList.Count(found[field.Slot].Of(json));
            break;
        }

        if (length < 0) return null;
        foreach (var field in Fields)
        {
            var slice = found[field.Slot];
            if (slice.Kind != JsonTokenType.StartArray || JsonList.Count(slice.Of(json)) is var count && count == length) continue;
            return new Rejection("wrong-type", $"{field.Source} has {count} values where {length} are due");
        }

        return null;
    }

    private static bool IsOfType(JsonTokenType kind, FieldType due) => due switch
    {
        FieldType.Text => kind == JsonTokenType.String,
        FieldType.Number => kind == JsonTokenType.Number,
        FieldType.Boolean => kind is JsonTokenType.True or JsonTokenType.False,
        FieldType.List => kind == JsonTokenType.StartArray,
        FieldType.Object => kind == JsonTokenType.StartObject,
        _ => true,
    };

    private static string Name(FieldType due) => due switch
    {
        FieldType.Text => "a text",
        FieldType.Number => "a number",
        FieldType.Boolean => "a boolean",
        FieldType.List => "a list",
        FieldType.Object => "an object",
        _ => "anything",
    };

    private static FieldPlan Plan(MemberLocator locator, FieldSelection field, int path) => new(
        field.Name, JsonBuilder.Quote(field.Name), field.IndexOf ?? field.Source, locator.Slots[path], field.IndexOf is not null,
        field.Default is null ? null : Encoding.UTF8.GetBytes(field.Default), field.Type);

    private static int Add(List<string> paths, string? path)
    {
        if (path is null) return -1;
        paths.Add(path);
        return paths.Count - 1;
    }

    private static int SlotOf(MemberLocator locator, int path) => path < 0 ? -1 : locator.Slots[path];
}
