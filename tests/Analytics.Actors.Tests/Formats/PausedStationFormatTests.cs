using System.Text.Json.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Formats;

/// <summary>What came with paused stations, on top of version 0.2. The golden file is never changed.</summary>
public class PausedStationFormatTests
{
    private static readonly JsonObject Golden = (JsonObject)JsonNode.Parse(
        File.ReadAllText(Path.Combine(Repository.Root, "tests", "Analytics.Actors.Tests", "Formats", "v0.3-stations.json")))!;

    private static readonly StationState Paused = new() { Intervals = { new IntervalState { Module = "w", DueMs = 1_000_000 } }, WakeMs = 1_000_000, Paused = true };

    [Fact]
    public void A_paused_station_is_read_with_its_content_and_written_back_identically()
    {
        var golden = (string)Golden["messages"]!["station-state-paused"]!;
        Convert.ToHexString(Paused.ToByteArray()).ShouldBe(golden);
        StationState.Parser.ParseFrom(Convert.FromHexString(golden)).ShouldBe(Paused);
    }

    [Fact]
    public void A_station_of_an_earlier_version_is_not_paused() => StationState.Parser.ParseFrom(Convert.FromHexString("20C0843D")).Paused.ShouldBeFalse();

    [Fact]
    public void Orders_keep_their_numbers() =>
        string.Join(' ', Enum.GetValues<StationOrder>().Select(order => $"{order}={(int)order}")).ShouldBe("Pause=1 Resume=2 Forget=3");
}
