using Analytics.Actors.Core.Modules;
using Analytics.Actors.Tests.CoreRules;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.Defects;

/// <summary>Defects of the library that this system replaces (SPEC.md, section 8), on a whole node whose pipeline has one topic alone.</summary>
public sealed class WholeNodeDefects(WholeNodeDefects.OneTopicNode started) : IClassFixture<WholeNodeDefects.OneTopicNode>
{
    [Fact]
    public async Task Defect10_a_topic_subscribed_alone_is_read()
    {
        await started.Node.ProduceAsync(Meters, Values(7, "alone"));
        var upload = await started.UploadWithAsync("alone");
        upload["stations"]!.ToJsonString().ShouldBe("""[{"saw":7,"station_id":"alone"}]""");
    }

    [Fact]
    public async Task Defect13_more_than_32_stations_are_served_by_a_synchronous_module()
    {
        var stations = Enumerable.Range(0, 200).Select(number => $"S{number}").ToArray();
        await started.Node.ProduceAsync(Meters, Values(8, stations));
        var upload = await started.UploadWithAsync("S199");
        BatchTests.Stations(upload).ShouldBe(stations);
        upload["stations"]!.AsArray().ShouldAllBe(item => (int)item!["saw"]! == 8);
        (await started.Node.Host.Shards!.Ask(core => core.Running.Sum(shard => shard.Stations.Keys.Count(station => station.StartsWith('S'))))).ShouldBe(200);
    }

    /// <summary>Started once for both.</summary>
    public sealed class OneTopicNode : IAsyncLifetime
    {
        internal RunningNode Node { get; } = new(
            OneModule(topicOptions: "\"start\": \"earliest\""), new Dictionary<string, int> { [Meters] = 1 },
            new Dictionary<string, IModule> { ["m"] = new FunctionModule("m", input => ModuleResult.Write(writer => writer.WriteNumber("saw", input.GetElement("value").GetInt32()))) });

        public Task InitializeAsync() => Node.Host.StartAsync(default);

        public async Task DisposeAsync() => await Node.DisposeAsync();

        internal async Task<System.Text.Json.Nodes.JsonObject> UploadWithAsync(string station) =>
            await Node.ReadUntilAsync("MODULE-OUTPUT-M", 4, upload => BatchTests.Stations(upload).Contains(station));
    }
}
