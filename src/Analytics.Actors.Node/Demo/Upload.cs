using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Node.Demo;

/// <summary>One record of an output topic, as a consumer of its own reads it back.</summary>
/// <param name="Origin">The header <c>aa-origin</c>; null without one.</param>
/// <param name="ReadMs">When it was read, on the clock of the acknowledgements.</param>
public sealed record UploadRecord(string Topic, int Partition, long Offset, string? Origin, ReadOnlyMemory<byte> Value, long ReadMs);

/// <summary>What an upload says. Members that it lacks are null.</summary>
public sealed record Upload
{
    public string? BatchId { get; init; }
    public string? Module { get; init; }
    public bool HasTimestamp { get; init; }
    public IReadOnlyList<string>? Stations { get; init; }
    public int? StationCount { get; init; }
    public int? ExpectedCount { get; init; }
    public IReadOnlyList<string>? Failed { get; init; }
    public IReadOnlyList<string>? Missing { get; init; }
    public int? Revision { get; init; }

    /// <summary>The station of a single result (a module without batches); null for a batch.</summary>
    public string? SingleStation { get; init; }

    /// <summary>Reads either format (<c>stations</c>, or <c>results</c> as older consumers have it); the fault where it is neither.</summary>
    public static (Upload? Upload, string? Fault) Read(ReadOnlySpan<byte> value)
    {
        try
        {
            var reader = new Utf8JsonReader(value);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return (null, "an upload is not an object");
            string? batchId = null, module = null, single = null;
            IReadOnlyList<string>? stations = null, failed = null, missing = null;
            int? stationCount = null, expectedCount = null, revision = null;
            var hasTimestamp = false;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString();
                reader.Read();
                switch (name)
                {
                    case "batch_id":
                        batchId = Text(ref reader);
                        break;
                    case "module":
                        module = Text(ref reader);
                        break;
                    case "station_id":
                        single = Text(ref reader);
                        break;
                    case "timestamp":
                        hasTimestamp = reader.TokenType == JsonTokenType.Number;
                        break;
                    case "station_count" or "stations_count":
                        stationCount = Number(ref reader);
                        break;
                    case "expected_count":
                        expectedCount = Number(ref reader);
                        break;
                    case "revision":
                        revision = Number(ref reader);
                        break;
                    case "stations" or "results":
                        stations = StationList(ref reader);
                        if (stations is null) return (null, "an upload has a result without station_id");
                        break;
                    case "failed":
                        failed = StationList(ref reader);
                        break;
                    case "missing":
                        missing = StationList(ref reader);
                        break;
                    default:
                        reader.Skip();
                        break;
                }
            }

            while (reader.Read()) { }
            return (new Upload
            {
                BatchId = batchId, Module = module, HasTimestamp = hasTimestamp, Stations = stations, StationCount = stationCount,
                ExpectedCount = expectedCount, Failed = failed, Missing = missing, Revision = revision, SingleStation = single,
            }, null);
        }
        catch (JsonException)
        {
            return (null, "an upload is not JSON");
        }
    }

    private static string? Text(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.String) return reader.GetString();
        if (reader.TokenType == JsonTokenType.Number) return Encoding.UTF8.GetString(reader.ValueSpan);
        reader.Skip();
        return null;
    }

    private static int? Number(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number)) return number;
        reader.Skip();
        return null;
    }

    // Station ids, or objects that carry one as station_id; null where an element has none.
    private static List<string>? StationList(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return null;
        }

        var stations = new List<string>();
        var allHaveOne = true;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            string? station = null;
            if (reader.TokenType == JsonTokenType.StartObject)
            {
                while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    var isId = reader.ValueTextEquals("station_id"u8);
                    reader.Read();
                    if (isId) station = Text(ref reader);
                    else reader.Skip();
                }
            }
            else
            {
                station = Text(ref reader);
            }

            if (station is null) allHaveOne = false;
            else stations.Add(station);
        }

        return allHaveOne ? stations : null;
    }
}
