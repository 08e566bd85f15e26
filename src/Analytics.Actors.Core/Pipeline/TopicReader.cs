using System.Text.Json;

namespace Analytics.Actors.Core.Pipeline;

/// <summary>
/// Reads one topic of the pipeline. Every key is looked at, also where another one is wrong; a key that has no meaning
/// beside the others is refused, because somebody who wrote it expects an effect.
/// </summary>
internal static class TopicReader
{
    public const string TopicNameForm = "1 to 249 letters, digits, dots, hyphens and underscores, as Kafka has it";

    private const int WindowMax = 1_000_000;

    public static bool IsTopicName(string name) =>
        name.Length is > 0 and <= 249 && name is not ("." or "..") && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    /// <summary>A path of members joined by dots, none of them empty.</summary>
    public static bool IsPath(string path) => path.Split('.').All(member => member.Trim().Length > 0);

    /// <summary>A module's output topic that the file does not declare: a batch upload, or a single result.</summary>
    public static TopicConfiguration Output(string name, string module) => new()
    {
        Name = name,
        Envelope = [new(EnvelopeKind.Member, "stations"), new(EnvelopeKind.Member, "results"), new(EnvelopeKind.Output)],
        StationPaths = ["station_id", "stationId"],
        Mode = UpdateMode.Append,
        Shape = ShapeKind.Flat,
        OutputOf = module,
    };

    public static TopicConfiguration Read(string name, ConfigurationObject section, string? outputOf, TimeSpan timeZone)
    {
        var defaults = outputOf is null
            ? new TopicConfiguration { Name = name, Envelope = [new(EnvelopeKind.Object)], StationPaths = ["stationId", "station_id"] }
            : Output(name, outputOf);
        var scope = section.Find("scope")?.Choice(("station", TopicScope.Station), ("global", TopicScope.Global)) ?? defaults.Scope;
        var isKeyed = ReadKeyed(section, scope, outputOf);
        var stationPaths = section.Find("station") is { } station ? ReadPaths(station) : defaults.StationPaths;
        section.Forbid("station", scope == TopicScope.Global, "a global topic has no station id; remove \"station\" or make the scope \"station\"");

        var modeValue = section.Find("mode");
        var mode = modeValue?.Choice(
            ("append", UpdateMode.Append), ("replace", UpdateMode.Replace), ("device", UpdateMode.Device), ("second", UpdateMode.Second)) ?? defaults.Mode;
        if (scope == TopicScope.Global && mode is (UpdateMode.Device or UpdateMode.Second))
        {
            modeValue!.Refuse("a global topic must have mode \"append\" or \"replace\"");
        }

        var device = section.Find("device")?.Text("the member that names the device");
        section.Forbid("device", mode != UpdateMode.Device, "only a topic with mode \"device\" has devices");
        if (mode == UpdateMode.Device && !section.Has("device")) section.Missing("device", "mode \"device\" needs the member that names the device");

        var window = (int)(section.Find("window")?.Integer(1, WindowMax) ?? defaults.Window);
        section.Forbid("window", mode == UpdateMode.Device, "mode \"device\" keeps the latest payload of each device; remove \"window\"");

        var shape = ShapeReader.Read(section, mode, defaults.Shape);
        var period = section.Find("period")?.Duration();
        var align = section.Find("align")?.Choice(("period", GridAlignment.Period), ("newest", GridAlignment.Newest)) ?? defaults.Align;
        section.Forbid("period", shape.Kind != ShapeKind.Grid, "only shape \"grid\" has periods");
        section.Forbid("align", shape.Kind != ShapeKind.Grid, "only shape \"grid\" is aligned to periods");
        if (shape.Kind == ShapeKind.Grid && !section.Has("period")) section.Missing("period", "shape \"grid\" needs the length of its periods, such as \"1h\"");

        var pad = section.Find("pad")?.Flag() ?? false;
        section.Forbid("pad", pad && shape.Kind != ShapeKind.Fields, "only shape \"fields\" is padded");
        var fill = section.Find("fill")?.Choice(
            ("zero", FillStrategy.Zero), ("forward", FillStrategy.Forward), ("linear", FillStrategy.Linear), ("missing", FillStrategy.Missing)) ?? defaults.Fill;
        section.Forbid("fill", shape.Kind != ShapeKind.Grid && !(shape.Kind == ShapeKind.Fields && (pad || window > 1)),
            "nothing is filled here: only shape \"grid\", and shape \"fields\" with a window above 1 or \"pad\": true");

        var topic = defaults with
        {
            Envelope = section.Find("envelope") is { } envelope ? ReadEnvelope(envelope) : defaults.Envelope,
            StationPaths = stationPaths,
            Scope = scope,
            Keyed = isKeyed,
            TimeMember = ReadTimeMember(section),
            OrderMember = ReadOrderMember(section, scope),
            Mode = mode,
            DeviceMember = mode == UpdateMode.Device ? device : null,
            Window = window,
            PeriodMs = period,
            Align = align,
            Shape = shape.Kind,
            ShapeMember = shape.Member,
            Grid = shape.Grid,
            Aligned = shape.Aligned,
            Tariff = shape.Tariff,
            ColumnsMember = shape.ColumnsMember,
            Fill = fill,
            Pad = pad,
            Fields = FieldReader.ReadSelected(section, shape.Kind),
            Absent = section.Find("absent")?.Choice(("omit", AbsentFields.Omit), ("null", AbsentFields.Null)) ?? defaults.Absent,
            TtlMs = section.Find("ttl")?.Duration(),
            // Global data concerns every station at once; it calls modules only where somebody asks for that.
            Triggers = section.Find("triggers")?.Flag() ?? scope != TopicScope.Global,
            Start = ReadStart(section, timeZone),
            OutOfRange = ReadOutOfRange(section, timeZone),
        };
        section.Forbid("absent", !FieldReader.Selects(shape.Kind) || shape.Kind == ShapeKind.Columns,
            "only the shapes \"fields\", \"devices\" and \"tariff\" can lack a field (columns and aligned lists take the field's \"default\")");
        section.Close();
        return topic;
    }

