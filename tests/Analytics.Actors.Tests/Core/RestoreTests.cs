using System.Text.Json.Nodes;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.Pipeline;
using Analytics.Actors.Tests.Storage;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>
/// A backup is taken while records, answers and uploads are under way, the system goes on, the disk is lost, and the backup
/// takes its place. The logs still hold everything, so nothing may be missing in the end.
/// </summary>
[Collection(PostgreSqlTests.Name)]
public class RestoreTests(PostgreSqlServer server)
{
    private const int Records = 14;

    private static readonly PipelineConfiguration Pipeline = PipelineFiles.Valid(With(
        """
        "first": { "topics": ["METERS"], "batch": { "kind": "record", "deadline": "1h" } },
        "second": { "topics": [], "dependsOn": ["first"], "batch": { "kind": "record", "deadline": "1h" } }
        """));

    /// <summary>Where the state is, how it is backed up and put back.</summary>
    private sealed record Database(Func<ICheckpointStore> Connect, Func<string> Backup, Action<string> Restore);

    [Theory]
    [InlineData("sqlite", 25)]
    [InlineData("postgresql", 5)]
    public void A_backup_restored_and_renewed_loses_nothing_that_the_logs_hold_and_repeats_nothing_under_its_own_name(string kind, int seeds)
    {
        var (takenBack, answersOfBefore) = (0, 0);
        for (var seed = 1; seed <= seeds; seed++)
        {
            using var file = new DatabaseFile();
            var node = RunWithRestore(kind == "sqlite" ? OnDisk(file) : OnServer(), seed, renewed: true);
            var told = $"seed {seed}";
            var earlier = node.Settings.Earlier;

            // What counts: all that the store remembers, and all that it wrote since.
            var first = Valid(node, "first", earlier).ToList();
            first.Select(upload => (string)upload["batch_id"]!).Order(StringComparer.Ordinal)
                .ShouldBe(Enumerable.Range(0, Records).Select(offset => $"METERS:0:{offset}").Order(StringComparer.Ordinal), told);
            first.ShouldAllBe(upload => upload["missing"]!.AsArray().Count == 0 && upload["failed"]!.AsArray().Count == 0, told);
            foreach (var upload in first)
                upload["stations"]!.AsArray().ShouldAllBe(station => (int)station!["first"]! == Offset(upload), told);
            var second = Valid(node, "second", earlier).ToList();
            second.Count.ShouldBe(Records, told);
            second.ShouldAllBe(upload => upload["missing"]!.AsArray().Count == 0 && upload["failed"]!.AsArray().Count == 0, told);

            node.DeadLetters.ShouldBeEmpty(told);
            node.Events.OfType<RecordMissing>().ShouldBeEmpty(told);
            node.Events.OfType<BatchTimedOut>().ShouldBeEmpty(told);
            WithoutRepeats(node, "first").Select(upload => (string)upload["batch_id"]!).Distinct().Count().ShouldBe(Records, told);
            takenBack += node.Events.OfType<OutputTakenBack>().Count();
            answersOfBefore += node.Logs(Group + ".batch-results").Count(entry => Origin.TryParse(entry.Origin, out var origin) && earlier.Contains(origin.Store) && !earlier.TookBack(origin, Group + ".batch-results"));
            WindowsOf(node).ShouldBe(WindowsOf(RunWithRestore(null, seed, renewed: false)), told);
            node.Close();
        }

        takenBack.ShouldBeGreaterThan(2 * seeds, "else nothing was lost by restoring");
        answersOfBefore.ShouldBeGreaterThan(2 * seeds, "else every answer was read before its backup");
    }

    [Fact]
    public void Without_the_renewal_readers_take_new_outputs_for_repeats()
    {
        var lost = 0;
        for (var seed = 1; seed <= 10; seed++)
        {
            using var file = new DatabaseFile();
            var node = RunWithRestore(OnDisk(file), seed, renewed: false);
            lost += Records - WithoutRepeats(node, "first").Select(upload => (string)upload["batch_id"]!).Distinct().Count();
            node.Close();
        }

        lost.ShouldBeGreaterThan(0);
    }

