using System.Collections.Concurrent;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Hosting;
using Analytics.Actors.Tests.CoreRules;
using Analytics.Actors.Tests.Kafka;
using Analytics.Actors.Tests.Pipeline;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.Defects;

/// <summary>Defects of the library that this system replaces (SPEC.md, section 8): what concerns the node around the core.</summary>
public class NodeDefects
{
    [Fact]
    public async Task Defect11_a_start_that_fails_says_why()
    {
        await using var node = new RunningNode(OneModule(), new Dictionary<string, int> { [Meters] = 1, [RunningNode.Group + ".station-events"] = 3 }, new Dictionary<string, IModule>());
        var failure = await Should.ThrowAsync<TopicException>(() => node.Host.StartAsync(default));
        failure.Message.ShouldContain("defects.station-events has 3 partitions, but 4 are needed");
    }

    [Fact]
    public async Task Defect11_a_store_that_does_not_fit_is_refused_at_the_start()
    {
        await using var node = new RunningNode(OneModule(), new Dictionary<string, int> { [Meters] = 1 }, new Dictionary<string, IModule>(), shards: 4);
        await node.Store.OpenAsync(RunningNode.Group, 8, default);
        var failure = await Should.ThrowAsync<StoreRefusedException>(() => node.Host.StartAsync(default));
        failure.Message.ShouldContain("8");
        failure.Message.ShouldContain("4");
    }

    [Fact]
    public async Task Defect11_a_loop_that_ends_by_itself_is_heard_of()
    {
        await using var node = new RunningNode(OneModule(), new Dictionary<string, int> { [Meters] = 1 }, new Dictionary<string, IModule>());
        await node.Host.StartAsync(default);
        node.Host.Failure.IsCompleted.ShouldBeFalse();
        // No message of a node: an invariant that is broken.
        node.Host.Shards!.Post(new UnheardOf());
        await Should.ThrowAsync<ArgumentOutOfRangeException>(() => node.Host.Shards.Completion.WaitAsync(Waiting.AtMost));
        await Should.ThrowAsync<ArgumentOutOfRangeException>(() => node.Host.Failure.WaitAsync(Waiting.AtMost));
        node.Host.Observer.Failure.ShouldNotBeNull();
        (await node.Host.IsReadyAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task Defect12_a_module_that_blocks_stops_its_own_station_only()
    {
        using var gate = new ManualResetEventSlim();
        var answers = new EventLog<NodeMessage>();
        var threads = new ConcurrentDictionary<int, byte>();
        var module = new FunctionModule("m", input =>
        {
            threads[Environment.CurrentManagedThreadId] = 0;
            // Code that cannot be stopped.
            if (input.Station is "S0" or "S1") gate.Wait();
            return ModuleResult.FromJson("{}"u8.ToArray());
        });
        using var pool = new ModulePool(new Dictionary<string, IModule> { ["m"] = module }, new Dictionary<string, int> { ["default"] = 1 }, message => answers.Add(message));
        var configuration = PipelineFiles.Valid(OneModule("\"callTimeout\": \"2s\"")).Modules["m"];
        for (var station = 0; station < 40; station++) pool.Begin(Call(configuration, station));

        var others = await answers.WaitUntil(all => all.OfType<CallReturned>().Count(answer => answer.Outcome.Kind == CallOutcomeKind.Result) == 38);
        others.OfType<CallReturned>().Where(answer => answer.Outcome.Kind == CallOutcomeKind.Result).ShouldAllBe(answer => answer.Call.Trigger >= 2);
        threads.ShouldNotContainKey(Environment.CurrentManagedThreadId);

        // They have answered with an error when their time is up, and keep their slots until their code returns.
        await answers.WaitUntil(all => all.OfType<CallReturned>().Count(answer => answer is { Outcome.Kind: CallOutcomeKind.Timeout, Releases: false }) == 2);
        pool.Stuck.Select(stuck => stuck.Station).Order().ShouldBe(["S0", "S1"]);
        pool.RunningCount.ShouldBe(2);
        gate.Set();
        await answers.WaitUntil(all => all.OfType<CallReleased>().Select(released => released.Call.Trigger).Order().SequenceEqual([0L, 1L]));
        pool.Stuck.ShouldBeEmpty();
    }

    private static ModuleCall Call(Analytics.Actors.Core.Pipeline.ModuleConfiguration module, int station) => new(
        new CallId(new ShardId(0), new Epoch(1), station, 1), module,
        new ModuleInput($"S{station}", 0, [], new DataQuality { AvailableTopics = [], MissingTopics = [], FailedTopics = [], TotalTopics = 0, AgeSeconds = [], Overwritten = [] }));

    private sealed record UnheardOf : NodeMessage;
}
