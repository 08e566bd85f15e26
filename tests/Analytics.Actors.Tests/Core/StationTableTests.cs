using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Stations are found by their ids, and leave memory in the order of their use.</summary>
public class StationTableTests
{
    private static readonly StationSurroundings Around = Surroundings();

    [Theory]
    [InlineData("1734000000000000001")]
    [InlineData("0b8f2f0e-8f57-4d55-9a31-2d6c3a2b9f10")]
    [InlineData("a station whose id is longer than those that most platforms give")]
    [InlineData("站点-七")]
    [InlineData("S")]
    public void A_station_is_found_by_the_bytes_of_its_id_and_by_no_others(string id)
    {
        var table = new StationTable();
        var station = New(id);
        table.Add(station);
        Find(table, id).ShouldBe(station);
        table[id].ShouldBe(station);
        foreach (var other in (string[])[id + "1", id[..^1], id[..^1] + "x", id.ToUpperInvariant() + " "])
        {
            Find(table, other).ShouldBeNull();
            station.HasId(Encoding.UTF8.GetBytes(other)).ShouldBeFalse();
            table.ContainsKey(other).ShouldBeFalse();
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_table_holds_what_a_dictionary_holds(int seed)
    {
        var random = new Random(seed);
        var table = new StationTable();
        var dictionary = new Dictionary<string, Station>();
        for (var step = 0; step < 20_000; step++)
        {
            // Grows to some hundreds, shrinks to few, and grows again.
            var id = $"S{random.Next(700)}";
            var removes = random.Next(100) < (step / 4_000 % 2 == 0 ? 20 : 80);
            if (dictionary.TryGetValue(id, out var known))
            {
                Find(table, id).ShouldBe(known);
                if (!removes) continue;
                table.Remove(known);
                dictionary.Remove(id);
            }
            else
            {
                Find(table, id).ShouldBeNull();
                if (removes) continue;
                dictionary.Add(id, known = New(id));
                table.Add(known);
            }

            table.Count.ShouldBe(dictionary.Count);
            if (step % 500 > 0) continue;
            table.Values.Order(ById).ShouldBe(dictionary.Values.Order(ById));
            for (var index = 0; index < table.Count; index++) table.At(index).TableIndex.ShouldBe(index);
            dictionary.Keys.ShouldAllBe(key => table[key] == dictionary[key]);
        }
    }

    [Fact]
    public void At_the_limit_the_station_that_was_used_longest_ago_goes()
    {
        var residents = Residents(most: 3, [.. Enumerable.Range(1, 3).Select(number => $"S{number}")]);
        residents.Use(residents.Find("S1")!, 1);
        residents.Use(residents.Find("S2")!, 1);
        residents.Add(New("S4"), 2);
        residents.Passivate(long.MinValue, 0).ShouldBe(1);
        residents.Stations.Keys.ShouldBe(["S1", "S2", "S4"], ignoreOrder: true);
    }

    [Fact]
    public void Below_the_limit_a_station_goes_when_it_was_idle_and_not_before()
    {
        // Used at 100, an eighth of 1,000 after it came at most: it was not moved for that.
        var residents = Residents(most: 10, "S1", "S2", "S3");
        residents.Use(residents.Find("S1")!, 100);
        residents.Passivate(idleSinceMs: 50, 0).ShouldBe(2);
        residents.Stations.Keys.ShouldBe(["S1"]);
        residents.Passivate(idleSinceMs: 100, 0).ShouldBe(0);
        residents.Passivate(idleSinceMs: 101, 0).ShouldBe(1);
    }

    [Fact]
    public void Below_the_limit_stations_keep_the_order_of_their_use_but_for_an_eighth_of_the_time()
    {
        var residents = Residents(most: 4, "S1", "S2", "S3");
        residents.Use(residents.Find("S1")!, 200);
        residents.Use(residents.Find("S2")!, 100);
        residents.Add(New("S4"), 300);
        residents.Add(New("S5"), 300);
        residents.Add(New("S6"), 300);
        residents.Passivate(long.MinValue, 0).ShouldBe(2);
        residents.Stations.Keys.ShouldBe(["S1", "S4", "S5", "S6"], ignoreOrder: true);
    }

    private static readonly IComparer<Station> ById = Comparer<Station>.Create((left, right) => string.CompareOrdinal(left.Id, right.Id));

    private static ResidentStations Residents(int most, params string[] ids)
    {
        var residents = new ResidentStations(most, 1_000);
        foreach (var id in ids) residents.Add(New(id), 0);
        return residents;
    }

    private static Station? Find(StationTable table, string id)
    {
        var bytes = Encoding.UTF8.GetBytes(id);
        return table.Find(bytes, StationTable.HashOf(bytes));
    }

    private static Station New(string id) => new(id, Around);

    private static StationSurroundings Surroundings()
    {
        var pipeline = PipelineFiles.DefaultConfiguration();
        var settings = new ShardSettings { Pipeline = pipeline, Group = "g", ShardCount = 1, StoreId = "be4c4be4c4be" };
        return new StationSurroundings(pipeline, new ShardOutputs(new ShardId(0), new Epoch(1), settings), (_, _, _) => { });
    }
}
