using System.Text.Json.Nodes;
using Analytics.Actors.Core;

namespace Analytics.Actors.Node.Demo;

/// <summary>An upload that was found right, and the stations that its record named.</summary>
public sealed record UploadSample(string Module, bool IsLegacy, IReadOnlyList<string> Stations, byte[] Value);

/// <summary>One planted fault, and whether the comparison noticed it.</summary>
public sealed record PlantedFault(string Fault, bool Detected);

/// <summary>Whether the ledger is to be believed: it noticed every planted fault.</summary>
public sealed record CanaryOutcome(IReadOnlyList<PlantedFault> Planted)
{
    public bool Passed => Planted.Count > 0 && Planted.All(fault => fault.Detected);
}

/// <summary>
/// Plants faults in copies of the ledger's books and runs the same comparisons as the verdict. A fault counts as detected
/// only where the comparison names exactly it, on top of what was wrong before.
/// </summary>
public static class LedgerCanary
{
    public static CanaryOutcome Run(
        IReadOnlyDictionary<WitnessKey, Witness> expected, IReadOnlyDictionary<WitnessKey, Witness> applied, MarkComparison.PlacesOf places,
        IReadOnlySet<DeadLetterKey> deadLettersExpected, IReadOnlyDictionary<DeadLetterKey, int> deadLettersRead, IReadOnlyList<UploadSample> samples)
    {
        var planted = new List<PlantedFault>();
        PlantInMarks(planted, expected, applied, places);
        PlantInDeadLetters(planted, deadLettersExpected, deadLettersRead);
        foreach (var sample in samples.Count > 0 ? samples : [Invented()]) PlantInUpload(planted, sample);
        return new CanaryOutcome(planted);
    }

    private static void PlantInMarks(
        List<PlantedFault> planted, IReadOnlyDictionary<WitnessKey, Witness> expected, IReadOnlyDictionary<WitnessKey, Witness> applied, MarkComparison.PlacesOf places)
    {
        // A shard and partition where all is well and a place is still known; without one the fault has no ground to stand on.
        var ground = expected.OrderBy(entry => entry.Key.Topic, StringComparer.Ordinal).ThenBy(entry => entry.Key.Partition).ThenBy(entry => entry.Key.Shard)
            .Where(entry => applied.TryGetValue(entry.Key, out var witness) && witness == entry.Value && places(entry.Key).Places.Any())
            .Select(entry => entry.Key).Take(1).ToArray();
        var copy = new Dictionary<WitnessKey, Witness>(applied);
        if (ground.Length == 0)
        {
            // Nothing agrees anywhere: an invented partition serves, in copies of both sides.
            var invented = new WitnessKey(0, "canary", 0);
            expected = new Dictionary<WitnessKey, Witness>(expected) { [invented] = default(Witness).With(new Place(7, 0, 0)).With(new Place(8, 0, 0)) };
            copy[invented] = expected[invented];
            var known = places;
            places = key => key == invented ? ([new Place(7, 0, 0), new Place(8, 0, 0)], true) : known(key);
            ground = [invented];
        }

        var at = ground[0];
        var whole = copy[at];
        var place = places(at).Places.First();
        var (lostBefore, duplicatedBefore) = Compare(whole);
        planted.Add(new PlantedFault("one applied part is missing", Compare(whole.Without(place)) == (lostBefore + 1, duplicatedBefore)));
        planted.Add(new PlantedFault("one part was applied twice", Compare(whole.With(place)) == (lostBefore, duplicatedBefore + 1)));
        var elsewhere = place with { Index = place.Index + 1_000_000 };
        planted.Add(new PlantedFault("one part is missing and another one came instead", Compare(whole.Without(place).With(elsewhere)) == (lostBefore + 1, duplicatedBefore + 1)));

        (long Lost, long Duplicated) Compare(Witness altered)
        {
            copy[at] = altered;
            var differences = MarkComparison.Compare(expected, copy, places);
            return (differences.Sum(difference => difference.Lost), differences.Sum(difference => difference.Duplicated));
        }
    }

    private static void PlantInDeadLetters(List<PlantedFault> planted, IReadOnlySet<DeadLetterKey> expected, IReadOnlyDictionary<DeadLetterKey, int> read)
    {
        var should = expected.ToHashSet();
        var was = read.ToDictionary();
        var present = should.FirstOrDefault(key => was.GetValueOrDefault(key) == 1);
        if (present == default)
        {
            present = new DeadLetterKey("canary", 0, 7, 0, "not-json");
            should.Add(present);
            was[present] = 1;
        }

        var before = DeadLetterComparison.Compare(should, was);
        was.Remove(present);
        planted.Add(new PlantedFault("one dead letter is removed", DeadLetterComparison.Compare(should, was).Missing.Count == before.Missing.Count + 1));
        was[present] = 2;
        planted.Add(new PlantedFault("one dead letter is there twice", DeadLetterComparison.Compare(should, was).Repeated.Count == before.Repeated.Count + 1));
        was[present] = 1;
        was[present with { Index = present.Index + 1_000_000 }] = 1;
        planted.Add(new PlantedFault("a dead letter is there that nothing caused", DeadLetterComparison.Compare(should, was).Unexpected.Count == before.Unexpected.Count + 1));
    }

    private static void PlantInUpload(List<PlantedFault> planted, UploadSample sample)
    {
        var isRight = Faults(sample, _ => { }, null) == 0;
        var list = sample.IsLegacy ? "results" : "stations";
        Plant("one upload holds another station", upload =>
        {
            if (((JsonArray)upload[list]!).Count > 0) upload[list]![0]!["station_id"] = "canary";
            else upload["missing"]!.AsArray().Add("canary");
        });
        Plant("one upload holds a station twice", upload =>
        {
            upload["failed"]!.AsArray().Add(sample.Stations[0]);
            upload["missing"]!.AsArray().Add(sample.Stations[0]);
        });
        Plant("one upload miscounts its stations", upload => upload[sample.IsLegacy ? "stations_count" : "station_count"] = ((JsonArray)upload[list]!).Count + 1);
        Plant("one upload expects another number of stations", upload => upload["expected_count"] = sample.Stations.Count + 1);
        planted.Add(new PlantedFault($"{sample.Module}: one revision is uploaded twice", isRight && Faults(sample, _ => { }, new OpenBatch { Revision = 1 }) > 0));

        void Plant(string fault, Action<JsonObject> alter) => planted.Add(new PlantedFault($"{sample.Module}: {fault}", isRight && Faults(sample, alter, null) > 0));
    }

    private static int Faults(UploadSample sample, Action<JsonObject> alter, OpenBatch? before)
    {
        var json = JsonNode.Parse(sample.Value)!.AsObject();
        alter(json);
        var (upload, fault) = Upload.Read(System.Text.Encoding.UTF8.GetBytes(json.ToJsonString()));
        if (upload is null || fault is not null) return 1;
        var alone = BatchCheck.Alone(upload, sample.Module, sample.IsLegacy);
        return alone.Count > 0 ? alone.Count : BatchCheck.InBatch(upload, sample.Stations, before).Count;
    }

    private static UploadSample Invented() => new("canary", false, ["A", "B"],
        """{"batch_id":"T:0:7","module":"canary","timestamp":1.0,"stations":[{"station_id":"A"}],"station_count":1,"expected_count":2,"failed":["B"],"missing":[],"revision":1}"""u8.ToArray());
}
