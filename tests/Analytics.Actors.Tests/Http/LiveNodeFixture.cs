using System.Net;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Kafka.Embedded;

namespace Analytics.Actors.Tests.Http;

/// <summary>
/// A node that has worked: the calendar, two stations' parameters, one bad record, and their real-time data, all of it done
/// and at rest. Tests of the class only read.
/// </summary>
public sealed class LiveNodeFixture : IAsyncLifetime
{
    public const string Plain = "1234567890123456789";

    /// <summary>Slashes, a space, a percent sign that looks like an escape, and letters that are not ASCII.</summary>
    public const string Odd = "Süd/2 充电站 %2F?#";

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("http-test-");
    private readonly PipelineConfiguration pipeline = LiveNode.Pipeline("""
        {
          "load_prediction": {
            "topics": ["SCHEDULE-STATION-PARAM", "SCHEDULE-STATION-REALTIME-DATA", "SCHEDULE-ENVIRONMENT-CALENDAR"],
            "onIncomplete": "wait"
          },
          "station_guidance": {
            "topics": ["SCHEDULE-STATION-PARAM"],
            "dependsOn": ["load_prediction"],
            "requires": ["SCHEDULE-STATION-PARAM"]
          },
          "customer_mining": { "enabled": false, "topics": ["SCHEDULE-CAR-ORDER"] }
        }
        """);
    private EmbeddedBroker broker = null!;
    private Platform platform = null!;

    internal LiveNode Node { get; private set; } = null!;

    /// <summary>Answers of the server before its node was started, by path.</summary>
    public Dictionary<string, (HttpStatusCode Status, JsonNode Body)> BeforeStart { get; } = [];

    /// <summary>The upload of both stations' load prediction.</summary>
    public JsonNode Upload { get; private set; } = null!;

    public long RealtimeOffset { get; private set; }

    public async Task InitializeAsync()
    {
        broker = LiveNode.StartBroker(pipeline);
        Node = new LiveNode(
            broker, folder.FullName, pipeline,
            TestModule.Summary("load_prediction"),
            new TestModule("station_guidance", (_, _) => ModuleResult.Write(writer => writer.WriteBoolean("go", true))));
        await Node.Server.StartAsync(CancellationToken.None);
        foreach (var path in new[] { "/health", "/health/live", "/health/ready", "/api/v1/shards", "/api/v1/stations/x", "/api/v1/sources" }) BeforeStart[path] = await Node.GetAsync(path);
        BeforeStart["/metrics"] = (HttpStatusCode.OK, (await Node.ScrapeAsync()).Families.Count);
        await Node.Host.StartAsync(CancellationToken.None);
        await Node.WaitReadyAsync();

        platform = new Platform(broker, pipeline);
        await platform.SendCalendarAsync();
        await Node.WaitAppliedAsync("SCHEDULE-ENVIRONMENT-CALENDAR", LiveNode.Shards);
        await platform.SendParamAsync(Plain, Odd);
        await platform.SendAsync("SCHEDULE-STATION-PARAM", "{ this is not JSON", partition: 1);
        // Both stations' guidance without a prediction, and the dead letter.
        await platform.ReadAsync("MODULE-OUTPUT-STATION_GUIDANCE", 1);
        await platform.ReadAsync($"{LiveNode.Group}.dead-letters", 1);
        RealtimeOffset = await platform.SendRealtimeAsync(Plain, Odd);
        Upload = (await platform.ReadAsync("MODULE-OUTPUT-LOAD_PREDICTION", 1))[0];
        await platform.ReadAsync("MODULE-OUTPUT-STATION_GUIDANCE", 2);
        await Node.WaitUntilAsync("at rest", async () =>
            (await Node.ReadAsync("/api/v1/shards")).AsArray().All(shard => shard!["outbox"]!.GetValue<int>() == 0 && shard["batches"]!.GetValue<int>() == 0)
            && (await Node.ReadAsync("/api/v1/sources")).AsArray().All(source => source!["lag"] is not { } lag || lag.GetValue<long>() == 0));
    }

    public async Task DisposeAsync()
    {
        await platform.DisposeAsync();
        await Node.DisposeAsync();
        broker.Dispose();
        folder.Delete(recursive: true);
    }
}
