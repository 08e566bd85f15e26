using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Bench.Workloads;

/// <summary>One record of a workload.</summary>
/// <param name="Key">The station's id, as producers of topics keyed by station write it; empty for a global record.</param>
/// <param name="TimestampMs">The record's timestamp, ms since 1970 UTC.</param>
public readonly record struct WorkloadRecord(string Topic, byte[] Key, long TimestampMs, byte[] Value);

/// <summary>
/// Records for a benchmark, and the pipeline that takes them. A record is a function of the seed, the start and its number
/// alone, and times advance with the number; so parts of a workload can be made in any order, and again. What is in them is
/// defined in tests/Analytics.Actors.Benchmarks/README.md. Not safe for concurrent use.
/// </summary>
public abstract class Workload(int stations, WorkloadOptions options)
{
    private const long FirstId = 1_734_000_000_000_000_001, IdStep = 7_919_000_003;

    /// <summary>The word by which the workload is known.</summary>
    public abstract string Name { get; }

    /// <summary>The topics of its records.</summary>
    public abstract IReadOnlyList<string> Topics { get; }

    public int Stations => stations;

    protected WorkloadOptions Options => options;

    /// <summary>Where records are put together.</summary>
    private protected RecordText Text { get; } = new();

    /// <summary>The record of this number, from 0 on.</summary>
    public abstract WorkloadRecord At(long number);

    /// <summary>
    /// The pipeline's text: the product's own topics as cluster-config/pipeline.json declares them, where the records are of
    /// those.
    /// </summary>
    /// <param name="keyed">The topics of stations are keyed by station, so that no router reads them.</param>
    public abstract string Pipeline(bool keyed);

    /// <summary>The same, read.</summary>
    public PipelineConfiguration Configuration(bool keyed)
    {
        var reading = PipelineReader.Read(Encoding.UTF8.GetBytes(Pipeline(keyed)), Name);
        return reading.Configuration ?? throw new InvalidOperationException($"The pipeline of the workload {Name} is wrong: {string.Join("; ", reading.Problems)}");
    }

    /// <summary>The id of a station: 19 digits, as many platforms have them.</summary>
    public static string StationId(int station) => (FirstId + station * IdStep).ToString(CultureInfo.InvariantCulture);

    private protected static long StationNumber(int station) => FirstId + station * IdStep;

    /// <summary>A number that only the seed, the record and the purpose decide.</summary>
    private protected ulong Draw(long number, int purpose) =>
        Demo.Noise.Mix(((ulong)options.Seed << 40) ^ ((ulong)purpose << 56) ^ Demo.Noise.Mix((ulong)number + 0x9e3779b97f4a7c15));

    /// <summary>The product's pipeline with these topics and modules alone.</summary>
    private protected static string Product(bool keyed, IReadOnlyList<string> topics, params IReadOnlyList<string> modules)
    {
        // The one beside the program, whatever the current directory holds: a workload is what its version says.
        var path = Path.Combine(AppContext.BaseDirectory, "cluster-config", "pipeline.json");
        var readers = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
        var pipeline = JsonNode.Parse(File.ReadAllBytes(path), documentOptions: readers)!.AsObject();
        Keep(pipeline["topics"]!.AsObject(), topics);
        Keep(pipeline["modules"]!.AsObject(), modules);
        foreach (var (_, topic) in pipeline["topics"]!.AsObject())
        {
            // Of a benchmark every record counts, from the first.
            topic!["start"] = "earliest";
            if (keyed && topic["scope"]?.GetValue<string>() != "global") topic["keyed"] = "station";
        }

        return pipeline.ToJsonString();
    }

    private static void Keep(JsonObject section, IReadOnlyList<string> names)
    {
        foreach (var name in section.Select(member => member.Key).Except(names).ToList()) section.Remove(name);
    }
}

/// <summary>What decides a workload beside its kind.</summary>
public sealed record WorkloadOptions
{
    public int Seed { get; init; } = 1;

    /// <summary>The time of the first record, ms since 1970 UTC; 2025-11-04T00:00:00Z unless something else is asked for.</summary>
    public long StartMs { get; init; } = 1_762_214_400_000;
}
