using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;
using Xunit.Abstractions;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// How fast group commits are: 16 shards, 4,000 small rows in a transaction, most of them updates of entities in random
/// order. A measurement needs a quiet machine and so runs on demand only: ANALYTICS_MEASURE=1.
/// </summary>
[Collection(PostgreSqlTests.Name)]
public sealed class CheckpointThroughput(ITestOutputHelper output, PostgreSqlServer server)
{
    private const int Shards = 16, Stations = 1_250, EntitiesPerCommit = 230, OutputsPerCommit = 20, Commits = 100;

    [MeasurementFact]
    public async Task Small_rows_a_second_through_sqlite()
    {
        using var file = new DatabaseFile();
        (await Measure(new SqliteCheckpointStore(file.Path), EntitiesPerCommit, OutputsPerCommit)).ShouldBeGreaterThan(150_000);
    }

    /// <summary>The same rows over a socket to a server on the same machine, which takes a processor of its own.</summary>
    [MeasurementFact]
    public async Task Small_rows_a_second_through_postgresql() =>
        (await Measure(new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(server.NewSchema())), EntitiesPerCommit, OutputsPerCommit)).ShouldBeGreaterThan(25_000);

    /// <summary>What a commit costs that has next to nothing to write: the round trips and the server's disk.</summary>
    [MeasurementFact]
    public async Task A_small_commit_through_postgresql() =>
        (await Measure(new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(server.NewSchema())), 1, 1)).ShouldBeGreaterThan(1_000);

    private async Task<double> Measure(ICheckpointStore measured, int entities, int outputs)
    {
        await using var store = measured;
        await store.OpenAsync("analytics", Shards, default);
        var epochs = new Epoch[Shards];
        for (var i = 0; i < Shards; i++) epochs[i] = (await store.TakeOverAsync(new ShardId(i), "node", default)).Epoch;
        var random = new Random(1);
        var keys = Enumerable.Range(0, Stations).Select(_ => random.NextInt64(long.MaxValue).ToString(CultureInfo.InvariantCulture)).ToArray();
        var elapsed = TimeSpan.Zero;
        var rows = 0L;
        for (var number = 1; number <= Commits; number++)
        {
            var group = Enumerable.Range(0, Shards).Select(i => Make(new ShardId(i), epochs[i], number, keys, random, entities, outputs)).ToArray();
            rows += group.Sum(checkpoint => checkpoint.Entities.Count + checkpoint.OutboxAdded.Count);
            var start = Stopwatch.GetTimestamp();
            var outcomes = await store.CommitAsync(group, default);
            elapsed += Stopwatch.GetElapsedTime(start);
            outcomes.ShouldAllBe(outcome => outcome == CheckpointOutcome.Committed);
        }

        var rate = rows / elapsed.TotalSeconds;
        output.WriteLine($"{rows} rows in {Commits} commits, {elapsed.TotalSeconds:f2} s: {rate:f0} rows/s, {elapsed.TotalMilliseconds / Commits:f1} ms a commit");
        return rate;
    }

    private static ShardCheckpoint Make(ShardId shard, Epoch epoch, long number, string[] keys, Random random, int entities, int outputs)
    {
        TopicPartition log = new("analytics.station-events", shard.Value), destination = new("analytics.batch-results", shard.Value);
        return new ShardCheckpoint
        {
            Shard = shard, Epoch = epoch, Number = number, ShardState = new byte[40],
            Entities = [.. Enumerable.Range(0, entities).Select(_ => new EntityState(EntityKind.Station, keys[random.Next(keys.Length)], new byte[60]))],
            Positions = [new(log, number * 100, number, 1)],
            Marks = [.. Enumerable.Range(0, 8).Select(i => new MarkState(log, $"SOURCE-{i}[0]#0", new Place(number, 0, 0), number, 1))],
            OutboxAdded = [.. Enumerable.Range(1, outputs).Select(i => new OutboxEntry(destination, (number - 1) * outputs + i, [1], new byte[100], [new("aa-origin", "0123456789ab.0.0.1")], number))],
            OutboxRemoved = [new(destination, (number - 1) * outputs)],
        };
    }
}
