using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Storage;
using Analytics.Actors.Tests.CoreRules;
using Google.Protobuf;
using Xunit.Abstractions;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// What a takeover and a checkpoint cost does not depend on how many stations exist: the production core on real databases,
/// one shard whose stations hold a full grid of 168 hours. The times, for up to 100,000 stations, on demand: ANALYTICS_MEASURE=1.
/// </summary>
[Collection(PostgreSqlTests.Name)]
public sealed class StateSizeTests(PostgreSqlServer server, ITestOutputHelper output)
{
    private const string Grids = "GRIDS", Meters = "METERS";
    private const int Rounds = 20, Takeovers = 5;

    private const string Pipeline = """
        {
          "topics": {
            "GRIDS": {
              "envelope": "rows", "time": "at", "mode": "replace", "window": 168, "period": "1h",
              "shape": { "kind": "grid", "times": "at", "rowSeries": ["average", "largest"] }, "triggers": false
            },
            "METERS": { "envelope": "list", "fields": ["value"] }
          },
          "modules": { "m": { "topics": ["GRIDS", "METERS"], "requires": ["METERS"] } }
        }
        """;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_takeover_reads_no_stations_and_a_checkpoint_writes_what_changed(bool isPostgreSql)
    {
        var few = await MeasureAsync(isPostgreSql, 100, 10);
        var many = await MeasureAsync(isPostgreSql, 1_500, 10);
        foreach (var cost in new[] { few, many })
        {
            cost.TakenOver.ShouldBe(0);
            // The one station of the record, with its grid; no other has a row of its own to look at.
            cost.Loaded.ShouldBe(1);
            cost.Searched.ShouldBe(0);
        }

        many.Rows.ShouldBe(few.Rows);
        // Only numbers, such as the count of stations, may have become longer.
        many.Bytes.ShouldBe(few.Bytes, few.Bytes / 50);
    }

    [MeasurementFact]
    public async Task Takeover_and_steady_state_with_up_to_a_hundred_thousand_stations()
    {
        foreach (var isPostgreSql in new[] { false, true })
        {
            foreach (var (stations, changed) in new[] { (100, 10), (1_000, 10), (10_000, 10), (100_000, 10), (1_000, 100), (100_000, 100) })
            {
                var cost = await MeasureAsync(isPostgreSql, stations, changed);
                var log = isPostgreSql ? string.Create(CultureInfo.InvariantCulture, $", {cost.LogBytes:0} bytes of the database's log") : "";
                output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{(isPostgreSql ? "PostgreSQL" : "SQLite")}, {stations} stations with full windows: median {cost.FirstRecordMs:0.0} ms from assignment to the first processed record, {cost.Loaded} rows read; {changed} stations change: {cost.Rows:0.0} rows, {cost.Bytes:0} bytes{log}"));
                cost.TakenOver.ShouldBe(0);
            }
        }
    }

    /// <summary>Rows and bytes are those of all checkpoints that one record with its changes leads to.</summary>
    private sealed record Cost(double FirstRecordMs, int TakenOver, int Loaded, int Searched, double Rows, double Bytes, double LogBytes);

    private async Task<Cost> MeasureAsync(bool isPostgreSql, int stations, int changed)
    {
        using var file = new DatabaseFile();
        var address = isPostgreSql ? server.NewSchema() : "";
        ICheckpointStore Open() => isPostgreSql ? new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(address)) : new SqliteCheckpointStore(file.Path);
        var counts = new CountingStore.Counts();
        var node = new CoreNode(Pipeline, new CoreNodeOptions { OpenStore = () => new CountingStore(Open(), counts), CheckpointIntervalMs = 1_000 });
        node.Produce(Grids, Grid(Id(0)));
        node.Advance(2_000);
        node.Crash();
        await CopyAsync(Open(), stations);