    // The word "station" says by what, as people write it.
    private static bool ReadKeyed(ConfigurationObject section, TopicScope scope, string? outputOf)
    {
        if (section.Find("keyed") is not { } keyed) return false;
        var isKeyed = (keyed.TryString(out var text) && text == "station" ? true : keyed.Flag()) ?? false;
        if (isKeyed && scope == TopicScope.Global) keyed.Refuse("a global record names no station that could be its key; remove keyed");
        if (isKeyed && outputOf is not null) keyed.Refuse($"the uploads of module \"{outputOf}\" are keyed by batch; remove keyed");
        return isKeyed;
    }

    private static List<string> ReadPaths(ConfigurationValue value)
    {
        var paths = new List<string>();
        foreach (var entry in TextOrList(value, "the path of the station id, or a list of such paths"))
        {
            if (entry.Text("the path of the station id") is not { } path) continue;
            if (!IsPath(path)) entry.Refuse("must be a path of members joined by dots, none of them empty");
            else if (paths.Contains(path)) entry.Refuse("is named twice; name it once");
            else paths.Add(path);
        }

        return paths;
    }

    private static List<EnvelopeForm> ReadEnvelope(ConfigurationValue value)
    {
        const string form = "\"object\", \"list\", the name of the member that holds the list, { \"member\": NAME }, { \"single\": \"output\" }, or a list of these";
        var forms = new List<EnvelopeForm>();
        foreach (var entry in TextOrList(value, form))
        {
            var envelope = entry.Kind switch
            {
                JsonValueKind.Object => ReadEnvelopeObject(entry.Section()!),
                JsonValueKind.String when entry.Text("the name of a member") is { } name => name switch
                {
                    "object" => new EnvelopeForm(EnvelopeKind.Object),
                    "list" => new EnvelopeForm(EnvelopeKind.List),
                    _ => new EnvelopeForm(EnvelopeKind.Member, name),
                },
                _ => null,
            };
            if (entry.Kind is not (JsonValueKind.Object or JsonValueKind.String)) entry.Refuse($"must be {form}");
            if (envelope is null) continue;
            if (forms.Contains(envelope)) entry.Refuse("is named twice; name it once");
            else forms.Add(envelope);
        }

        return forms;
    }

