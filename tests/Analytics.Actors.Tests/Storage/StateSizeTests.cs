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
    private const int ChangedStations = 10, Rounds = 20;

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
        var few = await MeasureAsync(isPostgreSql, 100);
        var many = await MeasureAsync(isPostgreSql, 1_500);
        foreach (var cost in new[] { few, many })
        {
            cost.TakenOver.ShouldBe(0);
            // The one station of the record, with its grid; no other has a row of its own to look at.
            cost.Loaded.ShouldBe(1);
            cost.Searched.ShouldBe(0);
        }

        many.RowsPerCheckpoint.ShouldBe(few.RowsPerCheckpoint);
        // Only numbers in the shard's own row, such as the count of stations, may have become longer.
        many.BytesPerCheckpoint.ShouldBe(few.BytesPerCheckpoint, 8);
    }

    [MeasurementFact]
    public async Task Takeover_and_steady_state_with_up_to_a_hundred_thousand_stations()
    {
        foreach (var isPostgreSql in new[] { false, true })
        {
            foreach (var stations in new[] { 100, 1_000, 10_000, 100_000 })
            {
                var cost = await MeasureAsync(isPostgreSql, stations);
                output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{(isPostgreSql ? "PostgreSQL" : "SQLite")}, {stations} stations with full windows: {cost.FirstRecordMs:0.0} ms from assignment to the first processed record, {cost.Loaded} rows read; {ChangedStations} stations changed per checkpoint: {cost.RowsPerCheckpoint:0.0} rows, {cost.BytesPerCheckpoint:0} bytes, {cost.LogBytesPerCheckpoint:0} bytes of the database's log"));
                cost.TakenOver.ShouldBe(0);
            }
        }
    }

    private sealed record Cost(double FirstRecordMs, int TakenOver, int Loaded, int Searched, double RowsPerCheckpoint, double BytesPerCheckpoint, double LogBytesPerCheckpoint);

    private async Task<Cost> MeasureAsync(bool isPostgreSql, int stations)
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

        // The record is there already when the new owner comes: what counts is its time alone.
        node.Write(Meters, Values(1, 50, 1));
        counts.Loaded = counts.Searched = counts.TakenOver = 0;
        node.Start();
        while (node.Core.AppliedByTopic().GetValueOrDefault(Meters) == 0) node.Step().ShouldBeTrue();
        var first = Stopwatch.GetElapsedTime(counts.TakeOverTicks);
        var loaded = counts.Loaded;
        node.Advance(5_000);

        node.Checkpoints.Clear();
        var before = LogBytes(isPostgreSql);
        for (var round = 0; round < Rounds; round++)
        {
            node.Produce(Meters, Values(round, round % 5 * ChangedStations, ChangedStations));
            node.Advance(2_000);
        }

        var logBytes = LogBytes(isPostgreSql) - before;
        var written = node.Checkpoints;
        var cost = new Cost(
            first.TotalMilliseconds, counts.TakenOver, loaded, counts.Searched,
            (double)written.Sum(Rows) / written.Count, (double)written.Sum(Bytes) / written.Count, (double)logBytes / written.Count);
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

    private static string Values(int value, int from, int count) =>
        "[" + string.Join(',', Enumerable.Range(from, count).Select(station => $$"""{"stationId":"{{Id(station)}}","value":{{value % 10}}}""")) + "]";

    private static string Grid(string station)
    {
        var newest = DateTimeOffset.FromUnixTimeMilliseconds(CoreNode.StartMs).ToOffset(TimeSpan.FromHours(8));
        return "{\"rows\":[" + string.Join(',', Enumerable.Range(0, 168).Select(hour => string.Create(
            CultureInfo.InvariantCulture, $$"""{"stationId":"{{station}}","at":"{{newest.AddHours(-hour):yyyy-MM-dd HH}}:00:00","average":{{hour * 1.37:0.00}},"largest":{{hour * 2.11:0.00}}}"""))) + "]}";
    }
}
