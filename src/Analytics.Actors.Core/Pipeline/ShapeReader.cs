using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>What a topic's key <c>shape</c> says; the parts that do not belong to <see cref="Kind"/> are null.</summary>
internal sealed record Shape(ShapeKind Kind)
{
    public string? Member { get; init; }
    public GridConfiguration? Grid { get; init; }
    public AlignedConfiguration? Aligned { get; init; }
    public TariffConfiguration? Tariff { get; init; }
    public string? ColumnsMember { get; init; }
}

/// <summary>
/// Reads a topic's key <c>shape</c>: a kind alone ("fields", "flat"), or an object with the kind and what it needs. Which
/// kinds fit which mode stands here too.
/// </summary>
internal static class ShapeReader
{
    private const int TariffCountMax = 10_000;

    private static readonly (string Name, ShapeKind Value)[] Kinds =
    [
        ("fields", ShapeKind.Fields), ("columns", ShapeKind.Columns), ("grid", ShapeKind.Grid), ("aligned", ShapeKind.Aligned),
        ("devices", ShapeKind.Devices), ("tariff", ShapeKind.Tariff), ("orders", ShapeKind.Orders), ("flat", ShapeKind.Flat),
    ];

    public static Shape Read(ConfigurationObject topic, UpdateMode mode, ShapeKind fallback)
    {
        var value = topic.Find("shape");
        var shape = value?.Kind switch
        {
            null => Fallback(mode, fallback),
            JsonValueKind.Object => ReadObject(value.Section()!, mode, fallback),
            _ => ReadName(value, mode, fallback),
        };
        if (value is null && !Fits(mode, fallback))
        {
            topic.Missing("shape", $"mode \"{NameOf(mode)}\" needs {Example(KindOf(mode))}");
        }
        else if (value is not null && !Fits(mode, shape.Kind))
        {
            value.Refuse(Fits(mode, ShapeKind.Fields)
                ? $"shape \"{NameOf(shape.Kind)}\" needs mode \"{NameOf(ModeOf(shape.Kind))}\""
                : $"mode \"{NameOf(mode)}\" needs {Example(KindOf(mode))}");
        }

        return shape;
    }

    private static Shape ReadName(ConfigurationValue value, UpdateMode mode, ShapeKind fallback)
    {
        if (value.Choice(Kinds) is not { } kind) return Fallback(mode, fallback);
        // Where the mode does not fit, that is said already, and it says what to write instead.
        if (kind is not (ShapeKind.Fields or ShapeKind.Flat) && Fits(mode, kind)) value.Refuse($"this shape needs an object: {Example(kind)}");
        return new Shape(kind);
    }

    private static Shape ReadObject(ConfigurationObject section, UpdateMode mode, ShapeKind fallback)
    {
        ShapeKind kind;
        if (section.Find("kind") is not { } kindValue)
        {
            section.Missing("kind", $"must be {ConfigurationValue.Alternatives([.. Kinds.Select(k => k.Name)])}");
            return Fallback(mode, fallback);
        }

        if (kindValue.Choice(Kinds) is { } known) kind = known;
        // The other keys belong to a kind that nobody knows: nothing to say about them.
        else return Fallback(mode, fallback);

        var member = section.Find("member")?.Text("the input member that holds the shape");
        section.Forbid("member", kind == ShapeKind.Flat, "shape \"flat\" has no member of its own");
        if (kind is ShapeKind.Devices or ShapeKind.Orders && !section.Has("member"))
        {
            section.Missing("member", $"shape \"{NameOf(kind)}\" needs the input member that holds the list");
        }

        var shape = new Shape(kind) { Member = member };
        shape = kind switch
        {
            ShapeKind.Grid => shape with { Grid = ReadGrid(section) },
            ShapeKind.Aligned => shape with { Aligned = ReadAligned(section) },
            ShapeKind.Tariff => shape with { Tariff = ReadTariff(section) },
            ShapeKind.Columns => shape with { ColumnsMember = ReadRequired(section, "list", "the member of the entry that holds the list of objects") },
            _ => shape,
        };
        section.Close();
        return shape;
    }