    // Members that are called "object" or "list" need this form, and so does the single result of a module.
    private static EnvelopeForm? ReadEnvelopeObject(ConfigurationObject section)
    {
        var member = section.Find("member")?.Text("the name of the member that holds the list");
        var single = section.Find("single")?.Choice(("output", true));
        if (section.Has("member") == section.Has("single")) section.Missing("member", "must have either \"member\" or \"single\"");
        section.Close();
        if (member is not null) return new EnvelopeForm(EnvelopeKind.Member, member);
        return single is null ? null : new EnvelopeForm(EnvelopeKind.Output);
    }

    // One value, or a list that must not be empty.
    private static IReadOnlyList<ConfigurationValue> TextOrList(ConfigurationValue value, string form)
    {
        if (value.Kind is JsonValueKind.String or JsonValueKind.Object) return [value];
        var entries = value.List(form) ?? [];
        if (value.Kind == JsonValueKind.Array && entries.Count == 0) value.Refuse($"must name at least one: {form}");
        return entries;
    }

    // The word "record" is the record's own timestamp, as it is when the key is left out.
    private static string? ReadTimeMember(ConfigurationObject section)
    {
        if (section.Find("time") is not { } value || value.Text("the member with the event time, or \"record\"") is not { } member) return null;
        if (member == "record") return null;
        if (!IsPath(member)) value.Refuse("must be a path of members joined by dots, none of them empty, or \"record\"");
        return member;
    }

    private static string? ReadOrderMember(ConfigurationObject section, TopicScope scope)
    {
        var member = section.Find("orderBy") is { } value ? FieldReader.Path(value) : null;
        section.Forbid("orderBy", scope == TopicScope.Global, "a global record is one item; there is nothing to put in order");
        return member;
    }

    private static StartPosition ReadStart(ConfigurationObject section, TimeSpan timeZone)
    {
        const string form = "must be \"latest\", \"earliest\", \"timestamp:TIME\" (TIME such as 2025-11-04T00:00:00+08:00) or \"group:NAME\"";
        const string group = "group:";
        if (section.Find("start") is not { } value) return new StartPosition(StartKind.Latest);
        value.TryString(out var text);
        switch (text)
        {
            case "latest": return new StartPosition(StartKind.Latest);
            case "earliest": return new StartPosition(StartKind.Earliest);
            case not null when text.StartsWith(group, StringComparison.Ordinal) && text.Length <= ConfigurationValue.TextLengthMax && !string.IsNullOrWhiteSpace(text[group.Length..]):
                return new StartPosition(StartKind.Group, Group: text[group.Length..]);
            case not null when PositionText.TryReadTimestamp(text, timeZone, out var ms): return new StartPosition(StartKind.Timestamp, ms);
        }

        value.Refuse(form);
        return new StartPosition(StartKind.Latest);
    }

    private static OutOfRangePolicy ReadOutOfRange(ConfigurationObject section, TimeSpan timeZone)
    {
        if (section.Find("outOfRange") is not { } value) return new OutOfRangePolicy(OutOfRangeKind.Stop);
        value.TryString(out var text);
        switch (text)
        {
            case "stop": return new OutOfRangePolicy(OutOfRangeKind.Stop);
            case "earliest": return new OutOfRangePolicy(OutOfRangeKind.Earliest);
            case "latest": return new OutOfRangePolicy(OutOfRangeKind.Latest);
            case not null when PositionText.TryReadTimestamp(text, timeZone, out var ms): return new OutOfRangePolicy(OutOfRangeKind.Timestamp, ms);
        }

        value.Refuse("must be \"stop\", \"earliest\", \"latest\" or \"timestamp:TIME\" (TIME such as 2025-11-04T00:00:00+08:00)");
        return new OutOfRangePolicy(OutOfRangeKind.Stop);
    }
}