        var firsts = new List<double>();
        counts.TakenOver = 0;
        for (var takeover = 0; takeover < Takeovers; takeover++)
        {
            // The record is there already when the new owner comes: what counts is its time alone.
            node.Crash();
            node.Write(Meters, Values(1, [50 + takeover]));
            counts.Loaded = counts.Searched = 0;
            node.Start();
            while (node.Core.AppliedByTopic().GetValueOrDefault(Meters) == 0) node.Step().ShouldBeTrue();
            firsts.Add(Stopwatch.GetElapsedTime(counts.TakeOverTicks).TotalMilliseconds);
        }

        var loaded = counts.Loaded;
        node.Advance(5_000);
        node.Checkpoints.Clear();
        var before = LogBytes(isPostgreSql);
        for (var round = 0; round < Rounds; round++)
        {
            node.Produce(Meters, Values(round, Enumerable.Range(0, changed).Select(station => (round * changed + station) % stations)));
            node.Advance(2_000);
        }

        var cost = new Cost(
            firsts.Order().ElementAt(Takeovers / 2), counts.TakenOver, loaded, counts.Searched,
            (double)node.Checkpoints.Sum(Rows) / Rounds, (double)node.Checkpoints.Sum(Bytes) / Rounds, (double)(LogBytes(isPostgreSql) - before) / Rounds);
        node.Close();
        return cost;
    }

    /// <summary>Gives the shard more stations: each with the first one's grid.</summary>
    private static async Task CopyAsync(ICheckpointStore opened, int stations)
    {
        await using var store = opened;
        await store.OpenAsync(CoreNode.Group, 1, default);
        var shard = await store.TakeOverWholeAsync(new ShardId(0), "the test", default);
        var grid = shard.Entities.Single(entity => entity.Kind == EntityKind.Window);
        var state = ShardState.Parser.ParseFrom(shard.ShardState);
        state.Stations = stations;
        var number = shard.CheckpointNumber;
        foreach (var chunk in Enumerable.Range(1, stations - 1).Chunk(5_000))
        {
            var outcomes = await store.CommitAsync(
                [
                    new ShardCheckpoint
                    {
                        Shard = shard.Shard, Epoch = shard.Epoch, Number = ++number, ShardState = state.ToByteArray(),
                        Entities = [.. chunk.Select(station => grid with { Key = grid.Key.Replace(Id(0), Id(station), StringComparison.Ordinal) })],
                        Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [],
                    },
                ], default);
            outcomes.ShouldBe([CheckpointOutcome.Committed]);
        }
    }

    private long LogBytes(bool isPostgreSql) =>
        isPostgreSql ? Convert.ToInt64(server.Execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"), CultureInfo.InvariantCulture) : 0;

    private static int Rows(ShardCheckpoint checkpoint) =>
        1 + checkpoint.Entities.Count + checkpoint.Positions.Count + checkpoint.Marks.Count + checkpoint.OutboxAdded.Count + checkpoint.OutboxRemoved.Count;

    private static int Bytes(ShardCheckpoint checkpoint) =>
        checkpoint.ShardState.Length + checkpoint.Entities.Sum(entity => entity.Key.Length + (entity.State?.Length ?? 0)) + checkpoint.OutboxAdded.Sum(entry => entry.Value.Length);

    private static string Id(int station) => $"station-{station:000000}";

    private static string Values(int value, IEnumerable<int> stations) =>
        "[" + string.Join(',', stations.Select(station => $$"""{"stationId":"{{Id(station)}}","value":{{value % 10}}}""")) + "]";

    private static string Grid(string station)
    {
        var newest = DateTimeOffset.FromUnixTimeMilliseconds(CoreNode.StartMs).ToOffset(TimeSpan.FromHours(8));
        return "{\"rows\":[" + string.Join(',', Enumerable.Range(0, 168).Select(hour => string.Create(
            CultureInfo.InvariantCulture, $$"""{"stationId":"{{station}}","at":"{{newest.AddHours(-hour):yyyy-MM-dd HH}}:00:00","average":{{hour * 1.37:0.00}},"largest":{{hour * 2.11:0.00}}}"""))) + "]}";
    }
}