    private static GridConfiguration? ReadGrid(ConfigurationObject section)
    {
        var keys = section.Find("keys") is { } value ? FieldReader.Path(value) : null;
        var keysName = section.Find("keysName")?.Text("the name of the key list in the input") ?? (keys is null ? null : FieldReader.LastMember(keys));
        section.Forbid("keysName", !section.Has("keys"), "a grid without \"keys\" has no key list");
        var times = ReadRequired(section, "times", "the name of the list of period times in the input");
        var series = section.Find("series") is { } keyed ? FieldReader.ReadList(keyed, FieldFeatures.None) : [];
        section.Forbid("series", !section.Has("keys"), "series with one value per key need \"keys\", the path of the key list; series with one value per row are \"rowSeries\"");
        var rowSeries = section.Find("rowSeries") is { } single ? FieldReader.ReadList(single, FieldFeatures.None) : [];
        if (!section.Has("series") && !section.Has("rowSeries")) section.Missing("series", "a grid needs \"series\" (one value per key) or \"rowSeries\" (one value per row)");
        if (section.Has("keys") && !section.Has("series")) section.Missing("series", "a grid with \"keys\" needs \"series\", the lists with one value per key");
        if (times is null) return null;
        RefuseDoubles(section, [times, .. keysName is null ? [] : new[] { keysName }, .. series.Select(s => s.Name), .. rowSeries.Select(s => s.Name)]);
        return new GridConfiguration(keys, keysName, times, series, rowSeries);
    }

    private static AlignedConfiguration? ReadAligned(ConfigurationObject section)
    {
        var keys = section.Find("keys") is { } value ? FieldReader.Path(value) : null;
        if (!section.Has("keys")) section.Missing("keys", "must be the path of the list of keys");
        var keysName = section.Find("keysName")?.Text("the name of the key list in the input") ?? (keys is null ? null : FieldReader.LastMember(keys));
        var times = ReadRequired(section, "times", "the name of the list of times in the input");
        var series = section.Find("series") is { } list ? FieldReader.ReadList(list, FieldFeatures.Default) : [];
        if (!section.Has("series")) section.Missing("series", "must be the lists that are aligned by \"keys\"");
        if (keys is null || keysName is null || times is null) return null;
        RefuseDoubles(section, [times, keysName, .. series.Select(s => s.Name)]);
        return new AlignedConfiguration(keys, keysName, times, series);
    }

    private static TariffConfiguration? ReadTariff(ConfigurationObject section)
    {
        var prefix = ReadRequired(section, "prefix", "the start of the numbered members' names");
        var name = section.Find("name")?.Text("the list's name in the input") ?? prefix;
        var count = section.Find("count")?.Integer(1, TariffCountMax);
        if (!section.Has("count")) section.Missing("count", "must be the number of numbered members");
        return prefix is null || name is null || count is null ? null : new TariffConfiguration(prefix, name, (int)count);
    }

    private static string? ReadRequired(ConfigurationObject section, string key, string what)
    {
        if (section.Find(key) is { } value) return value.Text(what);
        section.Missing(key, $"must be {what}");
        return null;
    }

    private static void RefuseDoubles(ConfigurationObject section, IReadOnlyList<string> names)
    {
        foreach (var name in names.GroupBy(name => name).Where(group => group.Count() > 1).Select(group => group.Key))
        {
            section.Missing("series", $"the input would have two members \"{name}\"; rename one");
        }
    }

    // Rows that replace the window may also be shaped as entries are.
    private static bool Fits(UpdateMode mode, ShapeKind kind) =>
        ModeOf(kind) == mode || mode == UpdateMode.Replace && ModeOf(kind) == UpdateMode.Append;

    private static UpdateMode ModeOf(ShapeKind kind) => kind switch
    {
        ShapeKind.Grid => UpdateMode.Replace,
        ShapeKind.Devices => UpdateMode.Device,
        ShapeKind.Orders => UpdateMode.Second,
        _ => UpdateMode.Append,
    };

    // What a topic counts as while its shape is missing or wrong.
    private static Shape Fallback(UpdateMode mode, ShapeKind fallback) => new(Fits(mode, fallback) ? fallback : KindOf(mode));

    private static ShapeKind KindOf(UpdateMode mode) => mode switch
    {
        UpdateMode.Device => ShapeKind.Devices,
        UpdateMode.Second => ShapeKind.Orders,
        _ => ShapeKind.Fields,
    };

    private static string NameOf(ShapeKind kind) => Kinds.First(known => known.Value == kind).Name;

    private static string NameOf(UpdateMode mode) => mode.ToString().ToLowerInvariant();

    private static string Example(ShapeKind kind) => kind switch
    {
        ShapeKind.Grid => "\"shape\": { \"kind\": \"grid\", \"keys\": PATH, \"times\": NAME, \"series\": [...], \"rowSeries\": [...] }",
        ShapeKind.Devices => "\"shape\": { \"kind\": \"devices\", \"member\": NAME }",
        ShapeKind.Orders => "\"shape\": { \"kind\": \"orders\", \"member\": NAME }",
        ShapeKind.Aligned => "\"shape\": { \"kind\": \"aligned\", \"keys\": PATH, \"times\": NAME, \"series\": [...] }",
        ShapeKind.Columns => "\"shape\": { \"kind\": \"columns\", \"list\": MEMBER }",
        ShapeKind.Tariff => "\"shape\": { \"kind\": \"tariff\", \"prefix\": PREFIX, \"count\": NUMBER }",
        _ => "\"shape\": \"fields\"",
    };
}