    private static Database OnDisk(DatabaseFile file) => new(() => new SqliteCheckpointStore(file.Path), file.Backup, file.Restore);

    private Database OnServer()
    {
        var schema = $"test_{Guid.NewGuid():n}";
        var address = PostgreSqlAddress.Parse($"{server.Schema(schema)};Application Name={schema}");
        return new Database(() => new PostgreSqlCheckpointStore(address), () => server.Dump(schema), dump => server.Restore(schema, dump));
    }

    /// <param name="database">Null: in memory, and nothing is restored.</param>
    private static CoreNode RunWithRestore(Database? database, int seed, bool renewed)
    {
        var random = new Random(seed);
        var (backupAt, lostAt, backupSteps, lostSteps) = (random.Next(2, 6), random.Next(7, 11), random.Next(60), random.Next(60));
        var node = new CoreNode(Pipeline, new CoreNodeOptions { Shards = 3, Seed = seed, OpenStore = database?.Connect })
            .Module("first", call => Result($$"""{"first":{{call.Input["value"]!.ToJsonString()}}}"""));
        var backup = "";
        for (var number = 0; number < Records; number++)
        {
            node.Write(Meters, Values(number, [.. Enumerable.Range(0, 1 + random.Next(4)).Select(_ => $"S{random.Next(9)}").Distinct()]));
            Steps(node, number == backupAt ? backupSteps : number == lostAt ? lostSteps : 40);
            if (database is null) continue;
            if (number == backupAt) backup = database.Backup();
            if (number != lostAt) continue;
            node.Close();
            database.Restore(backup);
            if (renewed) Renew(database.Connect());
            node.Start();
        }

        node.Run();
        node.Advance(60_000);
        return node;
    }

    private static void Renew(ICheckpointStore store)
    {
        ((IStoreAdministration)store).RenewAsync(force: false, default).AsTask().GetAwaiter().GetResult();
        store.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private static void Steps(CoreNode node, int count)
    {
        while (count-- > 0 && node.Step()) { }
    }

    private static long Offset(JsonObject upload) => long.Parse(((string)upload["batch_id"]!).Split(':')[2], System.Globalization.CultureInfo.InvariantCulture);

    private static IEnumerable<JsonObject> Valid(CoreNode node, string module, EarlierStores earlier)
    {
        var topic = Pipeline.Modules[module].OutputTopic;
        return node.Logs(topic).DistinctBy(entry => entry.Origin)
            .Where(entry => Origin.TryParse(entry.Origin, out var origin) && !earlier.TookBack(origin, topic))
            .Select(entry => (JsonObject)JsonNode.Parse(entry.Value)!);
    }

    /// <summary>What a reader outside has, who keeps the highest sequence of every run and drops what is not above it.</summary>
    private static List<JsonObject> WithoutRepeats(CoreNode node, string module)
    {
        var highest = new Dictionary<(string, ShardId, int), long>();
        List<JsonObject> read = [];
        foreach (var entry in node.Logs(Pipeline.Modules[module].OutputTopic))
        {
            Origin.TryParse(entry.Origin, out var origin).ShouldBeTrue();
            if (origin.Sequence <= highest.GetValueOrDefault((origin.Store, origin.Shard, origin.Partition), -1)) continue;
            highest[(origin.Store, origin.Shard, origin.Partition)] = origin.Sequence;
            read.Add((JsonObject)JsonNode.Parse(entry.Value)!);
        }

        return read;
    }

    private static List<string> WindowsOf(CoreNode node) => [.. node.TakeOverAll().SelectMany(shard => shard.Entities)
        .Where(entity => entity.Kind == EntityKind.Window && entity.Key.EndsWith(Meters, StringComparison.Ordinal))
        .Select(entity => entity.Key + Convert.ToHexString(entity.State!))];
}
