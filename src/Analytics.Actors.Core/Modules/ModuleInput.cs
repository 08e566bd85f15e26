using System.Buffers;
using System.Text.Json;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Modules;

/// <summary>One topic's share of an input: the topic, and what its window added (null: nothing).</summary>
public readonly record struct TopicFragment(string Topic, InputFragment? Fragment);

/// <summary>How complete an input is, as the member <c>_data_quality</c> tells the module.</summary>
public sealed record DataQuality
{
    public required IReadOnlyList<string> AvailableTopics { get; init; }
    public required IReadOnlyList<string> MissingTopics { get; init; }

    /// <summary>Topics whose data could not be shaped, with the reason.</summary>
    public required IReadOnlyList<KeyValuePair<string, string>> FailedTopics { get; init; }
    public required int TotalTopics { get; init; }

    /// <summary>Seconds since the newest entry, per available topic.</summary>
    public required IReadOnlyList<KeyValuePair<string, double>> AgeSeconds { get; init; }

    /// <summary>Keys whose value another topic changed.</summary>
    public required IReadOnlyList<string> Overwritten { get; init; }

    /// <summary>Available / total; 0.0 of 0.</summary>
    public double AvailabilityRatio => TotalTopics == 0 ? 0.0 : (double)AvailableTopics.Count / TotalTopics;
}

/// <summary>
/// The tidy input of one call: fragments of topics in merge order (a later one overwrites an equal key, except
/// <c>stationId</c>), and the data quality. Immutable; the same values by name as JSON (<see cref="ToJson"/>), as
/// elements, or as spans of numbers.
/// </summary>
public sealed class ModuleInput
{
    private readonly IReadOnlyList<TopicFragment> fragments;
    private readonly MemberOwners owners;

    public ModuleInput(string station, long timeMs, IReadOnlyList<TopicFragment> fragments, DataQuality quality)
        : this(station, timeMs, fragments, quality, new MemberOwners(fragments))
    {
    }

    internal ModuleInput(string station, long timeMs, IReadOnlyList<TopicFragment> fragments, DataQuality quality, MemberOwners owners)
    {
        Station = station;
        TimeMs = timeMs;
        this.fragments = fragments;
        Quality = quality;
        this.owners = owners;
    }

    /// <summary>The station's id.</summary>
    public string Station { get; }

    /// <summary>When the call was triggered, ms since 1970 UTC.</summary>
    public long TimeMs { get; }

    public DataQuality Quality { get; }

    /// <summary>The fragments in merge order, those that add nothing left out by the caller.</summary>
    public IReadOnlyList<TopicFragment> Fragments => fragments;

    /// <summary>The names of all members but <c>stationId</c> and <c>_data_quality</c>.</summary>
    public IEnumerable<string> Names => owners.Owners.Keys;

    public bool Contains(string name) => owners.OwnerOf(name) >= 0;

    /// <summary>The member as UTF-8 JSON; empty where the input has none of that name.</summary>
    public ReadOnlyMemory<byte> GetJson(string name) => OwnerOf(name)?.GetJson(name) ?? default;

    /// <summary>The member as an element; undefined where the input has none of that name.</summary>
    public JsonElement GetElement(string name)
    {
        var json = GetJson(name);
        if (json.IsEmpty) return default;
        // Records may be 64 levels deep, and stand some levels down in an input.
        var reader = new Utf8JsonReader(json.Span, new JsonReaderOptions { MaxDepth = 128 });
        return JsonElement.ParseValue(ref reader);
    }

    /// <summary>The member as numbers; see <see cref="InputFragment.TryGetSeries"/>.</summary>
    public bool TryGetSeries(string name, out NumericSeries series)
    {
        if (OwnerOf(name) is { } fragment) return fragment.TryGetSeries(name, out series);
        series = default;
        return false;
    }

    /// <summary>The whole input as one JSON object in UTF-8, a copy of the caller's own.</summary>
    public byte[] ToJson()
    {
        using var buffer = new PooledBuffer();
        WriteTo(buffer);
        return buffer.ToArray();
    }

    /// <summary>Writes the whole input as one JSON object in UTF-8; most of it goes from where it is held straight to the destination.</summary>
    public void WriteTo(IBufferWriter<byte> destination)
    {
        using var writer = new Utf8JsonWriter(destination);
        writer.WriteStartObject();
        writer.WriteString("stationId", Station);
        // Members are written past the writer, which goes on behind them.
        writer.Flush();
        foreach (var member in owners.Written)
        {
            destination.Write(member.Prefix);
            fragments[member.Owner].Fragment!.WriteJson(member.Name, destination);
        }

        WriteQuality(writer);
        writer.WriteEndObject();
    }

    /// <summary>The keys whose value another fragment changed, each once, in order of the first overwriting.</summary>
    public static IReadOnlyList<string> FindOverwritten(IReadOnlyList<TopicFragment> fragments) => new MemberOwners(fragments).FindOverwritten(fragments);

    private InputFragment? OwnerOf(string name) => owners.OwnerOf(name) is >= 0 and var index ? fragments[index].Fragment : null;

    private void WriteQuality(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("_data_quality");
        WriteTexts(writer, "available_topics", Quality.AvailableTopics);
        WriteTexts(writer, "missing_topics", Quality.MissingTopics);
        writer.WriteStartObject("failed_topics");
        foreach (var (topic, reason) in Quality.FailedTopics) writer.WriteString(topic, reason);
        writer.WriteEndObject();
        writer.WriteNumber("total_topics", Quality.TotalTopics);
        writer.WriteNumber("availability_ratio", Quality.AvailabilityRatio);
        writer.WriteStartObject("age_seconds");
        foreach (var (topic, seconds) in Quality.AgeSeconds) writer.WriteNumber(topic, seconds);
        writer.WriteEndObject();
        WriteTexts(writer, "overwritten", Quality.Overwritten);
        writer.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter writer, string name, IReadOnlyList<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (var text in texts) writer.WriteStringValue(text);
        writer.WriteEndArray();
    }
}
