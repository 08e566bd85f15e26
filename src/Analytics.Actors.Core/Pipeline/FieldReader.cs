using System.Text.Encodings.Web;
using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>What a list of fields knows beside names; it depends on the shape.</summary>
[Flags]
internal enum FieldFeatures
{
    None = 0,
    Default = 1,
    Computed = 2,
    Type = 4,
}

/// <summary>Reads the fields that a shape takes from payloads: names, or objects that select, rename and default.</summary>
internal static class FieldReader
{
    private static readonly JsonSerializerOptions PlainJson = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private const string Form = "a field's path, or { \"from\": PATH, \"as\": NAME, \"type\": KIND, \"default\": VALUE } or { \"indexOf\": PATH, \"as\": NAME }";

    /// <summary>Whether a topic of this shape has a <c>fields</c> list; the others name their series, or take everything.</summary>
    public static bool Selects(ShapeKind shape) => shape is ShapeKind.Fields or ShapeKind.Columns or ShapeKind.Devices or ShapeKind.Tariff;

    /// <summary>The topic's key <c>fields</c>.</summary>
    public static IReadOnlyList<FieldSelection> ReadSelected(ConfigurationObject topic, ShapeKind shape)
    {
        topic.Forbid("fields", !Selects(shape), shape is ShapeKind.Grid or ShapeKind.Aligned
            ? "this shape names its series itself, inside \"shape\""
            : "this shape takes all members; choose shape \"fields\" to select some");
        if (!topic.Has("fields") && shape == ShapeKind.Columns) topic.Missing("fields", "shape \"columns\" needs the members that become columns");
        return Selects(shape) && topic.Find("fields") is { } value
            ? ReadList(value, FieldFeatures.Default | FieldFeatures.Type | (shape == ShapeKind.Columns ? FieldFeatures.None : FieldFeatures.Computed))
            : [];
    }

    /// <summary>A list of fields with different names.</summary>
    public static List<FieldSelection> ReadList(ConfigurationValue value, FieldFeatures features)
    {
        var fields = new List<FieldSelection>();
        var entries = value.List("a list of fields");
        if (entries is { Count: 0 }) value.Refuse("must name at least one field");
        foreach (var entry in entries ?? [])
        {
            if (Read(entry, features) is not { } field) continue;
            if (fields.Any(other => other.Name == field.Name)) entry.Refuse($"the input would have two members \"{field.Name}\"; rename one with \"as\"");
            else fields.Add(field);
        }

        return fields;
    }

    private static FieldSelection? Read(ConfigurationValue entry, FieldFeatures features)
    {
        switch (entry.Kind)
        {
            case JsonValueKind.String:
                return Path(entry) is { } path ? new FieldSelection(path, LastMember(path)) : null;
            case JsonValueKind.Object:
                return Read(entry.Section()!, features);
            default:
                entry.Refuse($"must be {Form}");
                return null;
        }
    }

    private static FieldSelection? Read(ConfigurationObject section, FieldFeatures features)
    {
        var from = section.Find("from") is { } source ? Path(source) : null;
        var name = section.Find("as")?.Text("the field's name in the input");
        var indexOf = section.Find("indexOf") is { } list ? Path(list) : null;
        var given = section.Find("default");
        var type = section.Find("type")?.Choice(
            ("any", FieldType.Any), ("text", FieldType.Text), ("number", FieldType.Number),
            ("boolean", FieldType.Boolean), ("list", FieldType.List), ("object", FieldType.Object)) ?? FieldType.Any;
        section.Forbid("default", !features.HasFlag(FieldFeatures.Default), "a hole of a grid is filled as the topic's \"fill\" says");
        section.Forbid("indexOf", !features.HasFlag(FieldFeatures.Computed), "this shape has no computed fields");
        section.Forbid("type", !features.HasFlag(FieldFeatures.Type), "the shape says itself what its series hold");
        section.Forbid("type", features.HasFlag(FieldFeatures.Type) && section.Has("indexOf"), "a computed field is a list of numbers");
        section.Close();
        if (section.Has("from") == section.Has("indexOf")) section.Missing("from", "must have either \"from\" or \"indexOf\"");
        if (section.Has("indexOf") && !section.Has("as")) section.Missing("as", "a computed field needs its name in the input");
        if ((from ?? indexOf) is not { } path) return null;
        return new FieldSelection(path, name ?? LastMember(path)) { IndexOf = indexOf, Default = given is null ? null : Plain(given.Element), Type = type };
    }

    // The raw text may hold comments, which only a configuration file understands.
    private static string Plain(JsonElement element) => JsonSerializer.Serialize(element, PlainJson);

    /// <summary>The value as a path of members; null (and a problem) where it is none.</summary>
    public static string? Path(ConfigurationValue value)
    {
        if (value.Text("a field's path") is not { } path) return null;
        if (TopicReader.IsPath(path)) return path;
        value.Refuse("must be a path of members joined by dots, none of them empty");
        return null;
    }

    /// <summary>The name that a field has in the input unless it is renamed: the last member of its path.</summary>
    public static string LastMember(string path) => path[(path.LastIndexOf('.') + 1)..];
}
